"""Published results on a study's question beside its own, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ablate.analysis.effects import Comparison
from ablate.analysis.metrics import metric
from ablate.records.report_data import ReportData
from ablate.report.wording import ABSENT, escape, estimate, name, number, table, with_unit
from ablate.study import Published, Study


@dataclass(frozen=True)
class Beside:
    text: str  # what was found, and by whom
    table: str  # their numbers beside ours; empty where they gave none


def published(data: ReportData) -> list[Beside]:
    return [Beside(f"{escape(each.text)} ({escape(each.source)})", numbers(data, each)) for each in data.study.known]


def numbers(data: ReportData, found: Published) -> str:
    """A row for each of their numbers. Other corpora have other scales, so differences stand side by side."""
    held = [row.own for row in data.tuning.rows] if data.tuning else data.comparisons
    rows = [
        [name(cell), number(value, decimals(value)), theirs(data.study, found, cell), ours(held, cell)]
        for cell, value in found.numbers.items()
    ]
    header = ["variant", f"published, {escape(found.unit)}", "published difference"]
    header += [f"difference here, {with_unit(metric(data.study.metric))} [95 %]"]
    return table(header, rows, right=[1, 2, 3]) if rows else ""


def theirs(study: Study, found: Published, cell: str) -> str:
    """Their number less that of the cell's baseline; a dash where they give no number of it."""
    variant = max((each for each in study.variants if f"{cell},".startswith(f"{each},")), key=len, default=cell)
    baseline = study.baseline + cell.removeprefix(variant)
    if baseline not in found.numbers or baseline == cell:
        return ABSENT
    mine, base = found.numbers[cell], found.numbers[baseline]
    return number(mine - base, max(decimals(mine), decimals(base)), signed=True)


def ours(held: Sequence[Comparison], cell: str) -> str:
    """The difference of the cell, or of each cell that has further levels."""
    of_cell = {each.variant.removeprefix(cell): each for each in held if f"{each.variant},".startswith(f"{cell},")}
    shown = [
        estimate(each.effect, metric(each.metric), signed=True) + (f" at {escape(level[1:])}" if level else "")
        for level, each in of_cell.items()
        if each.arms.seeds
    ]
    return "; ".join(shown) or ABSENT


def decimals(value: float) -> int:
    """As many as the number was given with."""
    return len(f"{value:.10g}".partition(".")[2])
