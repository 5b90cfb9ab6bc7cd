"""Variants of another size beside their twins of the baseline's size (match=parameters), in Markdown."""

from __future__ import annotations

from ablate.analysis.effects import Comparison
from ablate.analysis.metrics import metric
from ablate.analysis.verdicts import Reading
from ablate.records.report_data import ReportData
from ablate.report.text.answer import reading
from ablate.report.wording import ABSENT, estimate, name, short, spoken, table
from ablate.store.parts import by_part
from ablate.study import WITHIN

SIGNS = {Reading.better: 1, Reading.higher: 1, Reading.worse: -1, Reading.lower: -1}


def matched(data: ReportData) -> str:
    """A row for each variant with a twin: its difference from the baseline as it is, and at the baseline's size."""
    measure = metric(data.study.metric)
    rows = []
    for raw, twin in pairs(data):
        cells = []
        for each in (raw, twin):
            shown = f"{estimate(each.effect, measure, signed=True)}, {reading(each)}, {sizes(data, each.variant)}"
            cells.append(shown if each.arms.seeds else ABSENT)
        rows.append([name(raw.variant), *cells, change(raw, twin) if is_matched(data, twin) else "not matched"])
    header = ["variant", "as it is [95 %]", "its twin [95 %]", ""]
    return table(header, rows) if rows else ""


def turns(data: ReportData) -> list[str]:
    """Whether the sign of an effect depends on matching, in a line; none if there are no twins."""
    if data.earlier:
        return differing_sizes(data)
    found = [(raw, twin) for raw, twin in pairs(data) if is_matched(data, twin)]
    turned = [name(raw.variant) for raw, twin in found if change(raw, twin).startswith("**changes sign**")]
    opposite = [name(raw.variant) for raw, twin in found if raw.effect.mean * twin.effect.mean < 0]
    leaning = [variant for variant in opposite if variant not in turned]
    lines = []
    if turned:
        lines.append(f"The sign of the effect depends on whether parameters are matched: {spoken(turned)}.")
    if leaning:
        unresolved = "The mean has another sign when parameters are matched, but this is unresolved"
        lines.append(f"{unresolved}: {spoken(leaning)}.")
    lines = lines or (["No effect changes its sign when parameters are matched."] if found else [])
    return differing_sizes(data) + lines


def equality(data: ReportData) -> str:
    """What a twin is, in a sentence that claims equal sizes only if the records show them; empty without twins."""
    found = pairs(data)
    if not found:
        return ""
    equal = all(is_matched(data, twin) for _, twin in found)
    size = "the baseline's number of" if equal else "another number of"
    within = f", within {100 * WITHIN:g} %," if equal else ""
    return (
        f"A twin has {size} parameters{within} without embeddings. "
        "Only its d_model differs from its variant's; heads keep their width."
    )


def differing_sizes(data: ReportData) -> list[str]:
    """A line where the records do not show a twin to be of its baseline's size."""
    ratios = {twin.variant: ratio(data, twin) for _, twin in pairs(data)}
    off = [f"{name(cell)} ({each:.2f} times)" for cell, each in ratios.items() if each and abs(each - 1) > WITHIN]
    unknown = [name(cell) for cell, each in ratios.items() if each is None]
    lines = [f"**Not matched** with the baseline's number of parameters: {spoken(off)}."] if off else []
    return lines + ([f"The records do not say how many parameters {spoken(unknown)} have."] if unknown else [])


def is_matched(data: ReportData, twin: Comparison) -> bool:
    """Whether the recorded sizes of a twin and its baseline are equal, within the tolerance."""
    found = ratio(data, twin)
    return found is not None and abs(found - 1) <= WITHIN


def ratio(data: ReportData, found: Comparison) -> float | None:
    """Recorded parameters of a variant over those of its baseline, without embeddings; None if they are unknown."""
    mine, base = (inner_parameters(data, cell) for cell in (found.variant, found.baseline))
    return mine / base if mine and base else None


def inner_parameters(data: ReportData, cell: str) -> int | None:
    """The recorded number of parameters without embeddings; None if it was not recorded."""
    counts = by_part(next((run["parameter_counts"] for run in data.runs_of(cell) if run.get("parameter_counts")), None))
    return sum(count for part, count in counts.items() if part.kind != "embedding") if counts else None


def pairs(data: ReportData) -> list[tuple[Comparison, Comparison]]:
    """The comparisons of a variant and of its twin with the same baseline, at each level of the factors."""
    held = {each.variant: each for each in data.comparisons}
    cells = {(cell.variant, tuple(cell.factors.items())): cell.name for cell in data.cells}
    found = []
    for twin, of in data.twins.items():
        for (variant, factors), cell in cells.items():
            raw = cells.get((of, factors))
            if variant == twin and cell in held and raw in held:
                found.append((held[raw], held[cell]))
    return found


def change(raw: Comparison, twin: Comparison) -> str:
    """How the reading changes from a variant to its twin."""
    if raw.conditional or twin.conditional or not (raw.arms.seeds and twin.arms.seeds):
        return "conditional on survival" if raw.conditional or twin.conditional else ABSENT
    if Reading.earlier in (raw.reading, twin.reading):
        return ABSENT
    signs = SIGNS.get(raw.reading, 0), SIGNS.get(twin.reading, 0)
    if signs[0] * signs[1] < 0:
        return "**changes sign**"
    if raw.reading is twin.reading:
        return "the same" if raw.reading is not Reading.unresolved else "unresolved either way"
    if raw.effect.mean * twin.effect.mean < 0 and any(signs):
        return "**changes sign**, but one of them is unresolved"
    return "differs"


def sizes(data: ReportData, cell: str) -> str:
    """Parameters without embeddings, and with them."""
    inner = inner_parameters(data, cell)
    if inner is None:
        return "size unknown"
    whole = next((run.get("parameters") for run in data.runs_of(cell)), None)
    return f"{short(inner)} parameters ({short(whole)} with embeddings)"
