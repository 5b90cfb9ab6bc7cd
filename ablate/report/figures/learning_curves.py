"""Learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ablate.analysis.effects import pair
from ablate.config import LEARNED_BELOW
from ablate.records.report_data import ReportData
from ablate.report.figures.style import INK, beside, legend_above, looks, name_variants, panels
from ablate.report.levels import by_level
from ablate.study import Cell

ACROSS = 4  # most panels side by side


@dataclass(frozen=True)
class Curve:
    """Finite validation losses of a run in nats per token, and their updates."""

    cell: str
    finished: bool
    updates: tuple[int, ...]
    losses: tuple[float, ...]


def learning_curves(data: ReportData) -> Figure | None:
    """Validation loss over updates: mean and band of the runs that finished, and each run that did not finish.

    Without factors the whole curve and its last half are side by side. With factors there is a panel for each level,
    and the last half is below.
    """
    if "corpora" in data.manifest:
        return None  # losses a token of different vocabularies do not compare
    curves = validation_curves(data)
    if not curves:
        return None
    levels = list(by_level(data.trained_cells).items())
    lasts = [last_update(curves, cells) for _, cells in levels]
    late = {
        update for curve in curves if curve.finished for update in curve.updates if update >= max(lasts, default=0) / 2
    }
    shared = len(set(lasts)) < 2  # where updates are a factor, each level has its own last half
    zoomed = len(late) > 1 and len(levels) <= beside([title for title, _ in levels], ACROSS)
    if len(levels) == 1:
        figure, axes = panels(1, 1 + zoomed, 3.6)
        whole, zoom = axes[:, 0], axes[0, 1:]
    else:
        across = beside([title for title, _ in levels], ACROSS)
        rows = -(-len(levels) // across)
        figure, axes = panels(
            rows + zoomed, across, 0.8 + 2.3 * (rows + zoomed), sharex="row" if shared else "none", sharey="row"
        )
        whole, zoom = axes[:rows].ravel(), axes[rows:].ravel()
    for panel in whole[len(levels) :]:
        panel.set_visible(False)
    for panel, (title, cells) in zip(whole, levels):
        mean_curves(panel, data, cells, curves, 0)
        lost_curves(panel, data, cells, curves)
        panel.set_title(title)
    for panel, (_, cells), last in zip(zoom, levels, lasts):
        mean_curves(panel, data, cells, curves, last / 2)
    longest = max(curve.updates[-1] for curve in curves)
    for panel, last in zip(whole, lasts):
        panel.set_xlim(0, 1.04 * (longest if shared else last or longest))
    for panel in [] if shared else axes.flat:
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    name_variants(whole[0], data)
    label_marks(whole, data, curves)
    for panel in axes.flat:
        panel.set_xlabel("updates")
    for panel in axes[:, 0]:
        panel.set_ylabel("validation loss\n(nats/token)" if len(levels) > 1 else "validation loss (nats/token)")
    if len(levels) > 1:
        for panel in axes.flat:
            panel.label_outer(remove_inner_ticks=False)
            panel.tick_params(labelbottom=True)
    legend_above(figure, whole[0])
    return figure


def last_update(curves: list[Curve], cells: Sequence[Cell]) -> int:
    """At which the longest of these cells' runs that finished ends; 0 where none did."""
    names = {cell.name for cell in cells}
    return max((curve.updates[-1] for curve in curves if curve.finished and curve.cell in names), default=0)


def mean_curves(panel: Axes, data: ReportData, cells: Sequence[Cell], curves: list[Curve], start: float) -> None:
    """A line and a band for each variant, beginning with update `start`."""
    for cell in cells:
        at: dict[int, list[float]] = {}
        for curve in curves:
            if curve.cell == cell.name and curve.finished:
                for update, loss in zip(curve.updates, curve.losses):
                    at.setdefault(update, []).append(loss)
        updates = sorted(update for update in at if update >= start)
        if updates:
            look, intervals = looks(data)[cell.variant], [data.estimator.interval(at[update]) for update in updates]
            every = max(1, len(updates) // 6)
            panel.plot(updates, [each.mean for each in intervals], markevery=every, **look.line)
            low, high = ([each.low for each in intervals], [each.high for each in intervals])
            panel.fill_between(
                updates, low, high, color=look.color, alpha=0.15 if len(cells) < 5 else 0.08, linewidth=0
            )


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
    """In the order of seeds, as intervals need them."""
    found = []
    for run in sorted(data.runs, key=pair):
        curve = (data.curves.get(run["run_id"]) or {}).get("validation") or {"update": (), "loss": ()}
        points = [
            (update, loss)
            for update, loss in zip(curve["update"], curve["loss"])
            if loss is not None and np.isfinite(loss)
        ]
        if points and run.get("updates") != 0:
            found.append(Curve(run["variant"], run["status"] == "finished", *zip(*points)))
    return found
