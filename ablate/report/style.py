"""How every figure looks. Colours stay apart for the colour-blind; marker and dash tell variants apart without them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ablate.report.records import ReportData

WIDTH = 7.0  # inches: a page
COLOURS = [sns.color_palette("colorblind")[index] for index in (0, 1, 2, 4, 5, 7, 3, 9)]  # the most distinct first
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "<"]
DASHES: list[Any] = [
    "-",
    (0, (5, 2)),
    (0, (1, 1.2)),
    (0, (6, 2, 1, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (8, 3)),
    (0, (2, 2)),
    (0, (4, 1, 1, 1)),
]
INK = "0.25"  # of what is not a variant
SETTINGS = {
    **sns.axes_style("ticks"),
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that figures look the same anywhere
    "font.size": 10,
    "axes.labelsize": 10,
    "axes.titlesize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.grid": True,
    "grid.color": "0.92",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "svg.fonttype": "path",
    "svg.hashsalt": "ablate",
    "savefig.dpi": 150,
}


@dataclass(frozen=True)
class Look:
    color: Any
    marker: str
    linestyle: Any


def looks(data: ReportData) -> dict[str, Look]:
    """Cell -> its look, the same in every figure. Beyond eight cells colours recur, with other marks."""
    found = {}
    for index, cell in enumerate(data.cells):
        turn = index // len(COLOURS)
        marks = (index + turn) % len(MARKERS)
        found[cell.name] = Look(COLOURS[index % len(COLOURS)], MARKERS[marks], DASHES[marks])
    return found


@contextmanager
def styled() -> Iterator[None]:
    """The house style while a figure is drawn or saved, and no longer."""
    with matplotlib.rc_context(SETTINGS):
        yield


def panels(rows: int, columns: int, height: float, **sharing: Any) -> tuple[Figure, Any]:
    """A page-wide figure and its axes [row, column]."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **sharing)


def legend_above(figure: Figure, axes: Axes) -> None:
    """One legend for all panels, outside them."""
    handles, labels = axes.get_legend_handles_labels()
    room, widths = WIDTH * 13, [len(label) + 7 for label in labels]  # in characters
    columns = len(labels) if sum(widths) < room else max(1, int(room / max(widths)))
    figure.legend(handles, labels, loc="outside upper center", ncols=columns, handlelength=3)


def rendered(figure: Figure) -> dict[str, bytes]:
    """File ending -> the figure, without a date in it."""
    files = {}
    with styled():
        for ending, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=ending, metadata=metadata)
            files[ending] = buffer.getvalue()
    return files
