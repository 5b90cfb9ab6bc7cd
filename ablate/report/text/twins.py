"""Variants of another size beside their twins of the baseline's size (match=parameters), in Markdown."""

from __future__ import annotations

from ablate.analysis.effects import Comparison
from ablate.analysis.metrics import metric
from ablate.analysis.verdicts import Reading
from ablate.records.read import ReportData
from ablate.report.text.answer import worded
from ablate.report.wording import ABSENT, estimate, name, short, spoken, table
from ablate.store.parts import by_part

SIGNS = {Reading.better: 1, Reading.higher: 1, Reading.worse: -1, Reading.lower: -1}


def matched(data: ReportData) -> str:
    """A row a variant that has a twin: its difference from the baseline as it is, and at the baseline's size."""
    measure = metric(data.study.metric)
    rows = []
    for raw, twin in pairs(data):
        cells = [
            estimate(each.effect.mean, each.effect.low, each.effect.high, measure, signed=True)
            + f", {worded(each)}, {sizes(data, each.variant)}"
            if each.arms.seeds
            else ABSENT
            for each in (raw, twin)
        ]
        rows.append([name(raw.variant), *cells, said(raw, twin)])
    header = ["variant", "as it is [95 %]", "at the baseline's size [95 %]", ""]
    return table(header, rows) if rows else ""


def turns(data: ReportData) -> list[str]:
    """What becomes of the sign of an effect with what is matched, in a line; none where there are no twins."""
    found = [(name(raw.variant), said(raw, twin), raw, twin) for raw, twin in pairs(data)]
    turned = [variant for variant, word, _, _ in found if word.startswith("**turns")]
    leaning = [
        variant for variant, _, raw, twin in found if variant not in turned and raw.effect.mean * twin.effect.mean < 0
    ]
    lines = []
    if turned:
        lines.append(f"The sign of the effect depends on whether parameters are matched: {spoken(turned)}.")
    if leaning:
        lines.append(
            f"The mean has another sign when parameters are matched, but that is not decided: {spoken(leaning)}."
        )
    return lines or (["No effect is seen to change its sign with what is matched."] if found else [])


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


def said(raw: Comparison, twin: Comparison) -> str:
    """What a change of size makes of a reading."""
    if raw.conditional or twin.conditional or not (raw.arms.seeds and twin.arms.seeds):
        return "conditional on survival" if raw.conditional or twin.conditional else ABSENT
    signs = SIGNS.get(raw.reading, 0), SIGNS.get(twin.reading, 0)
    if signs[0] * signs[1] < 0:
        return "**turns**"
    if raw.reading is twin.reading:
        return "the same" if raw.reading is not Reading.unresolved else "open either way"
    if raw.effect.mean * twin.effect.mean < 0 and any(signs):
        return "**turns**, though one of them is not decided"
    return "differs"


def sizes(data: ReportData, cell: str) -> str:
    """Parameters without embeddings, and with them."""
    for run in data.runs_of(cell):
        counts = by_part(run.get("parameter_counts"))
        inner = sum(count for part, count in counts.items() if part.kind != "embedding")
        return f"{short(inner)} parameters ({short(run.get('parameters'))} with embeddings)" if counts else ""
    return ""
