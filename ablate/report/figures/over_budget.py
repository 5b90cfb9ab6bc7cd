"""The difference from the baseline over the number of updates that the runs trained for."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ablate.analysis.budgets import OverBudget, budget_factor
from ablate.analysis.metrics import metric
from ablate.records.report_data import ReportData
from ablate.report.figures.factors import bar
from ablate.report.figures.style import (
    INK,
    Look,
    beside,
    legend_above,
    legible,
    limits,
    looks,
    name_marks,
    own_ticks,
    panels,
)
from ablate.report.levels import coordinates
from ablate.report.wording import with_unit

ACROSS = 3  # most panels side by side
BETTER = {True: "above 0: better", False: "below 0: better", None: ""}  # by Metric.higher_is_better


def over_budget(data: ReportData) -> Figure | None:
    """Paired differences over updates on a logarithmic axis: a line a variant, zero, and the band of the margin.

    With another factor there is a panel for each of its levels, all on one scale.
    """
    rows = by_other_levels(data)
    if not rows:
        return None
    across = beside(rows, ACROSS)
    down = -(-len(rows) // across)
    figure, axes = panels(down, across, 1.1 + 2.9 * down, sharex=True, sharey=True)
    shown = [difference for found in rows.values() for each in found for difference in each.differences]
    for panel, (title, found) in zip(axes.flat, rows.items()):
        draw_panel(panel, data, found)
        panel.set_title(title)
    for panel in axes.flat[len(rows) :]:
        panel.set_visible(False)
    points = [point for each in shown for point in (each.arms.variant - each.arms.baseline)]
    sides = [side for each in shown for side in (-each.margin, each.margin)]
    ends = [end for each in shown for end in (each.effect.low, each.effect.high)]
    axes[0, 0].set_ylim(limits([*points, 0, *sides], ends))
    levels = next(iter(rows.values()))[0].levels
    axes[0, 0].set_xscale("log")
    own_ticks(axes[0, 0], levels, [f"{level:,}" for level in levels])
    axes[0, 0].set_xlim(*edges(levels))
    measure = metric(data.study.metric)
    for panel in axes[:, 0]:
        label = [f"difference in {with_unit(measure)}", BETTER[measure.higher_is_better]]
        panel.set_ylabel("\n".join(part for part in label if part))
    for panel in axes[-1]:
        panel.set_xlabel("updates")
    name_lines(axes[0, 0], data, [each for found in rows.values() for each in found])
    legend_above(figure, axes[0, 0])
    return figure


def by_other_levels(data: ReportData) -> dict[str, list[OverBudget]]:
    """The level of the other factors -> what its panel shows."""
    cells, factor = {cell.name: cell for cell in data.cells}, budget_factor(data.study)
    found: dict[str, list[OverBudget]] = {}
    for each in data.over_budgets:
        levels = cells[each.differences[0].variant].factors
        title = coordinates({name: level for name, level in levels.items() if name != factor})
        found.setdefault(title, []).append(each)
    return found


def edges(levels: Sequence[float]) -> tuple[float, float]:
    """The ends of the axis of updates, a fifth of the distance of two levels beyond the first and the last."""
    room = (levels[-1] / levels[0]) ** (0.2 / (len(levels) - 1))
    return levels[0] / room, levels[-1] * room


def draw_panel(panel: Axes, data: ReportData, found: Sequence[OverBudget]) -> None:
    """A line for each variant. Variants stand a little apart, and the seeds a little to the right of their mean."""
    panel.axhline(0, color=INK, linewidth=1.2, zorder=1)
    levels, margins = found[0].levels, [each.margin for each in found[0].differences]
    ends, wide = edges(levels), [margins[0], *margins, margins[-1]]
    below = [-margin for margin in wide]
    panel.fill_between([ends[0], *levels, ends[1]], below, wide, facecolor="0.9", linewidth=0, zorder=0)
    apart = math.log(levels[-1] / levels[0]) / (len(levels) - 1) * 0.06
    for index, each in enumerate(found):
        look = look_of(data, each)
        aside = math.exp(apart * (index - (len(found) - 1) / 2))
        places = [level * aside for level in levels]
        panel.plot(places, [one.effect.mean for one in each.differences], zorder=3, **look.line)
        for place, one in zip(places, each.differences):
            bar(panel, place, one.effect.low, one.effect.high, look.color)
            seeds = one.arms.variant - one.arms.baseline
            panel.scatter([place * math.exp(0.4 * apart)] * len(seeds), seeds, s=12, zorder=2, **look.seed)
    panel.grid(axis="x", visible=False)


def look_of(data: ReportData, found: OverBudget) -> Look:
    return looks(data)[next(cell.variant for cell in data.cells if cell.name == found.differences[0].variant)]


def name_lines(panel: Axes, data: ReportData, found: Sequence[OverBudget]) -> None:
    """The legend: each variant once, what the line at zero is, the band, and the marks."""
    variants = {cell.name: cell.variant for cell in data.cells}
    shown = {variants[each.differences[0].variant] for each in found}
    for variant, look in looks(data).items():
        if variant != data.study.baseline:
            panel.plot([], [], label=legible(variant if variant in shown else f"{variant}: none"), **look.line)
    panel.plot([], [], color=INK, linewidth=1.2, label=f"{data.study.baseline}: the line at 0")
    panel.fill_between([], [], [], facecolor="0.9", linewidth=0, label="margin")
    name_marks(panel)
