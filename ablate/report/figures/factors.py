"""Outcomes over a factor: at which levels a variant learns, and its scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ablate.analysis.effects import of_cell, values
from ablate.analysis.judging import shares
from ablate.analysis.metrics import metric
from ablate.analysis.statistics import Interval
from ablate.records.report_data import ReportData
from ablate.report.figures.style import legend_above, limits, looks, name_marks, name_variants, own_ticks, panels
from ablate.report.levels import by_level, numeric, places
from ablate.report.wording import bounded, with_unit
from ablate.study import RATE, Cell, Study


def over_factor(data: ReportData) -> Figure | None:
    """Share that trained, BLEU and the study's metric over the levels of a factor: columns, with a line per variant.

    Levels are spaced by `places`. With another factor there is a row for each of its levels.
    """
    cells = data.trained_cells
    name = numeric_factor(data.study, cells)
    if name is None:
        return None
    measures = [each for each in dict.fromkeys(["test_bleu", data.study.metric]) if scored(data, cells, each)]
    shares_first = [data.bar] if tells_learning(data, cells) else []
    if not measures and not shares_first:
        return None
    columns = shares_first + [each for each in measures if each not in SHARES]
    levels = list(dict.fromkeys(cell.factors[name] for cell in cells))
    rows = by_level(cells, apart_from=name)
    figure, axes = panels(len(rows), len(columns), 0.9 + 2.4 * len(rows), sharex=True, sharey="col")
    for panels_of, column in zip(axes.T, columns):
        points: list[float] = []
        ends: list[float] = []
        for panel, (title, mine) in zip(panels_of, rows.items()):
            shown, outer = draw_column(panel, data, mine, name, levels, column, 0.15 * len(columns))
            points, ends = points + shown, ends + outer
            panel.set_title(title)
            panel.set_ylabel(metric(column).label if column in SHARES else with_unit(metric(column)))
            panel.grid(axis="x", visible=False)
        panels_of[0].set_ylim((-0.06, 1.06) if column in SHARES else with_room(column, limits(points, ends, floor=0)))
    for panel in axes[-1]:
        panel.set_xlabel(name)
    own_ticks(axes[0, 0], places(levels), levels)
    axes[0, 0].set_xlim(-0.4, len(levels) - 0.6)
    name_variants(axes[0, 0], data)
    name_marks(axes[0, 0], bar="")
    legend_above(figure, axes[0, 0])
    return figure


def with_room(column: str, ends: tuple[float, float]) -> tuple[float, float]:
    """Extend the axis of BLEU to LEAST_BLEU, so that scores near zero do not look large."""
    return (ends[0], max(ends[1], LEAST_BLEU)) if column == "test_bleu" else ends


SHARES = ("trained", "learned")
LEAST_BLEU = 5.0  # the top of an axis of BLEU is never below this


def numeric_factor(study: Study, cells: Sequence[Cell]) -> str | None:
    """The first factor with two or more trained levels, all of which are numbers."""
    drawn = study.searched if RATE in study.searched else ()  # in a figure of their own
    for name in study.factors:
        levels = {cell.factors[name] for cell in cells}
        if name not in drawn and len(levels) > 1 and all(numeric(level) for level in levels):
            return name
    return None


def scored(data: ReportData, cells: Sequence[Cell], name: str) -> bool:
    return any(values(of_cell(data.runs, cell.name), metric(name)) for cell in cells)


def tells_learning(data: ReportData, cells: Sequence[Cell]) -> bool:
    """Whether some run did not train, or a claim is about training."""
    counts = [shares(data.runs, cell.name, data.bar) for cell in cells]
    claimed = any(part.metric in SHARES for claim in data.study.claims for part in claim.parts)
    return any(known for _, known in counts) and (claimed or any(learned < known for learned, known in counts))


def draw_column(
    panel: Axes, data: ReportData, cells: Sequence[Cell], name: str, levels: list[Any], column: str, room: float
) -> tuple[list[float], list[float]]:
    """Draw a line per variant, within `room` of each level (levels are 1 apart). Returns points and interval ends."""
    points: list[float] = []
    ends: list[float] = []
    variants, at = list(dict.fromkeys(cell.variant for cell in cells)), dict(zip(levels, places(levels)))
    for index, variant in enumerate(variants):
        aside = room * ((index + 0.5) / len(variants) - 0.5)
        across, means = [], []
        for cell in cells:
            if cell.variant == variant:
                place = at[cell.factors[name]] + aside
                shown, interval = draw_cell(panel, data, cell, place, column, room / 6)
                if interval.n:
                    across.append(place)
                    means.append(interval.mean)
                    points, ends = points + shown, [*ends, interval.low, interval.high]
        panel.plot(across, means, zorder=3, **looks(data)[variant].line)
    return points, ends


def draw_cell(
    panel: Axes, data: ReportData, cell: Cell, place: float, column: str, beside: float
) -> tuple[list[float], Interval]:
    """Draw the interval of a cell's share or score, and beside that of a score every seed as a small mark."""
    look = looks(data)[cell.variant]
    if column in SHARES:
        points, interval = [], data.share_of(cell.name)
    else:
        points = list(values(of_cell(data.runs, cell.name), metric(column)).values())
        interval = bounded(data.mean_of(cell.name, column), metric(column))
        panel.scatter([place + beside] * len(points), points, s=10, zorder=2, **look.seed)
    if interval.n > 1 or (interval.n and column in SHARES):
        bar(panel, place, interval.low, interval.high, look.color)
    return points, interval


def bar(panel: Axes, place: float, low: float, high: float, color: Any) -> None:
    """An interval with caps at its ends. A bar without a cap continues outside the panel."""
    panel.plot([place, place], [low, high], "_", color=color, linestyle="-", linewidth=1.3, markersize=6, zorder=2)
