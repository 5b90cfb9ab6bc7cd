"""Maps of all cells of a study with factors: their means, and their differences to the baseline at the same level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ablate.analysis.metrics import Metric, metric
from ablate.analysis.statistics import Interval
from ablate.analysis.verdicts import ALPHA
from ablate.records.report_data import ReportData
from ablate.report.figures.style import INK, panels
from ablate.report.levels import coordinates
from ablate.report.wording import ABSENT, estimate, plural, with_unit
from ablate.study import Cell

Grid = dict[tuple[str, Any], tuple[Interval, str]]  # (row, level) -> estimate, and what limits it
ROOM = 100  # characters that fit across the page
SEQUENTIAL, DIVERGING = "Blues", "vlag_r"  # blue: better


def interaction(data: ReportData) -> Figure | None:
    """Two maps over the same levels: means of all cells, and paired differences of the cells that have a baseline.

    Columns are levels of the last factor, rows variants at each level of the other factors. None if fewer than two
    levels or two variants have scores, because an interaction needs two of each.
    """
    measure, cells = metric(data.study.metric), {cell.name: cell for cell in data.trained_cells}
    means = {place(cell): mean_of(data, cell) for cell in cells.values()}
    differences: Grid = {
        place(cells[each.variant]): (
            Interval(each.effect.mean, each.effect.low, each.effect.high, each.effect.seeds),
            f"{plural(each.effect.seeds, 'pair')} left" if each.arms.lost else "",
        )
        for each in data.comparisons
        if each.variant in cells
    }
    shown = {level for (_, level), (found, _) in differences.items() if found.n}
    if not data.study.factors or len(shown) < 2:
        return None
    heights = [len({row for row, _ in grid}) for grid in (means, differences)]
    figure, axes = panels(2, 1, 1.7 + 0.55 * sum(heights), gridspec_kw={"height_ratios": heights})
    better = {True: ", darker is better", False: ", darker is better", None: ", darker is higher"}
    upper, lower = axes[:, 0]
    sign = -1 if measure.higher_is_better is False else 1
    drawn(upper, means, measure, False, SEQUENTIAL + ("_r" if sign < 0 else ""))
    upper.set_title(f"{with_unit(measure)}{better[measure.higher_is_better]}")
    drawn(lower, differences, measure, True, DIVERGING if sign > 0 else DIVERGING.removesuffix("_r"))
    upper.set_xticklabels([])
    others = " and ".join(data.study.factors)
    lower.set_title(f"difference in {with_unit(measure)}, variant minus {data.study.baseline} at the same {others}")
    lower.set_xlabel(list(data.study.factors)[-1])
    return figure


def changes_seen(data: ReportData) -> str:
    """The number of changes from level to level that are significant."""
    found = data.interactions
    if data.earlier:
        return ""
    apart = sum(each.p_holm < ALPHA for each in found)
    below = f"{'has' if apart == 1 else 'have'} p below {ALPHA:g}, by {data.estimator.correction}"
    return f"Of {plural(len(found), 'change')} from the first level {apart} {below}."


def place(cell: Cell) -> tuple[str, Any]:
    *others, last = cell.factors or {"": ""}
    row = ",\n".join(
        part for part in (cell.variant, coordinates({name: cell.factors[name] for name in others})) if part
    )
    return row, cell.factors.get(last, "")


def mean_of(data: ReportData, cell: Cell) -> tuple[Interval, str]:
    runs, found = data.runs_of(cell.name), data.mean_of(cell.name, data.study.metric)
    return found, f"{found.n} of {plural(len(runs), 'run')}" if found.n < len(runs) else ""


def drawn(panel: Axes, grid: Grid, measure: Metric, signed: bool, colours: str) -> None:
    rows, levels = (list(dict.fromkeys(key[side] for key in grid)) for side in (0, 1))
    means = np.array(
        [[grid[row, level][0].mean if (row, level) in grid else math.nan for level in levels] for row in rows]
    )
    labels = [
        [
            label(grid.get((row, level)), measure, signed, (ROOM - max(map(len, rows))) // len(levels))
            for level in levels
        ]
        for row in rows
    ]
    widest = max(float(np.nanmax(np.abs(means))), np.finfo(float).tiny)  # not zero, also if all are equal
    ends = {"vmin": -widest, "vmax": widest} if signed else {}
    sns.heatmap(
        means,
        ax=panel,
        cmap=colours,
        cbar=False,
        linewidths=1.5,
        annot=np.array(labels),
        fmt="",
        annot_kws={"size": 9},
        **ends,
    )
    for row, column in np.argwhere(np.isnan(means)):
        panel.text(column + 0.5, row + 0.5, ABSENT, ha="center", va="center", color=INK, fontsize=9)
    panel.set_xticks(np.arange(len(levels)) + 0.5, [str(level) for level in levels])
    panel.set_yticks(np.arange(len(rows)) + 0.5, rows, rotation=0)
    panel.tick_params(length=0)
    panel.grid(visible=False)


def label(found: tuple[Interval, str] | None, measure: Metric, signed: bool, room: int) -> str:
    """Mean, interval and what limits them, a line each, as far as there is room."""
    if found is None or not found[0].n:
        return ""
    interval, limited = found
    text = estimate(interval, measure, signed)
    mean, _, ends = text.partition(" ")
    lines: Sequence[str] = (mean, ends if len(ends) <= room else "", limited if len(limited) <= room else "")
    return "\n".join(line for line in lines if line)
