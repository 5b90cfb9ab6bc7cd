"""The style of all figures. Colours are safe for the colour-blind; markers and dashes work without colours."""

from __future__ import annotations

import io
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib.style
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from ablate.records.report_data import ReportData

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
INK = "0.25"  # colour of everything that is not a variant
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
    "axes.formatter.useoffset": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "ablate",
    "savefig.dpi": 150,
}


@dataclass(frozen=True)
class Look:
    color: Any
    marker: str
    linestyle: Any

    @property
    def line(self) -> dict[str, Any]:
        """Arguments of `Axes.plot` for a line of means."""
        style = {"color": self.color, "marker": self.marker, "linestyle": self.linestyle}
        return style | {"markersize": 5.5, "linewidth": 1.6, "markeredgewidth": 0}

    @property
    def seed(self) -> dict[str, Any]:
        """Arguments of `Axes.scatter` for single runs."""
        return {"color": self.color, "marker": self.marker, "alpha": 0.7, "linewidth": 0}


def looks(data: ReportData) -> dict[str, Look]:
    """Variant -> its look, the same in all figures and levels. After eight, colours repeat with other markers."""
    found = {}
    for index, variant in enumerate(data.study.variants):
        turn = index // len(COLOURS)
        marks = (index + turn) % len(MARKERS)
        found[variant] = Look(COLOURS[index % len(COLOURS)], MARKERS[marks], DASHES[marks])
    return found


@contextmanager
def styled() -> Iterator[None]:
    """Use these settings while a figure is drawn or saved."""
    with matplotlib.style.context(["default", SETTINGS]):  # "default" overrides the user's own matplotlibrc
        yield


def panels(rows: int, columns: int, height: float, **sharing: Any) -> tuple[Figure, Any]:
    """A page-wide figure and its axes [row, column]."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **sharing)


def beside(titles: Iterable[str], most: int) -> int:
    """The number of panels with these titles that fit side by side, at most `most`."""
    titles = list(titles)
    return max(1, min(len(titles), most, int(WIDTH * 10 / (3 + max(map(len, titles), default=0)))))


def name_variants(panel: Axes, data: ReportData, line: bool = True, measured: Container[str] | None = None) -> None:
    """Put every variant into the legend, with "none" behind those that are not among the `measured` ones."""
    for variant, look in looks(data).items():
        label = variant if measured is None or variant in measured else f"{variant}: none"
        panel.plot([], [], label=legible(label), **(look.line if line else look.line | {"linestyle": "none"}))


def name_marks(panel: Axes, seeds: str = "small mark: a seed", bar: str = "bar: mean and 95 % interval") -> None:
    """Say in the legend what is a seed, and what an interval; an empty text leaves the one out."""
    if seeds:
        panel.plot([], [], "o", color=INK, markersize=3, label=seeds)
    if bar:
        panel.plot([], [], color=INK, linewidth=2.5, label=bar)


def legible(name: str) -> str:
    """The name as a label. matplotlib leaves labels that begin with an underscore out of legends."""
    return f" {name}" if name.startswith("_") else name


def legend_above(figure: Figure, axes: Axes) -> None:
    """One legend for all panels, above them."""
    handles, labels = axes.get_legend_handles_labels()
    room, widths = WIDTH * 12.5, [len(label) + 9 for label in labels]  # in characters
    columns = len(labels) if sum(widths) < room else max(1, int(room / max(widths)))
    figure.legend(handles, labels, loc="outside upper center", ncols=columns, handlelength=3)


def limits(points: Iterable[float], ends: Iterable[float], floor: float = -np.inf) -> tuple[float, float]:
    """Limits of an axis that holds all points, and the ends of intervals unless they would squeeze the points.

    The t interval of two seeds is so wide that the seeds would coincide. Such an interval leaves the panel without an
    end mark. No interval goes below `floor`.
    """
    inside = np.array(list(points), dtype=float)
    outside = np.array([end for end in ends if np.isfinite(end)] or inside, dtype=float)
    low, high = inside.min(), inside.max()
    room = max(high - low, 0.01 * max(abs(low), abs(high)), 1e-9)
    low, high = max(min(low, outside.min()), low - room), min(max(high, outside.max()), high + room)
    low = max(low, min(floor, inside.min()))
    edge = 0.06 * (high - low) or room
    return float(low - edge), float(high + edge)


def logarithmic(panel: Axes, low: float, high: float) -> None:
    """A log scale for y with plain numbers as ticks: even steps where it is short, else 1, 2, 5 or powers of ten."""
    panel.set_yscale("log")
    short, wide = high < 2.5 * low, high > 1e8 * low
    steps = (1, 2, 3, 5) if high < 10 * low else (1, 2, 5) if high < 100 * low else (1,)
    panel.yaxis.set_major_locator(MaxNLocator(4) if short else LogLocator(subs=steps, numticks=7))
    panel.yaxis.set_minor_formatter(NullFormatter())
    if short:
        panel.yaxis.set_minor_locator(NullLocator())
    if not wide:
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def own_ticks(panel: Axes, places: Iterable[float], labels: Iterable[object]) -> None:
    """Set these ticks on x and no others, whatever its scale."""
    panel.set_xticks(list(places), [str(label) for label in labels])
    panel.xaxis.set_minor_locator(NullLocator())


def rendered(figure: Figure) -> dict[str, bytes]:
    """File ending -> the figure as a file, without a date."""
    files = {}
    with styled():
        for ending, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=ending, metadata=metadata)
            files[ending] = buffer.getvalue()
    return files
