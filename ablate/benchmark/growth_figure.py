"""How cost grows, drawn: seconds over the level of each axis, both in logarithms, with the fitted power law."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from statistics import median

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ablate.benchmark.ratios import exponent
from ablate.report.figures.style import COLOURS, INK, MARKERS, SETTINGS, WIDTH

LABELS = {
    "members": "runs side by side",
    "depth": "layers of each stack",
    "width": "d_model",
    "length": "tokens of a sentence",
    "batch": "pairs in a batch",
}


def svg(growth: Mapping[str, Mapping[str, Sequence[float]]]) -> bytes:
    with matplotlib.style.context(SETTINGS):
        figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(2, 3).flatten()
        for place, (axis, levels) in enumerate(growth.items()):
            draw(axes[place], axis, levels, COLOURS[place], MARKERS[place])
        for empty in axes[len(growth) :]:
            empty.set_axis_off()
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def draw(axes, axis: str, levels: Mapping[str, Sequence[float]], colour, marker: str) -> None:  # type: ignore[no-untyped-def]
    found = {float(level): seconds for level, seconds in levels.items()}
    xs = sorted(found)
    middle = [median(found[x]) for x in xs]
    axes.plot(xs, middle, color=colour, marker=marker)
    axes.vlines(xs, [min(found[x]) for x in xs], [max(found[x]) for x in xs], color=INK, linewidth=1)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(xs, [f"{x:g}" for x in xs])
    axes.set_xlabel(LABELS[axis])
    axes.set_ylabel("seconds")
    fit = exponent(found)
    if fit is not None:
        axes.set_title(f"exponent {fit.slope:.2f} [{fit.low:.2f}, {fit.high:.2f}]")
