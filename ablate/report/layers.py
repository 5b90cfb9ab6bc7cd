"""Figures that look inside the model, layer by layer."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from ablate.analysis.metrics import finite
from ablate.report.records import ReportData
from ablate.report.style import legend_above, looks, panels

STACKS = ("encoder", "decoder")
TIMES = ("at update 0", "at the end")


def gradient_norms(data: ReportData) -> Figure | None:
    """Gradient norm of the feed-forward networks, at update 0 and at the end of the runs that finished."""
    rows = []
    for run in data.runs:
        diagnostics = run.get("diagnostics") or []
        for entry in diagnostics:
            last = entry is diagnostics[-1] and run["status"] == "finished"
            times = [TIMES[0]] * (entry["update"] == 0) + [TIMES[1]] * (last and entry["update"] > 0)
            norms = feedforward(entry.get("gradient_norm") or {})
            rows += [(time, *layer) for time in times for layer in by_layer(run, norms) if layer[-1] > 0]
    return by_layer_figure(data, rows, "gradient norm of\nfeed-forward", log=True)


def feedforward(norms: dict[str, float]) -> dict[str, float]:
    """Of every sublayer's, those of the feed-forward networks, by the name of the layer."""
    suffix = ".feedforward"
    return {name.removesuffix(suffix): norm for name, norm in norms.items() if name.endswith(suffix)}


def dead_units(data: ReportData) -> Figure | None:
    """Share of dead units over the whole validation set, with the weights that were kept."""
    rows = [(TIMES[1], *layer) for run in data.runs for layer in by_layer(run, run.get("final_dead_units") or {})]
    return by_layer_figure(data, rows, "share of dead units", log=False)


def by_layer(run: dict, numbers: dict[str, float]) -> list[tuple[str, str, int, float]]:
    """(variant, stack, layer from 1, value) of numbers by name ("encoder.0"); what is not finite is left out."""
    found = []
    for name, value in numbers.items():
        stack, layer = name.split(".")
        if finite(value) is not None:
            found.append((run["variant"], stack, int(layer) + 1, float(value)))
    return found


def by_layer_figure(data: ReportData, rows: list[tuple], label: str, log: bool) -> Figure | None:
    """A row of panels for each time, a panel for each stack; lines are means over seeds, bars their range."""
    if not rows:
        return None
    table = pd.DataFrame(rows, columns=["time", "variant", "stack", "layer", "value"])
    times = [time for time in TIMES if (table["time"] == time).any()]
    figure, axes = panels(len(times), len(STACKS), 0.7 + 2.4 * len(times), sharex=True, sharey="row")
    for row, time in zip(axes, times):
        for panel, stack in zip(row, STACKS):
            lines_by_layer(panel, data, table[(table["time"] == time) & (table["stack"] == stack)])
            panel.set_title(f"{stack}, {time}")
            panel.set_xlabel("layer (1 is next to the embedding)")
            panel.set_ylabel(label)
            panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            panel.label_outer()
        if log:
            logarithmic(row[0], table[table["time"] == time]["value"])
        else:
            row[0].set_ylim(0, max(0.01, 1.08 * table["value"].max()))
    legend_above(figure, axes[0, 0])
    return figure


def lines_by_layer(panel: Axes, data: ReportData, table: pd.DataFrame) -> None:
    """Variants stand a little apart, so that none hides another."""
    cells = data.cells
    room = min(0.3, 0.05 * len(cells))  # layers are 1 apart
    for index, cell in enumerate(cells):
        style, mine = looks(data)[cell.name], table[table["variant"] == cell.name]
        marks = {
            "color": style.color,
            "linestyle": style.linestyle,
            "marker": style.marker,
            "markersize": 5.5,
            "linewidth": 1.4,
        }
        panel.plot([], [], label=cell.name, **marks)
        if not mine.empty:
            apart = mine.assign(layer=mine["layer"] + room * ((index + 0.5) / len(cells) - 0.5))
            sns.lineplot(
                apart,
                x="layer",
                y="value",
                errorbar=whole_range,
                err_style="bars",
                mew=0,
                legend=False,
                ax=panel,
                **marks,
            )


def logarithmic(panel: Axes, values: pd.Series) -> None:
    """A log scale whose ticks are plain numbers: 1, 2, 5 within two decades, powers of ten beyond."""
    panel.set_yscale("log")
    narrow = values.max() < 100 * values.min()
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_formatter(NullFormatter())


def whole_range(values: pd.Series) -> tuple[float, float]:
    """Smallest and largest, and never without the mean, which rounding puts beside equal values."""
    return min(values.min(), values.mean()), max(values.max(), values.mean())
