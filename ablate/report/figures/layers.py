"""Figures that look inside the model, layer by layer: the encoder's, then the decoder's, each from the embedding on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ablate.analysis.effects import trained
from ablate.analysis.metrics import Record, finite, initial
from ablate.records.read import ReportData
from ablate.report.figures.depth import sets_depth
from ablate.report.figures.style import beside, legend_above, logarithmic, looks, name_variants, panels
from ablate.report.levels import by_level
from ablate.study import Cell

STACKS = ("encoder", "decoder")
ACROSS = 3  # panels side by side, at the most
MOST_BARS = 20  # of a line; more layers than that have a band
Layers = dict[tuple[str, int], float]  # (stack, layer from 1) -> value
Values = dict[str, list[Layers]]  # cell -> its runs'


def gradient_norms(data: ReportData) -> Figure | None:
    """Gradient norm of the feed-forward networks at update 0 and at the end of the runs that finished, a panel a level.

    None where depth is the question: `depth.initial_gradients` shows that.
    """
    if sets_depth(data.study):
        return None
    times = {
        "at update 0": collected(data, lambda run: feedforward(initial(run, "gradient_norm"))),
        "at the end": collected(data, lambda run: feedforward(final(run, "gradient_norm"))),
    }
    rows = rows_of(data, times)
    shown = [value for found in times.values() for runs in found.values() for run in runs for value in run.values()]
    if not shown:
        return None
    figure, axes = panels(len(rows), max(map(len, rows)), 0.8 + 2.4 * len(rows), sharey=True)
    logarithmic(axes[0, 0], min(shown), max(shown))
    for panels_of, row in zip(axes, rows):
        for panel, (time, level, cells) in zip(panels_of, row):
            draw_layers(panel, data, cells, times[time])
            panel.set_title(level or time)
        panels_of[0].set_ylabel("gradient norm of\nfeed-forward" + (f", {row[0][0]}" if data.study.factors else ""))
        for panel in panels_of[len(row) :]:
            panel.set_visible(False)
    name_variants(axes[0, 0], data)
    legend_above(figure, axes[0, 0])
    return figure


def rows_of(data: ReportData, times: dict[str, Values]) -> list[list[tuple[str, str, list[Cell]]]]:
    """(time, level, cells) of each panel, in rows: with a factor a time takes rows of its own, without, a panel."""
    shown = [
        [(time, level, cells) for level, cells in by_level(cell for cell in data.cells if cell.name in values).items()]
        for time, values in times.items()
        if values
    ]
    if not data.study.factors:
        return [[panel for row in shown for panel in row]]
    across = beside([level for row in shown for _, level, _ in row], ACROSS)
    return [row[start : start + across] for row in shown for start in range(0, len(row), across)]


def dead_units(data: ReportData) -> Figure | None:
    """Share of dead units over the whole validation set, and of negative pre-activations on a batch; a row a level."""
    measures = {
        "dead units": collected(data, dead),
        "negative pre-activations": collected(data, lambda run: final(run, "negative_preactivations")),
    }
    measures = {name: values for name, values in measures.items() if values}
    if not measures:
        return None
    measured = set().union(*measures.values())
    levels = list(by_level(cell for cell in data.trained_cells if cell.name in measured).items())
    figure, axes = panels(len(levels), len(measures), 0.8 + 2.2 * len(levels), sharey="col")
    for row, (level, cells) in zip(axes, levels):
        for panel, (name, values) in zip(row, measures.items()):
            draw_layers(panel, data, cells, values)
            panel.set_title(level)
            panel.set_ylabel(f"share of\n{name}" if len(measures) > 1 else f"share of {name}")
    for panel, values in zip(axes[0], measures.values()):
        largest = max((value for runs in values.values() for run in runs for value in run.values()), default=0.0)
        panel.set_ylim(0, 1 if largest > 0.5 else max(0.01, 1.08 * largest))
    name_variants(axes[0, 0], data)
    legend_above(figure, axes[0, 0])
    return figure


def final(run: Record, diagnostic: str) -> dict[str, float]:
    """What a diagnostic gave at the end of a run that was trained and finished, by part; empty where it did not."""
    last = (run.get("diagnostics") or [None])[-1]
    return (last.get(diagnostic) or {}) if last and last["update"] > 0 and trained(run) else {}


def dead(run: Record) -> dict[str, float]:
    return (run.get("final_dead_units") or {}) if trained(run) else {}


def feedforward(norms: dict[str, float]) -> dict[str, float]:
    """Of every sublayer's, those of the feed-forward networks; without those of zero, which a log scale cannot show."""
    return {name: norm for name, norm in norms.items() if name.endswith(".feedforward") and norm}


