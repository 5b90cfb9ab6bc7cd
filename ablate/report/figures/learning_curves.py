"""Learning curves, and how far the variants' curves lie from the baseline's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ablate.analysis.effects import pair
from ablate.analysis.statistics import Interval
from ablate.config import LEARNED_BELOW
from ablate.records.report_data import ReportData
from ablate.report.figures.style import INK, beside, legend_above, limits, logarithmic, looks, name_variants, panels
from ablate.report.levels import by_level
from ablate.study import Cell

ACROSS = 4  # most panels side by side
FROM = 0.25  # share of the updates from which differences are shown: before, they are many times as large
Course = dict[int, list[float]]  # update -> a number a seed


@dataclass(frozen=True)
class Curve:
    """Finite validation losses of a run in nats per token, and their updates."""

    cell: str
    seed: int  # or the pair of halves
    finished: bool
    updates: tuple[int, ...]
    losses: tuple[float, ...]


def learning_curves(data: ReportData) -> Figure | None:
    """Validation loss over updates on a logarithmic axis, and each variant's difference from the baseline.

    Means and bands are over the runs that finished; each run that did not finish has a line of its own. Differences
    are within a seed. Without factors the two are side by side; else each level has a panel of both, one below another.
    """
    if "corpora" in data.manifest:
        return None  # losses a token of different vocabularies do not compare
    curves = validation_curves(data)
    if not curves:
        return None
    levels = list(by_level(data.trained_cells).items())
    gaps = {cell.name: differences(curves, cell) for cell in data.trained_cells}
    figure, above, below = laid_out([title for title, _ in levels], compared=any(gaps.values()))
    lasts = [last_update(curves, cells) for _, cells in levels]
    longest = max(curve.updates[-1] for curve in curves)
    shared = len(set(lasts)) < 2  # where updates are a factor, each level has an axis of its own
    for panel, (title, cells), last in zip(above, levels, lasts):
        mean_curves(panel, data, cells, curves)
        lost_curves(panel, data, cells, curves)
        panel.set_title(title)
        panel.set_xlim(0, 1.04 * (longest if shared else last or longest))
    found: list[Interval] = []
    for panel, (_, cells), whole in zip(below, levels, above):
        panel.axhline(0, color=INK, linewidth=1, zorder=1)
        for cell in cells:
            found += draw_course(panel, data, cell, gaps[cell.name])
        start, end = whole.get_xlim()
        panel.set_xlim(start if len(levels) > 1 else 0.9 * FROM * end, end)
    on_one_scale(above, below, curves, found)
    name_variants(above[0], data)
    label_marks(above, data, curves)
    for panel in (*above, *below):
        panel.set_xlabel("updates")
        panel.xaxis.set_major_locator(MaxNLocator(5 if len(levels) < 2 else 4, integer=True))
    beginnings = (above[:1], below[:1]) if len(levels) < 2 else (above, below)
    for panels_of, label in zip(beginnings, ("validation loss", f"difference from\n{data.study.baseline}")):
        for panel in panels_of:
            panel.set_ylabel(f"{label} (nats/token)" if "\n" in label or len(levels) < 2 else f"{label}\n(nats/token)")
    for panel in (*above, *below) if len(levels) > 1 else ():
        panel.label_outer(remove_inner_ticks=False)
        panel.tick_params(labelbottom=True)
    legend_above(figure, above[0])
    return figure


def laid_out(titles: Sequence[str], compared: bool) -> tuple[Figure, list[Axes], list[Axes]]:
    """The figure, with a panel for the losses of each level, and one for its differences where there are any."""
    if len(titles) < 2:
        figure, axes = panels(1, 1 + compared, 3.6)
        return figure, [axes[0, 0]], list(axes[0, 1:])
    across, both = beside(titles, ACROSS), 1 + compared
    rows = -(-len(titles) // across)
    figure, axes = panels(rows * both, across, 0.8 + 2.2 * rows * both)
    above, below = list(axes[::both].ravel()), list(axes[1::both].ravel() if compared else ())
    for panel in (*above[len(titles) :], *below[len(titles) :]):
        panel.set_visible(False)
    return figure, above[: len(titles)], below[: len(titles)]


def on_one_scale(
    above: Iterable[Axes], below: Iterable[Axes], curves: Sequence[Curve], gaps: Sequence[Interval]
) -> None:
    """The same axis for all losses, and for all differences."""
    losses = [loss for curve in curves for loss in curve.losses]
    ends = [end for each in gaps for end in (each.low, each.high)]
    for panel in above:
        logarithmic(panel, min(losses), max(losses))
        panel.set_ylim(min(losses) / 1.1, max(losses) * 1.1)
    for panel in below:
        panel.set_ylim(limits([0, *(each.mean for each in gaps)], ends))


def last_update(curves: list[Curve], cells: Sequence[Cell]) -> int:
    """At which the longest of these cells' runs that finished ends; 0 where none did."""
    names = {cell.name for cell in cells}
    return max((curve.updates[-1] for curve in curves if curve.finished and curve.cell in names), default=0)


