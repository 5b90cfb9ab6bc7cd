"""Score and validation loss over the learning rate, a line for each variant."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ablate.analysis.effects import values
from ablate.analysis.metrics import metric
from ablate.records.report_data import ReportData
from ablate.report.figures.style import legend_above, limits, looks, name_variants, own_ticks, panels
from ablate.report.levels import by_level
from ablate.report.wording import bounded, with_unit
from ablate.study import RATE, Cell, name_without


def sensitivity(data: ReportData) -> Figure | None:
    """Means over seeds with bands of 95 % intervals; a ring where a variant does best on validation.

    With another factor, such as the warmup that was tuned too, there is a row for each of its levels.
    """
    if data.tuning is None or RATE not in data.study.searched:
        return None
    rows, columns = by_level(data.cells, apart_from=RATE), list(dict.fromkeys(["validation_loss", data.study.metric]))
    figure, axes = panels(len(rows), len(columns), 0.9 + 2.6 * len(rows), sharex=True, sharey="col")
    rates = list(data.study.factors[RATE])
    for panels_of, column in zip(axes.T, columns):
        points: list[float] = []
        for panel, (title, cells) in zip(panels_of, rows.items()):
            points += draw(panel, data, cells, column)
            panel.set_title(title)
            panel.set_ylabel(with_unit(metric(column)))
        if points:
            panels_of[0].set_ylim(limits(points, points))
    for panel in axes[-1]:
        panel.set_xlabel("peak learning rate")
    axes[0, 0].set_xscale("log")
    own_ticks(axes[0, 0], rates, [f"{rate:g}" for rate in rates])
    name_variants(axes[0, 0], data)
    legend_above(figure, axes[0, 0])
    return figure


def draw(panel: Axes, data: ReportData, cells: list[Cell], column: str) -> list[float]:
    """Draw a line for each variant. Returns the values of all seeds."""
    assert data.tuning is not None
    points: list[float] = []
    for variant in dict.fromkeys(cell.variant for cell in cells):
        found = {cell.factors[RATE]: cell for cell in cells if cell.variant == variant}
        each = {rate: bounded(data.mean_of(cell.name, column), metric(column)) for rate, cell in found.items()}
        shown = {rate: interval for rate, interval in each.items() if interval.n}
        look = looks(data)[variant]
        panel.plot(list(shown), [interval.mean for interval in shown.values()], zorder=3, **look.line)
        low, high = zip(*((one.low, one.high) for one in shown.values())) if shown else ((), ())
        panel.fill_between(list(shown), low, high, color=look.color, alpha=0.15, linewidth=0)
        for rate, interval in shown.items():
            best = data.tuning.best.get(name_without(found[rate], *data.study.searched))
            if best is not None and best.values.items() <= found[rate].factors.items():
                panel.plot([rate], [interval.mean], "o", mfc="none", mec=look.color, markersize=12, zorder=4)
        points += [
            score for cell in found.values() for score in values(data.runs_of(cell.name), metric(column)).values()
        ]
    return points