def collected(data: ReportData, numbers: Callable[[Record], dict[str, float]]) -> Values:
    """The numbers of layers ("encoder.0", "encoder.0.feedforward") that are finite, by cell."""
    found: Values = {}
    for run in data.runs:
        layers = {layer_of(name): float(value) for name, value in numbers(run).items() if finite(value) is not None}
        if layers:
            found.setdefault(run["variant"], []).append(layers)
    return found


def layer_of(name: str) -> tuple[str, int]:
    """("encoder", 1) of `encoder.0` and what is inside it."""
    stack, layer = name.split(".")[:2]
    return stack, int(layer) + 1


def draw_layers(panel: Axes, data: ReportData, cells: Sequence[Cell], values: Values) -> None:
    """Lines are means over seeds, bars (a band over many layers) their range; variants stand a little apart."""
    layers = {layer for cell in cells for run in values.get(cell.name, ()) for layer in run}
    depth = {stack: max((number for at, number in layers if at == stack), default=0) for stack in STACKS}
    start = {STACKS[0]: 0, STACKS[1]: depth[STACKS[0]] + max(0.4, 0.18 * depth[STACKS[0]])}
    room = min(0.3, 0.05 * len(cells))  # layers are 1 apart
    for index, cell in enumerate(cells):
        look, aside = looks(data)[cell.variant], room * ((index + 0.5) / len(cells) - 0.5)
        for stack in STACKS:
            at = {
                number: [run[stack, number] for run in values.get(cell.name, ()) if (stack, number) in run]
                for number in range(1, depth[stack] + 1)
            }
            at = {number: found for number, found in at.items() if found}
            places = [start[stack] + number + aside for number in at]
            every = max(1, len(at) // 6)
            panel.plot(places, [np.mean(found) for found in at.values()], markevery=every, **look.line)
            low, high = [min(found) for found in at.values()], [max(found) for found in at.values()]
            if len(at) <= MOST_BARS:
                panel.vlines(places, low, high, color=look.color, linewidth=1.4)
            else:
                panel.fill_between(places, low, high, color=look.color, alpha=0.25, linewidth=0)
    ticks = [(start[stack] + number, number) for stack in STACKS for number in ticked(depth[stack])]
    panel.set_xticks([place for place, _ in ticks], [str(number) for _, number in ticks])
    panel.set_xlim(0.4, start[STACKS[1]] + depth[STACKS[1]] + 0.6)
    for stack in STACKS:
        if depth[stack]:
            panel.annotate(
                f"{stack} layer",
                (start[stack] + (1 + depth[stack]) / 2, 0),
                xycoords=panel.get_xaxis_transform(),
                xytext=(0, -18),
                textcoords="offset points",
                ha="center",
                va="top",
                fontsize=9,
            )
    panel.grid(axis="x", visible=False)


def ticked(depth: int) -> list[int]:
    """Which of so many layers get a number: all of few; of many the ends and some between."""
    if depth <= 4:
        return list(range(1, depth + 1))
    return [1, depth] if depth <= 10 else [1, depth // 2, depth]
