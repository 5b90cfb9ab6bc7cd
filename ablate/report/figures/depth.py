"""Gradients at initialisation in models of different depths."""

from __future__ import annotations

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from ablate.analysis.metrics import SMALLEST, feedforward, initial
from ablate.records.report_data import ReportData
from ablate.report.figures.style import INK, legend_above, legible, logarithmic, panels
from ablate.report.levels import by_level
from ablate.report.wording import name, number, spoken
from ablate.store.parts import STACKS
from ablate.study import Cell, Study


def sets_depth(study: Study) -> bool:
    """Whether the levels of a factor set the number of layers."""
    return any(
        levels and all("model.layers" in level for level in levels.values()) for levels in study.factors.values()
    )


def initial_gradients(data: ReportData) -> Figure | None:
    """Gradient norm of each feed-forward network at update 0: rows are variants, columns stacks, lines depths.

    Lines are medians over seeds. Panels in which no norm vanishes share a scale that shows how these differ; the others
    reach down to float32's smallest number, and mark norms below it at the bottom.
    """
    levels = by_level(data.cells)
    if not sets_depth(data.study):
        return None
    lines = {cell.name: {stack: medians(data, cell, stack) for stack in STACKS} for cell in data.cells}
    norms = np.concatenate([line for stacks in lines.values() for line in stacks.values()])
    if not np.any(norms >= SMALLEST):
        return None
    shades = sns.color_palette("viridis_r", len(levels) + 1)[1:]  # the palest is too pale on white
    variants = list(data.study.variants)
    figure, axes = panels(len(variants), len(STACKS), 0.8 + 2.3 * len(variants), sharex=True)
    shown = {
        (variant, stack): [lines[cell.name][stack] for cell in data.cells if cell.variant == variant]
        for variant in variants
        for stack in STACKS
    }
    scales = {place: np.concatenate(found) for place, found in shown.items()}
    whole = np.concatenate([each for each in scales.values() if len(each) and np.all(each >= SMALLEST)] or [norms])
    for row, variant in zip(axes, variants):
        for panel, stack in zip(row, STACKS):
            for index, cells in enumerate(levels.values()):
                for cell in cells:
                    if cell.variant == variant:
                        draw_line(panel, lines[cell.name][stack], shades[index], index)
            found = scales[variant, stack]
            vanished = bool(np.any(found < SMALLEST))
            if vanished:
                mark_vanished(panel)
            if not len(found):
                panel.text(0.5, 0.5, "none", transform=panel.transAxes, ha="center", va="center", color=INK)
            scale(panel, found if vanished and np.any(found >= SMALLEST) else whole, len(levels), vanished)
            panel.set_title(f"{variant}, {stack}")
    for panel in axes[:, 0]:
        panel.set_ylabel("gradient norm of\nfeed-forward, update 0")
    for panel in axes[-1]:
        panel.set_xlabel("layer (1 is next to the embedding)")
    for shade, level in zip(shades, levels):
        axes[0, 0].plot([], [], color=shade, linewidth=1.8, marker="o", markersize=5, label=legible(str(level)))
    legend_above(figure, axes[0, 0])
    return figure


def vanished_seen(data: ReportData) -> str:
    """Where gradients vanish in one stack alone, in a sentence; empty where they do so in none or in both."""
    found: dict[tuple[str, str], list[str]] = {}
    spans: dict[tuple[str, str], float] = {}
    for cell in data.cells:
        norms = {stack: line for stack in STACKS if len(line := medians(data, cell, stack))}
        gone = [stack for stack, line in norms.items() if line.min() < SMALLEST]
        if len(norms) == len(STACKS) and len(gone) == 1:
            (kept,) = {*STACKS} - {*gone}
            found.setdefault((gone[0], kept), []).append(name(cell.name))
            span = float(np.log10(norms[kept].max() / norms[kept].min()))
            spans[gone[0], kept] = max(span, spans.get((gone[0], kept), 0.0))
    return " ".join(
        f"Gradients vanish in the {gone} alone at {spoken(cells)}; in the {kept} the largest norm is at most "
        f"{number(10 ** spans[gone, kept], 0 if spans[gone, kept] > 1 else 1)} times the smallest."
        for (gone, kept), cells in found.items()
    )


def draw_line(panel: Axes, norms: np.ndarray, shade: tuple[float, float, float], index: int) -> None:
    """Norms [layer] as a line. Those that have vanished are ticks at the bottom, a row for each depth."""
    layers = np.arange(1, len(norms) + 1)
    sized = norms >= SMALLEST
    panel.plot(layers, np.where(sized, norms, np.nan), color=shade, linewidth=1.8)
    panel.plot(layers[-1:][sized[-1:]], norms[-1:][sized[-1:]], "o", color=shade, markersize=5)
    gone = layers[~sized]
    panel.plot(gone, np.full(len(gone), vanished_at(index)), "|", color=shade, markersize=4)


def vanished_at(index: int) -> float:
    """Height of the ticks for the vanished norms of a depth."""
    return SMALLEST / 20 ** (index + 1)


def mark_vanished(panel: Axes) -> None:
    panel.axhline(SMALLEST, color=INK, linewidth=1, linestyle=":")
    panel.text(0.99, SMALLEST / 5, "below: vanished in float32", transform=panel.get_yaxis_transform(),
               ha="right", va="top", fontsize=8, color=INK)  # fmt: skip


def scale(panel: Axes, norms: np.ndarray, levels: int, vanished: bool) -> None:
    """Logarithmic, with room at the bottom for norms that have vanished, where the axis has no numbers."""
    low, high = norms[norms >= SMALLEST].min(), norms.max()
    logarithmic(panel, low, high)
    edge = (high / low) ** 0.05 * 1.2
    panel.set_ylim(vanished_at(levels) if vanished else low / edge, high * edge)
    if vanished:
        panel.yaxis.set_major_locator(FixedLocator([10.0**power for power in range(-30, 39, 10)]))
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def medians(data: ReportData, cell: Cell, stack: str) -> np.ndarray:
    """Medians over a cell's seeds of the norms at update 0, [layer]; empty where none was measured."""
    runs = [feedforward(initial(run, "gradient_norm"), stack) for run in data.runs_of(cell.name)]
    found = [norms for norms in runs if norms]
    return np.median(found, axis=0) if found and len({*map(len, found)}) == 1 else np.empty(0)
