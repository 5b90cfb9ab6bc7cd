"""The figures of a report: functions (ReportData) -> Figure, or None where the records lack what they would show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ablate.analysis.effects import Comparison, comparisons, of_cell, values
from ablate.analysis.metrics import metric
from ablate.analysis.statistics import mean_interval
from ablate.config import LEARNED_BELOW
from ablate.report.layers import dead_units, gradient_norms
from ablate.report.records import ReportData
from ablate.report.style import INK, legend_above, looks, panels
from ablate.report.wording import with_unit


@dataclass(frozen=True)
class Entry:
    draw: Callable[[ReportData], Figure | None]
    title: str
    caption: str  # what to see, whatever the results are


def effects(data: ReportData) -> Figure | None:
    """Paired difference of each variant to its baseline: every seed, mean and interval, zero and the margin."""
    found = [each for each in comparisons(data.study, data.runs) if each.arms.seeds]
    if not found:
        return None
    measure, look = metric(data.study.metric), looks(data)
    figure, axes = panels(1, 1, 1.3 + 0.5 * len(found))
    panel = axes[0, 0]
    margin = max(each.margin for each in found)
    if margin:
        panel.axvspan(-margin, margin, color="0.9", zorder=0, label=f"margin ±{margin:.2g}")
        legend_above(figure, panel)
    panel.axvline(0, color=INK, linewidth=1, zorder=1)
    for row, each in enumerate(found):
        effect, style = each.effect, look[each.variant]
        difference = each.arms.variant - each.arms.baseline
        below = row + 0.18 + 0.2 * np.arange(len(difference)) / max(1, len(difference) - 1)  # apart, where seeds agree
        panel.scatter(difference, below, marker=style.marker, color=style.color, s=30, alpha=0.8, linewidth=0, zorder=2)
        if np.isfinite(effect.low):
            panel.plot([effect.low, effect.high], [row, row], color=style.color, linewidth=2.5, solid_capstyle="butt")
        panel.plot(effect.mean, row, "|", color=style.color, markersize=16, markeredgewidth=2.5)
    panel.set_yticks(range(len(found)), [f"{each.variant}\n{pairs_kept(each)}" for each in found])
    panel.set_ylim(len(found) - 0.45, -0.5)
    baselines = {each.baseline for each in found}
    against = baselines.pop() if len(baselines) == 1 else "its baseline"
    panel.set_xlabel(f"difference in {with_unit(measure)}, variant minus {against}")
    panel.grid(axis="y", visible=False)
    return figure


def pairs_kept(found: Comparison) -> str:
    kept, all_pairs = len(found.arms.seeds), len({*found.arms.seeds, *found.arms.lost, *found.arms.mixed})
    return f"{kept} of {all_pairs} pairs" if kept < all_pairs else "1 pair" if kept == 1 else f"{kept} pairs"


def scores(data: ReportData) -> Figure | None:
    """Every seed's score; a line joins the two runs of a seed. One panel a variant, the baseline on its left."""
    measure, look = metric(data.study.metric), looks(data)
    scored = {cell.name: values(of_cell(data.runs, cell.name), measure) for cell in data.cells}
    if not any(scored.values()):
        return None
    cells = {cell.name: cell for cell in data.cells}
    shown = [cell for cell in data.cells if cell.baseline is not None] or data.cells
    widest = max(len(part) for cell in data.cells for part in cell.variant.split(","))
    columns = min(len(shown), 4 if widest < 12 else 3 if widest < 15 else 2)
    rows = -(-len(shown) // columns)
    figure, axes = panels(rows, columns, 0.6 + 2.3 * rows, sharey=True)
    for panel, cell in zip(axes.flat, shown):
        sides = [name for name in (cell.baseline, cell.name) if name is not None]
        for seed in sorted(set.intersection(*(set(scored[name]) for name in sides))):
            panel.plot(range(len(sides)), [scored[name][seed] for name in sides], color="0.6", linewidth=1, zorder=1)
        ticks = []
        for place, name in enumerate(sides):
            points, style = list(scored[name].values()), look[name]
            panel.scatter(
                [place] * len(points),
                points,
                color=style.color,
                marker=style.marker,
                s=36,
                alpha=0.8,
                linewidth=0,
                zorder=2,
            )
            missing = len(data.runs_of(name)) - len(points)
            ticks.append(cells[name].variant.replace(",", ",\n") + (f"\n{missing} without\nscore" if missing else ""))
        panel.set_xticks(range(len(sides)), ticks)
        panel.set_xlim(-0.5, len(sides) - 0.5)
        panel.set_title(", ".join(f"{name}={level}" for name, level in cell.factors.items()))
        panel.grid(axis="x", visible=False)
    for panel in axes.flat[len(shown) :]:
        panel.set_visible(False)
    for panel in axes[:, 0]:
        panel.set_ylabel(with_unit(measure))
    return figure


def learning_curves(data: ReportData) -> Figure | None:
    """Validation loss over updates: mean and band of the runs that finished; a run that did not, on its own to its end.

    The second panel is the last half of the first, where variants that train at all lie close together.
    """
    curves = validation_curves(data)
    if curves.empty:
        return None
    finished, lost = curves[curves["finished"]], curves[~curves["finished"]]
    late = finished[finished["update"] >= finished["update"].max() / 2]
    zoomed = late["update"].nunique() > 1
    figure, axes = panels(1, 1 + zoomed, 3.6)
    whole = axes[0, 0]
    for panel, shown in zip(axes[0], (finished, late)):
        mean_curves(panel, data, shown)
        panel.set_xlabel("updates")
        panel.set_ylabel("")
    whole.set_ylabel("validation loss (nats/token)")
    whole.set_xlim(left=0)
    for _, run in lost.groupby("run_id", sort=False):
        color = looks(data)[str(run["variant"].iloc[0])].color
        whole.plot(run["update"], run["loss"], color=color, linewidth=1)
        whole.plot(run["update"].iloc[-1], run["loss"].iloc[-1], "x", color=color, markersize=9, markeredgewidth=2)
    if not lost.empty:
        whole.plot([], [], "x", color=INK, markersize=8, markeredgewidth=2, label="did not finish")
    threshold = data.manifest["corpus"].get("unigram_cross_entropy")
    if threshold is not None and LEARNED_BELOW * threshold < curves["loss"].max() * 1.1:
        whole.axhline(LEARNED_BELOW * threshold, color=INK, linewidth=1, linestyle=":", label="below: learned")
    legend_above(figure, whole)
    return figure


def mean_curves(panel: Axes, data: ReportData, curves: pd.DataFrame) -> None:
    """A line and a band for each variant."""
    every = max(1, curves["update"].nunique() // 6)
    for cell in data.cells:
        style, mine = looks(data)[cell.name], curves[curves["variant"] == cell.name]
        marks = {
            "color": style.color,
            "linestyle": style.linestyle,
            "marker": style.marker,
            "markersize": 5.5,
            "linewidth": 1.6,
        }
        panel.plot([], [], label=cell.name, **marks)
        if not mine.empty:
            shade = {"alpha": 0.15 if len(data.cells) < 5 else 0.08, "linewidth": 0}
            sns.lineplot(
                mine,
                x="update",
                y="loss",
                errorbar=band,
                err_kws=shade,
                markevery=every,
                mew=0,
                legend=False,
                ax=panel,
                **marks,
            )


def validation_curves(data: ReportData) -> pd.DataFrame:
    """A row a validation of a run: variant, run_id, finished, update, loss; values that are not finite are left out."""
    rows = [
        (run["variant"], run["run_id"], run["status"] == "finished", update, loss)
        for run in data.runs
        for curve in [(data.curves.get(run["run_id"]) or {}).get("validation") or {"update": (), "loss": ()}]
        for update, loss in zip(curve["update"], curve["loss"])
        if loss is not None and np.isfinite(loss)
    ]
    return pd.DataFrame(rows, columns=["variant", "run_id", "finished", "update", "loss"])


def band(losses: pd.Series) -> tuple[float, float]:
    """The 95 % t interval over seeds; of one seed, none."""
    interval = mean_interval(losses.to_numpy())
    return (interval.low, interval.high) if interval.n > 1 else (interval.mean, interval.mean)


FIGURES = {
    "effects": Entry(
        effects,
        "Effect of each variant",
        "What to see: whether an interval (bar) excludes zero (line) or lies inside the margin (grey). "
        "Every small mark is a seed.",
    ),
    "scores": Entry(
        scores,
        "Scores of every run",
        "What to see: whether the lines, each a seed, all lean the same way, and how far seeds scatter.",
    ),
    "learning_curves": Entry(
        learning_curves,
        "Learning curves",
        "What to see: which variant learns faster (left) and which ends lower (right, the last half enlarged). "
        "Lines are means over the runs that finished, bands 95 % t intervals over seeds.",
    ),
    "gradient_norms": Entry(
        gradient_norms,
        "Gradient norm by layer",
        "What to see: whether gradients are even across layers (flat) or grow or fade with depth (sloped). "
        "Lines are means over seeds, bars their range; the scale is logarithmic.",
    ),
    "dead_units": Entry(
        dead_units,
        "Dead feed-forward units by layer",
        "What to see: the share of units that are off (zero; for GELU and SiLU never above 0.001 in size) on every "
        "token of the validation set, and in which layers. "
        "Weights are those that were kept. Lines are means over seeds, bars their range.",
    ),
}