def mean_curves(panel: Axes, data: ReportData, cells: Sequence[Cell], curves: list[Curve]) -> None:
    """A line and a band for each variant."""
    for cell in cells:
        at: Course = {}
        for curve in curves:
            if curve.cell == cell.name and curve.finished:
                for update, loss in zip(curve.updates, curve.losses):
                    at.setdefault(update, []).append(loss)
        draw_course(panel, data, cell, at)


def draw_course(panel: Axes, data: ReportData, cell: Cell, at: Course) -> list[Interval]:
    """A line of means, and the band of their intervals, which are returned."""
    updates = sorted(at)
    found: list[Interval] = [data.estimator.interval(at[update]) for update in updates]
    if updates:
        look = looks(data)[cell.variant]
        panel.plot(updates, [each.mean for each in found], markevery=max(1, len(updates) // 6), **look.line)
        low, high = [each.low for each in found], [each.high for each in found]
        panel.fill_between(updates, low, high, color=look.color, alpha=0.15, linewidth=0)
    return found


def differences(curves: Sequence[Curve], cell: Cell) -> Course:
    """The cell's loss less that of its baseline, seed by seed, at the later updates that both have."""
    finished = [curve for curve in curves if curve.finished]
    sides = [
        {curve.seed: dict(zip(curve.updates, curve.losses)) for curve in finished if curve.cell == name}
        for name in (cell.name, cell.baseline)
    ]
    found: Course = {}
    for seed in sorted(sides[0].keys() & sides[1].keys()):
        mine, base = (side[seed] for side in sides)
        for update in sorted(mine.keys() & base.keys()):
            if update >= FROM * max(mine):
                found.setdefault(update, []).append(mine[update] - base[update])
    return found if len(found) > 1 else {}


def lost_curves(panel: Axes, data: ReportData, cells: Sequence[Cell], curves: list[Curve]) -> None:
    """A line for each run that did not finish, with a cross at its end."""
    for cell in cells:
        color = looks(data)[cell.variant].color
        for curve in curves:
            if curve.cell == cell.name and not curve.finished:
                panel.plot(curve.updates, curve.losses, color=color, linewidth=1)
                panel.plot(curve.updates[-1], curve.losses[-1], "x", color=color, markersize=9, markeredgewidth=2)


def label_marks(whole: Sequence[Axes], data: ReportData, curves: list[Curve]) -> None:
    """Label the cross, and the loss below which a run has learned, if they are in the figure."""
    if not all(curve.finished for curve in curves):
        whole[0].plot([], [], "x", color=INK, markersize=8, markeredgewidth=2, label="did not finish")
    unigram = data.unigram
    if unigram is not None and LEARNED_BELOW * unigram < 1.1 * max(max(curve.losses) for curve in curves):
        for panel in whole:
            label = "below: learned" if panel is whole[0] else None
            panel.axhline(LEARNED_BELOW * unigram, color=INK, linewidth=1, linestyle=":", label=label)


def validation_curves(data: ReportData) -> list[Curve]:
    """In the order of seeds, as intervals need them. A loss of zero has no place on a logarithmic axis."""
    found = []
    for run in sorted(data.runs, key=pair):
        curve = (data.curves.get(run["run_id"]) or {}).get("validation") or {"update": (), "loss": ()}
        points = [
            (update, loss)
            for update, loss in zip(curve["update"], curve["loss"])
            if loss is not None and np.isfinite(loss) and loss > 0
        ]
        if points and run.get("updates") != 0:
            found.append(Curve(run["variant"], pair(run), run["status"] == "finished", *zip(*points)))
    return found
