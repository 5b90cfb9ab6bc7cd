"""Quality and cost over a design choice that is a number, such as the width of a layer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ablate.analysis.effects import of_cell, values
from ablate.analysis.metrics import metric
from ablate.records.report_data import ReportData
from ablate.report.figures.factors import bar
from ablate.report.figures.style import legend_above, limits, looks, name_variants, own_ticks, panels
from ablate.report.levels import numeric
from ablate.report.wording import with_unit
from ablate.study import Study

COSTS = {"parameters": "parameters", "flops_per_token": "training FLOPs\na target token"}


def quality_and_cost(data: ReportData) -> Figure | None:
    """The study's metric, parameters and FLOPs over the number that the variants set, a column each."""
    chosen = numeric_choice(data.study)
    if chosen is None or data.study.factors:
        return None
    key, sizes = chosen
    scored = {
        variant: list(values(of_cell(data.runs, variant), metric(data.study.metric)).values()) for variant in sizes
    }
    if not any(scored.values()):
        return None
    figure, axes = panels(1, 1 + len(COSTS), 3.2, sharex=True, width_ratios=[1.5, 1, 1])
    draw_scores(axes[0, 0], data, sizes, scored)
    for panel, (name, label) in zip(axes[0, 1:], COSTS.items()):
        draw_cost(panel, data, sizes, name)
        panel.set_ylabel(label)
    low, high = min(sizes.values()), max(sizes.values())
    if log := 0 < 4 * low <= high:
        axes[0, 0].set_xscale("log")
        axes[0, 0].set_xlim(low / 1.3, high * 1.3)
    ticks = apart(sorted(sizes.values()), log)
    own_ticks(axes[0, 0], ticks, [f"{size:g}" for size in ticks])
    for panel in axes[0]:
        panel.set_xlabel(key.rpartition(".")[2])
        panel.grid(axis="x", visible=False)
    name_variants(axes[0, 0], data, line=False)
    legend_above(figure, axes[0, 0])
    return figure


def numeric_choice(study: Study) -> tuple[str, dict[str, float]] | None:
    """The key that every variant sets, and variant -> number; None if variants set other keys or equal numbers."""
    keys = {tuple(overrides) for overrides in study.variants.values()}
    if len(keys) != 1 or len(next(iter(keys))) != 1:
        return None
    key = next(iter(keys))[0]
    sizes = {variant: overrides[key] for variant, overrides in study.variants.items()}
    apart = len(set(map(str, sizes.values()))) == len(sizes) > 1
    return (key, sizes) if apart and all(numeric(size) for size in sizes.values()) else None


def apart(sizes: list[float], log: bool) -> list[float]:
    """The sizes whose labels do not overlap on a narrow panel."""
    places = list(np.log(sizes) if log else sizes)
    kept = [0]
    for index, place in enumerate(places):
        if place - places[kept[-1]] >= (places[-1] - places[0]) / 7:
            kept.append(index)
    return [sizes[index] for index in kept]


def draw_scores(panel: Axes, data: ReportData, sizes: dict[str, float], scored: dict[str, list[float]]) -> None:
    """Seeds, means and intervals; a line joins the means."""
    order = sorted((variant for variant in sizes if scored[variant]), key=sizes.__getitem__)
    means = [float(np.mean(scored[variant])) for variant in order]
    panel.plot([sizes[variant] for variant in order], means, color="0.6", linewidth=1.2, zorder=1)
    ends = []
    for variant, mean in zip(order, means):
        look, interval = looks(data)[variant], data.mean_of(variant, data.study.metric)
        panel.scatter([sizes[variant] * 1.08] * interval.n, scored[variant], s=14, zorder=2, **look.seed)
        panel.plot(sizes[variant], mean, zorder=3, **look.line)
        if interval.n > 1:
            bar(panel, sizes[variant], interval.low, interval.high, look.color)
        ends += [interval.low, interval.high]
    panel.set_ylim(limits([score for variant in order for score in scored[variant]], ends, floor=0))
    panel.set_ylabel(with_unit(metric(data.study.metric)))


def draw_cost(panel: Axes, data: ReportData, sizes: dict[str, float], name: str) -> None:
    """Means without intervals, since costs are counted. The axis starts at zero, so that heights are proportional."""
    counts = {variant: list(values(of_cell(data.runs, variant), metric(name)).values()) for variant in sizes}
    order = sorted((variant for variant in sizes if counts[variant]), key=sizes.__getitem__)
    means = [float(np.mean(counts[variant])) for variant in order]
    panel.plot([sizes[variant] for variant in order], means, color="0.6", linewidth=1.2, zorder=1)
    for variant, mean in zip(order, means):
        panel.plot(sizes[variant], mean, **looks(data)[variant].line)
    panel.set_ylim(0, 1.12 * max(means, default=1.0))
    panel.yaxis.set_major_formatter(FuncFormatter(in_prefixes(max(means, default=1.0))))


def in_prefixes(largest: float) -> Callable[[float, int], str]:
    """Format ticks with the prefix that fits `largest`, as in 0.5 M."""
    size, prefix = next((each for each in PREFIXES if largest >= each[0]), (1.0, ""))
    return lambda value, _: f"{value / size:g} {prefix}".rstrip()


PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
