"""Variants of another size or cost beside their twins at the baseline's (match=), in Markdown."""

from __future__ import annotations

from dataclasses import dataclass

from ablate.analysis.effects import Comparison
from ablate.analysis.metrics import metric
from ablate.analysis.verdicts import Reading
from ablate.records.report_data import ReportData
from ablate.report.text.answer import reading
from ablate.report.wording import ABSENT, estimate, name, short, spoken, table
from ablate.store.parts import by_part
from ablate.study import TWINS, WITHIN

SIGNS = {Reading.better: 1, Reading.higher: 1, Reading.worse: -1, Reading.lower: -1}
MATCHED = {"parameters": "parameters", "flops": "FLOPs"}
COUNTS = {"parameters": "parameters", "flops": "FLOPs a target token"}
Pair = tuple[Comparison, Comparison]  # of a variant, and of its twin


@dataclass(frozen=True)
class Section:
    """What is said of the twins that are matched in one way."""

    title: str
    equality: str
    rows: str
    turns: list[str]


def sections(data: ReportData) -> list[Section]:
    """A section for each way in which twins are matched."""
    found = [kind for kind in TWINS if pairs(data, kind)]
    titles = {"parameters": "Twins of the baseline's size", "flops": "Twins of the baseline's cost"}
    made = {kind: Section(titles[kind], equality(data, kind), matched(data, kind), turns(data, kind)) for kind in found}
    if len(found) > 1 and not data.earlier:
        made[found[-1]].turns.extend(between_twins(data))
    return list(made.values())


def matched(data: ReportData, kind: str) -> str:
    """A row for each variant with a twin: its difference from the baseline as it is, and when it is matched."""
    measure = metric(data.study.metric)
    rows = []
    for raw, twin in pairs(data, kind):
        cells = []
        for each in (raw, twin):
            shown = f"{estimate(each.effect, measure, signed=True)}, {reading(each)}, {sizes(data, kind, each.variant)}"
            cells.append(shown if each.arms.seeds else ABSENT)
        rows.append([name(raw.variant), *cells, change(raw, twin) if is_matched(data, kind, twin) else "not matched"])
    return table(["variant", "as it is [95 %]", "its twin [95 %]", ""], rows)


def turns(data: ReportData, kind: str) -> list[str]:
    """Whether the sign of an effect depends on matching, in a line."""
    if data.earlier:
        return differing_sizes(data, kind)
    found = [(raw, twin) for raw, twin in pairs(data, kind) if is_matched(data, kind, twin)]
    turned = [name(raw.variant) for raw, twin in found if change(raw, twin).startswith("**changes sign**")]
    opposite = [name(raw.variant) for raw, twin in found if raw.effect.mean * twin.effect.mean < 0]
    leaning = [variant for variant in opposite if variant not in turned]
    lines = []
    if turned:
        lines.append(f"The sign of the effect depends on whether {MATCHED[kind]} are matched: {spoken(turned)}.")
    if leaning:
        unresolved = f"The mean has another sign when {MATCHED[kind]} are matched, but this is unresolved"
        lines.append(f"{unresolved}: {spoken(leaning)}.")
    lines = lines or ([f"No effect changes its sign when {MATCHED[kind]} are matched."] if found else [])
    return differing_sizes(data, kind) + lines


def between_twins(data: ReportData) -> list[str]:
    """A line where the sign of an effect depends on what is matched, parameters or FLOPs."""
    twin_of = [{raw.variant: twin for raw, twin in pairs(data, kind) if is_matched(data, kind, twin)} for kind in TWINS]
    first, second = twin_of
    both = [raw for raw in first if raw in second]
    turned = [name(raw) for raw in both if change(first[raw], second[raw]).startswith("**changes sign**")]
    what = "The sign of the effect depends on what is matched, parameters or FLOPs"
    return [f"{what}: {spoken(turned)}."] if turned else []


def equality(data: ReportData, kind: str) -> str:
    """What a twin is, in a sentence that claims equal sizes only if the records show them."""
    equal = all(is_matched(data, kind, twin) for _, twin in pairs(data, kind))
    size = "the baseline's number of" if equal else "another number of"
    within = f", within {100 * WITHIN:g} %" if equal else ""
    counted = f"{within}{',' * equal} without embeddings" if kind == "parameters" else within
    return (
        f"A twin has {size} {COUNTS[kind]}{counted}. "
        "Only its d_model differs from its variant's; heads keep their width."
    )


def differing_sizes(data: ReportData, kind: str) -> list[str]:
    """A line where the records do not show a twin to be matched with its baseline."""
    ratios = {twin.variant: ratio(data, kind, twin) for _, twin in pairs(data, kind)}
    off = [f"{name(cell)} ({each:.2f} times)" for cell, each in ratios.items() if each and abs(each - 1) > WITHIN]
    unknown = [name(cell) for cell, each in ratios.items() if each is None]
    lines = [f"**Not matched** with the baseline's number of {COUNTS[kind]}: {spoken(off)}."] if off else []
    have = "have" if kind == "parameters" else "take"
    return lines + ([f"The records do not say how many {COUNTS[kind]} {spoken(unknown)} {have}."] if unknown else [])


def is_matched(data: ReportData, kind: str, twin: Comparison) -> bool:
    """Whether the recorded sizes of a twin and its baseline are equal, within the tolerance."""
    found = ratio(data, kind, twin)
    return found is not None and abs(found - 1) <= WITHIN


def ratio(data: ReportData, kind: str, found: Comparison) -> float | None:
    """The recorded size of a variant over that of its baseline; None if they are unknown."""
    mine, base = (recorded(data, kind, cell) for cell in (found.variant, found.baseline))
    return mine / base if mine and base else None


def recorded(data: ReportData, kind: str, cell: str) -> float | None:
    """What is matched, as it was recorded: parameters without embeddings, or FLOPs; None if it was not recorded."""
    runs = data.runs_of(cell)
    if kind == "flops":
        return next((run["flops_per_token"] for run in runs if run.get("flops_per_token")), None)
    counts = by_part(next((run["parameter_counts"] for run in runs if run.get("parameter_counts")), None))
    return sum(count for part, count in counts.items() if part.kind != "embedding") if counts else None


def pairs(data: ReportData, kind: str) -> list[Pair]:
    """The comparisons of a variant and of its twin with the same baseline, at each level of the factors."""
    held = {each.variant: each for each in data.comparisons}
    cells = {(cell.variant, tuple(cell.factors.items())): cell.name for cell in data.cells}
    found = []
    for twin, of in data.twins(kind).items():
        for (variant, factors), cell in cells.items():
            raw = cells.get((of, factors))
            if variant == twin and cell in held and raw in held:
                found.append((held[raw], held[cell]))
    return found


def change(raw: Comparison, twin: Comparison) -> str:
    """How the reading changes from a variant to its twin, or from one twin to the other."""
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


def sizes(data: ReportData, kind: str, cell: str) -> str:
    """What is matched, and for parameters also their number with embeddings."""
    size = recorded(data, kind, cell)
    if size is None:
        return "size unknown"
    if kind == "flops":
        return f"{short(size)} {COUNTS[kind]}"
    whole = next((run.get("parameters") for run in data.runs_of(cell)), None)
    return f"{short(size)} parameters ({short(whole)} with embeddings)"
