"""Attention over the width of a head: variance of scores, saturation of the softmax, gradients of queries and keys."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ablate.analysis.metrics import METRICS, Record, finite, initial
from ablate.records.report_data import ReportData
from ablate.report.figures.layers import final
from ablate.report.figures.style import INK, legend_above, logarithmic, looks, name_variants, own_ticks, panels
from ablate.report.levels import model_of
from ablate.store.parts import Part

THEORY: dict[str, Callable[[float], float]] = {"none": lambda d_k: d_k, "sqrt": lambda d_k: 1.0}  # by attention_scale
Points = dict[str, dict[float, list[float]]]  # variant -> d_k -> a value a run


def score_variance(data: ReportData) -> Figure | None:
    """Variance of attention scores at update 0 over d_k, both axes logarithmic.

    In theory, independent queries and keys of unit variance give a variance of d_k, and of 1 after division by its
    square root.
    """
    widths = widths_of(data)
    points = collected(data, widths, METRICS["initial_score_variance"].value)
    if not widths or not points:
        return None
    figure, axes = panels(1, 1, 3.4)
    panel = axes[0, 0]
    ends = np.array([min(widths.values()), max(widths.values())])
    ends = ends * [0.8, 1.25]
    lines = {scale: law for scale, law in THEORY.items() if scale in scales_of(data)}
    for (scale, law), dashes in zip(lines.items(), ((0, (6, 3)), (0, (1, 2)))):
        label = "theory: d_k" if scale == "none" else "theory: 1, divided by √d_k"
        panel.plot(ends, [law(end) for end in ends], color=INK, linewidth=1.2, linestyle=dashes, zorder=1, label=label)
    draw_points(panel, data, points)
    shown = [value for at in points.values() for runs in at.values() for value in runs if value > 0]
    shown += [law(end) for law in lines.values() for end in ends]
    over_width(panel, widths)
    if shown:
        logarithmic(panel, min(shown), max(shown))
        panel.set_ylim(min(shown) / 1.6, max(shown) * 1.6)
    panel.set_ylabel("variance of scores\nat update 0")
    name_variants(panel, data, measured=set(points))
    legend_above(figure, panel)
    return figure


def saturation(data: ReportData) -> Figure | None:
    """Largest attention weight, slope of the softmax, and gradient of queries and keys over d_k, before and after."""
    widths = widths_of(data)
    found = {
        label: [collected(data, widths, partial(measured, time, *measure)) for time in TIMES.values()]
        for label, measure in MEASURES.items()
    }
    found = {label: times for label, times in found.items() if any(times)}
    if not widths or not found:
        return None
    shown = [index for index in range(len(TIMES)) if any(times[index] for times in found.values())]
    figure, axes = panels(len(found), len(shown), 0.8 + 1.9 * len(found), sharex=True, sharey="row")
    for row, (label, times) in zip(axes, found.items()):
        for panel, index in zip(row, shown):
            draw_points(panel, data, times[index])
            over_width(panel, widths)
        row[0].set_ylabel(label)
        values = [value for points in times for at in points.values() for runs in at.values() for value in runs]
        if label == GRADIENT and min(values) > 0:
            logarithmic(row[0], min(values), max(values))
        elif label != GRADIENT:
            row[0].set_ylim(-0.04, 1.04)
    for panel, index in zip(axes[0], shown):
        panel.set_title(list(TIMES)[index])
    for panel in axes.flat:
        panel.label_outer()
    name_variants(axes[0, 0], data, measured={name for times in found.values() for points in times for name in points})
    legend_above(figure, axes[0, 0])
    return figure


def widths_of(data: ReportData) -> dict[str, float]:
    """Cell -> d_k, the width of a head; empty if all cells have the same width and the same scaling of scores."""
    models = {cell.name: model_of(data, cell) for cell in data.cells}
    known = {name: model for name, model in models.items() if model.get("heads") and model.get("d_model")}
    widths = {name: model.get("head_width") or model["d_model"] / model["heads"] for name, model in known.items()}
    return widths if len(set(widths.values())) > 1 or len(scales_of(data)) > 1 else {}


def scales_of(data: ReportData) -> set[str]:
    """The values of model.attention_scale over the cells."""
    return {str(scale) for cell in data.cells if (scale := model_of(data, cell).get("attention_scale")) is not None}


def collected(data: ReportData, widths: dict[str, float], value: Callable[[Record], float | None]) -> Points:
    found: Points = {}
    for cell in data.cells:
        for run in data.runs_of(cell.name) if cell.name in widths else ():
            if (number := value(run)) is not None:
                found.setdefault(cell.variant, {}).setdefault(widths[cell.name], []).append(number)
    return found


def draw_points(panel: Axes, data: ReportData, points: Points) -> None:
    """A line of means for each variant, a small mark for each run."""
    for variant, at in points.items():
        look, widths = looks(data)[variant], sorted(at)
        panel.plot(widths, [np.mean(at[width]) for width in widths], zorder=3, **look.line)
        for width in widths:
            panel.scatter([width] * len(at[width]), at[width], s=10, zorder=2, **look.seed)


def over_width(panel: Axes, widths: dict[str, float]) -> None:
    levels = sorted(set(widths.values()))
    panel.set_xscale("log")
    own_ticks(panel, levels, [f"{level:g}" for level in levels])
    panel.set_xlim(levels[0] * 0.75, levels[-1] * 1.33)
    panel.set_xlabel("d_k, the width of a head")


def measured(
    time: Callable[[Record, str], dict[Part, float]], diagnostic: str, over: Callable[..., float | None], run: Record
) -> float | None:
    return over(time(run, diagnostic))


def mean(numbers: dict[Part, float]) -> float | None:
    """Mean over the attentions of the model."""
    found = [finite(number) for number in numbers.values()]
    return sum(found) / len(found) if found and None not in found else None  # type: ignore[arg-type]


def norm(numbers: dict[Part, float]) -> float | None:
    """Norm over all attentions together."""
    found = [finite(number) for number in numbers.values()]
    return float(np.linalg.norm(found)) if found and None not in found else None  # type: ignore[arg-type]


GRADIENT = "gradient norm of\nqueries and keys"
MEASURES = {
    "largest weight\nof a query": ("largest_attention_weight", mean),
    "slope of softmax": ("softmax_slope", mean),
    GRADIENT: ("query_key_gradient_norm", norm),
}
TIMES = {"at update 0": initial, "at the end": final}
