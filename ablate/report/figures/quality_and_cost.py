"""Quality against the time that training takes."""

from __future__ import annotations

from statistics import median

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ablate.analysis.effects import of_cell, pair, values
from ablate.analysis.metrics import metric
from ablate.records.report_data import ReportData
from ablate.report.figures.factors import bar
from ablate.report.figures.style import legend_above, limits, looks, name_marks, name_variants, panels
from ablate.report.levels import numeric
from ablate.report.wording import bounded, with_unit
from ablate.study import Study

COSTLIER = 1.02  # times the baseline's operations a token, or the other way round, from which cost is a question
MINUTE = 60


def quality_and_cost(data: ReportData) -> Figure | None:
    """The study's metric over the time of training: a small mark a seed, a large one the mean, with its interval.

    For studies without factors whose variants differ in cost, or in a number such as the width of a layer. Then a line
    joins the means in its order.
    """
    order = numeric_choice(data.study)
    if data.study.factors or not (order or costs_differ(data)):
        return None
    shown = {cell.name: points_of(data, cell.name) for cell in data.trained_cells}
    if not any(shown.values()):
        return None
    figure, axes = panels(1, 1, 3.6)
    panel = axes[0, 0]
    points = [point for found in shown.values() for point in found.values()]
    longest = max(time for time, _ in points)
    ends = [end for name, of in shown.items() if of for end in draw_variant(panel, data, name, of, 0.01 * longest)]
    if order:
        names = [name for name in sorted(order, key=order.__getitem__) if shown.get(name)]
        means = [np.mean(list(shown[name].values()), axis=0) for name in names]
        panel.plot(*zip(*means), color="0.6", linewidth=1.2, zorder=1)
    panel.set_ylim(limits([score for _, score in points], ends))
    panel.set_xlim(0, 1.08 * longest)
    panel.set_xlabel("time of training (minutes), " + ("measured in turns" if data.cost else "of runs side by side"))
    panel.set_ylabel(with_unit(metric(data.study.metric)))
    name_variants(panel, data, line=False)
    name_marks(panel)
    legend_above(figure, panel)
    return figure


def points_of(data: ReportData, name: str) -> dict[int, tuple[float, float]]:
    """Seed -> time and score, of the runs that have both."""
    times, scores = minutes(data, name), values(of_cell(data.runs, name), metric(data.study.metric))
    return {seed: (times[seed], score) for seed, score in scores.items() if seed in times}


def draw_variant(
    panel: Axes, data: ReportData, name: str, points: dict[int, tuple[float, float]], aside: float
) -> tuple[float, float]:
    """The seeds, a little to the right, the mean and its interval. Returns the ends of the interval."""
    look, measure = looks(data)[name], metric(data.study.metric)
    times, scores = zip(*points.values())
    interval = bounded(data.mean_of(name, data.study.metric), measure)
    panel.scatter(np.add(times, aside), scores, s=14, zorder=2, **look.seed)
    panel.plot(np.mean(times), np.mean(scores), zorder=3, **look.line)
    if interval.n > 1:
        bar(panel, float(np.mean(times)), interval.low, interval.high, look.color)
    return interval.low, interval.high


def minutes(data: ReportData, name: str) -> dict[int, float]:
    """Seed -> minutes of training: updates at the probe's speed, or the run's own time where nothing was probed."""
    probed = data.cost["cells"].get(name) if data.cost else None
    if data.cost is None:
        return {seed: time / MINUTE for seed, time in values(of_cell(data.runs, name), metric("seconds")).items()}
    if probed is None:
        return {}
    update = median(probed["seconds"]) / MINUTE
    return {pair(run): run["updates"] * update for run in data.runs_of(name) if run.get("updates")}


def costs_differ(data: ReportData) -> bool:
    """Whether a variant takes more or fewer operations a token than its baseline."""
    for cell in data.trained_cells:
        sides = (data.runs_of(cell.name), data.runs_of(cell.baseline or ""))
        mine, base = (values(runs, metric("flops_per_token")) for runs in sides)
        if mine and base:
            ratio = np.mean(list(mine.values())) / np.mean(list(base.values()))
            if not 1 / COSTLIER < ratio < COSTLIER:
                return True
    return False


def numeric_choice(study: Study) -> dict[str, float] | None:
    """Variant -> the number that every variant sets one key to; None if they set other keys, or equal numbers."""
    keys = {tuple(overrides) for overrides in study.variants.values()}
    if len(keys) != 1 or len(next(iter(keys))) != 1:
        return None
    key = next(iter(keys))[0]
    sizes = {variant: overrides[key] for variant, overrides in study.variants.items()}
    apart = len(set(map(str, sizes.values()))) == len(sizes) > 1
    return sizes if apart and all(map(numeric, sizes.values())) else None
