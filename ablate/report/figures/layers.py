"""Figures of measurements inside a model by layer: first the encoder's layers, then the decoder's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ablate.analysis.effects import trained
from ablate.analysis.metrics import Record, finite, initial
from ablate.analysis.metrics import dead_units as final_dead_units
from ablate.records.report_data import ReportData
from ablate.report.figures.depth import sets_depth
from ablate.report.figures.style import beside, legend_above, logarithmic, looks, name_variants, panels
from ablate.report.levels import by_level
from ablate.store.parts import FEEDFORWARD, STACKS, Part, by_part
from ablate.study import Cell

ACROSS = 3  # most panels side by side
MOST_BARS = 20  # bars of a line; over more layers there is a band
Layers = dict[Part, float]  # a value for each layer of a run
Values = dict[str, list[Layers]]  # cell -> its runs


def gradient_norms(data: ReportData) -> Figure | None:
    """Gradient norm of the feed-forward networks at update 0, and at the end of the runs that finished.

    There is a panel for each level of the factors. None for studies of depth, which `depth.initial_gradients` shows.
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
    name_variants(axes[0, 0], data, measured=variants_in(data, *times.values()))
    legend_above(figure, axes[0, 0])
    return figure


def rows_of(data: ReportData, times: dict[str, Values]) -> list[list[tuple[str, str, list[Cell]]]]:
    """(time, level, cells) of each panel, in rows. With factors each time has rows of its own, else a panel.

    Where all levels have the same values, as those of a factor that begins to act with the first update have at
    update 0, there is one panel for them.
    """
    shown = []
    for time, values in times.items():
        levels = list(by_level(cell for cell in data.cells if cell.name in values).items())
        if len(levels) > 1 and all_alike([cells for _, cells in levels], values):
            levels = [(f"every {' and '.join(data.study.factors)}", levels[0][1])]
        shown += [[(time, level, cells) for level, cells in levels]] if levels else []
    if not data.study.factors:
        return [[panel for row in shown for panel in row]]
    across = beside([level for row in shown for _, level, _ in row], ACROSS)
    return [row[start : start + across] for row in shown for start in range(0, len(row), across)]


def all_alike(levels: Sequence[Sequence[Cell]], values: Values) -> bool:
    """Whether every variant has the same means at every level, to three figures."""
    found = [{cell.variant: figures_of(values[cell.name]) for cell in cells} for cells in levels]
    return all(each == found[0] for each in found)


def figures_of(runs: Sequence[Layers]) -> dict[Part, str]:
    return {layer: f"{mean:.3g}" for layer, mean in means_of(runs).items()}


def means_of(runs: Sequence[Layers]) -> Layers:
    """Means over runs, of the layers that all of them have."""
    both = set.intersection(*map(set, runs)) if runs else set()
    return {layer: float(np.mean([run[layer] for run in runs])) for layer in both}


UNEVEN, MANY = 10, 0.1  # from these on a figure is needed: a ratio of gradient norms, a share of dead units


def uneven_gradients(data: ReportData) -> bool:
    """Whether the gradient norms of a stack's layers differ tenfold at update 0 in some cell."""
    found = collected(data, lambda run: feedforward(initial(run, "gradient_norm")))
    for runs in found.values():
        for stack in STACKS:
            norms = [norm for layer, norm in means_of(runs).items() if layer.stack == stack]
            if norms and max(norms) >= UNEVEN * min(norms):
                return True
    return False


def many_dead_units(data: ReportData) -> bool:
    """Whether a tenth of the units of some layer is dead, in the mean over the runs of some cell."""
    found = collected(data, lambda run: final_dead_units(run) if trained(run) else {})
    return any(share >= MANY for runs in found.values() for share in means_of(runs).values())


def dead_units(data: ReportData) -> Figure | None:
    """Share of dead units on the validation set, and of negative pre-activations on a batch; a row for each level."""
    measures = {
        "dead units": collected(data, lambda run: final_dead_units(run) if trained(run) else {}),
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
    name_variants(axes[0, 0], data, measured=variants_in(data, *measures.values()))
    legend_above(figure, axes[0, 0])
    return figure


def final(run: Record, diagnostic: str) -> Layers:
    """The values of a diagnostic after the last update of a run that finished; empty if there are none."""
    last = (run.get("diagnostics") or [None])[-1]
    return by_part(last.get(diagnostic)) if last and last["update"] > 0 and trained(run) else {}


def feedforward(norms: Layers) -> Layers:
    """The norms of the feed-forward networks, without those of zero, which a logarithmic scale cannot show."""
    return {part: norm for part, norm in norms.items() if part.kind == FEEDFORWARD and norm}


def collected(data: ReportData, measured: Callable[[Record], Layers]) -> Values:
    """The finite values of layers, by cell."""
    found: Values = {}
    for run in data.runs:
        values = {part.of_layer: finite(value) for part, value in measured(run).items() if part.layer is not None}
        layers = {layer: value for layer, value in values.items() if value is not None}
        if layers:
            found.setdefault(run["variant"], []).append(layers)
    return found


def variants_in(data: ReportData, *values: Values) -> set[str]:
    """The variants that have a value."""
    return {cell.variant for cell in data.cells if any(cell.name in each for each in values)}


def draw_layers(panel: Axes, data: ReportData, cells: Sequence[Cell], values: Values) -> None:
    """Lines are means over seeds, bars (over many layers a band) their range. Variants stand a little apart."""
    layers = {layer for cell in cells for run in values.get(cell.name, ()) for layer in run}
    depth = {stack: max((number(layer) for layer in layers if layer.stack == stack), default=0) for stack in STACKS}
    start = {STACKS[0]: 0, STACKS[1]: depth[STACKS[0]] + max(0.4, 0.18 * depth[STACKS[0]])}
    room = min(0.3, 0.05 * len(cells))  # layers are 1 apart
    for index, cell in enumerate(cells):
        look, aside = looks(data)[cell.variant], room * ((index + 0.5) / len(cells) - 0.5)
        for stack in STACKS:
            at: dict[int, list[float]] = {}
            for run in values.get(cell.name, ()):
                for layer in run:
                    if layer.stack == stack:
                        at.setdefault(number(layer), []).append(run[layer])
            at = dict(sorted(at.items()))
            places = [start[stack] + layer + aside for layer in at]
            every = max(1, len(at) // 6)
            panel.plot(places, [np.mean(found) for found in at.values()], markevery=every, **look.line)
            low, high = [min(found) for found in at.values()], [max(found) for found in at.values()]
            if len(at) <= MOST_BARS:
                panel.vlines(places, low, high, color=look.color, linewidth=1.4)
            else:
                panel.fill_between(places, low, high, color=look.color, alpha=0.25, linewidth=0)
    ticks = [(start[stack] + layer, layer) for stack in STACKS for layer in ticked(depth[stack])]
    panel.set_xticks([place for place, _ in ticks], [str(layer) for _, layer in ticks])
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


def number(layer: Part) -> int:
    """The number of a layer, counted from 1."""
    assert layer.layer is not None
    return layer.layer + 1


def ticked(depth: int) -> list[int]:
    """The layers whose number is shown: all of a few layers; the first, the middle and the last of many."""
    if depth <= 4:
        return list(range(1, depth + 1))
    return [1, depth] if depth <= 10 else [1, depth // 2, depth]
