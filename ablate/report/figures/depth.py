"""What depth does to gradients before anything is learned."""

from __future__ import annotations

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from ablate.analysis.metrics import SMALLEST, finite, initial
from ablate.records.read import ReportData
from ablate.report.figures.style import INK, legend_above, legible, logarithmic, panels
from ablate.report.levels import by_level
from ablate.study import Cell, Study

STACKS = ("encoder", "decoder")


def sets_depth(study: Study) -> bool:
    """Whether a factor's levels are depths."""
    return any(
        levels and all("model.layers" in level for level in levels.values()) for levels in study.factors.values()
    )


def initial_gradients(data: ReportData) -> Figure | None:
    """Gradient norm of every feed-forward network at update 0: a row a variant, a column a stack, a line a depth.

    Lines are medians over seeds. What has vanished below float32's smallest number is marked at the bottom.
    """
    levels = by_level(data.cells)
    if not sets_depth(data.study):
        return None
    lines = {cell.name: {stack: medians(data, cell, stack) for stack in STACKS} for cell in data.cells}
    norms = np.concatenate([line for stacks in lines.values() for line in stacks.values()])
    if not np.any(norms >= SMALLEST):
        return None
    vanished = bool(np.any(norms < SMALLEST))
    shades = sns.color_palette("viridis_r", len(levels) + 1)[1:]  # the palest is too pale on white
    variants = list(data.study.variants)
    figure, axes = panels(len(variants), len(STACKS), 0.8 + 2.3 * len(variants), sharex=True, sharey=True)
    for row, variant in zip(axes, variants):
        for panel, stack in zip(row, STACKS):
            for index, cells in enumerate(levels.values()):
                for cell in cells:
                    if cell.variant == variant:
                        draw_line(panel, lines[cell.name][stack], shades[index], index)
            if vanished:
                mark_vanished(panel)
            panel.set_title(f"{variant}, {stack}")
    scale(axes[0, 0], norms, len(levels))
    for panel in axes[:, 0]:
        panel.set_ylabel("gradient norm of\nfeed-forward, update 0")
    for panel in axes[-1]:
        panel.set_xlabel("layer (1 is next to the embedding)")
    for shade, level in zip(shades, levels):
        axes[0, 0].plot([], [], color=shade, linewidth=1.8, marker="o", markersize=5, label=legible(str(level)))
    legend_above(figure, axes[0, 0])
    return figure


def draw_line(panel: Axes, norms: np.ndarray, shade: tuple[float, float, float], index: int) -> None:
    """Norms [layer]: joined where they have a size; each that has none is a tick at the bottom, a row a depth."""
    layers = np.arange(1, len(norms) + 1)
    sized = norms >= SMALLEST
    panel.plot(layers, np.where(sized, norms, np.nan), color=shade, linewidth=1.8)
    panel.plot(layers[-1:][sized[-1:]], norms[-1:][sized[-1:]], "o", color=shade, markersize=5)
    gone = layers[~sized]
    panel.plot(gone, np.full(len(gone), vanished_at(index)), "|", color=shade, markersize=4)


def vanished_at(index: int) -> float:
    """Where the norms of a depth are drawn that float32 has no size for."""
    return SMALLEST / 20 ** (index + 1)


def mark_vanished(panel: Axes) -> None:
    panel.axhline(SMALLEST, color=INK, linewidth=1, linestyle=":")
    panel.text(0.99, SMALLEST / 5, "below: vanished in float32", transform=panel.get_yaxis_transform(),
               ha="right", va="top", fontsize=8, color=INK)  # fmt: skip


def scale(panel: Axes, norms: np.ndarray, levels: int) -> None:
    """Logarithmic, with room below for what has vanished, where no tick is a number."""
    vanished = bool(np.any(norms < SMALLEST))
    low, high = norms[norms >= SMALLEST].min(), norms.max()
    logarithmic(panel, low, high)
    edge = (high / low) ** 0.05 * 1.2
    panel.set_ylim(vanished_at(levels) if vanished else low / edge, high * edge)
    if vanished:
        panel.yaxis.set_major_locator(FixedLocator([10.0**power for power in range(-30, 39, 10)]))
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def medians(data: ReportData, cell: Cell, stack: str) -> np.ndarray:
    """Of the norms at update 0 over a cell's seeds, [layer]; empty where none was measured."""
    runs = [initial(run, "gradient_norm") for run in data.runs_of(cell.name)]
    found = []
    for norms in runs:
        names = [
            f"{stack}.{layer}.feedforward" for layer in range(len(norms)) if f"{stack}.{layer}.feedforward" in norms
        ]
        if names and all(finite(norms[name]) is not None for name in names):
            found.append([norms[name] for name in names])
    return np.median(found, axis=0) if found and len({*map(len, found)}) == 1 else np.empty(0)
