"""The table of costs, and a text on how they were measured."""

from __future__ import annotations

from statistics import median, quantiles
from typing import Any

from ablate.analysis.effects import values
from ablate.analysis.metrics import metric
from ablate.records.report_data import ReportData
from ablate.report.wording import ABSENT, escape, name, number, plural, short, table
from ablate.study import Cell

IDLE = 0.1  # cores that other processes may keep busy on a machine that counts as idle


def costs(data: ReportData) -> str:
    """A row for each trained cell: sizes, also as multiples of the baseline's, and the probe's measurements."""
    speed = ["tokens/s", "time of an update"] if data.cost else []
    header = ["variant", "parameters", "FLOPs/token", *speed, memory_of(data)]
    rows = []
    for cell in data.trained_cells:
        sizes = [multiple(data, cell, name) for name in ("parameters", "flops_per_token")]
        rows.append([name(cell.name), *sizes, *(speeds(data, cell) if data.cost else []), memory(data, cell)])
    return table(header, rows, right=range(1, len(header)))


def origin(data: ReportData) -> str:
    """How speed and memory were measured."""
    if data.cost is None:
        return "Speeds are not compared, because runs trained side by side; results.csv has the time of each."
    cost, where = data.cost, data.cost["provenance"]
    threads = f", {plural(where['threads'], 'thread')}" if where["device"] == "cpu" else ""
    machine = escape(where["device_name"]) + threads
    others = cost["others"]
    alone = (
        "Whether other processes kept the machine busy is not known."
        if others is None
        else "The machine did nothing else."
        if others <= IDLE
        else f"**The machine was not idle**: other processes kept {number(others, 1)} cores busy, so these are rough."
    )
    return (
        f"Speed (target tokens) and memory come from a probe after the runs, on {machine}: "
        f"{plural(cost['rounds'], 'round')} over all variants in turn, {plural(cost['updates_a_round'], 'update')} of "
        "each in a round. Time is that of an update, divided by the baseline's in the same round, with quartiles "
        "over rounds. "
        f"{MEMORY[probed_memory(data)]} {alone}"
    )


MEMORY = {
    True: "Memory is what training adds at its peak: weights, optimiser, activations of the largest batch.",
    False: "Memory is that of a run's whole process.",
}


def speeds(data: ReportData, cell: Cell) -> list[str]:
    """Target tokens a second, and time over the baseline's."""
    mine, base = measured(data, cell.name), measured(data, cell.baseline)
    if mine is None:
        return [ABSENT, ABSENT]
    rate = median(tokens / seconds for tokens, seconds in zip(mine["tokens"], mine["seconds"]))
    return [short(rate), ABSENT if base is None else times([a / b for a, b in zip(mine["seconds"], base["seconds"])])]


def times(ratios: list[float]) -> str:
    """1.31 [1.29, 1.33]: the median and the quartiles."""
    low, middle, high = quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    spread = f" [{number(low, 2)}, {number(high, 2)}]" if low != high else ""
    return number(middle, 2) + spread


def measured(data: ReportData, cell: str | None) -> dict[str, Any] | None:
    return data.cost["cells"].get(cell) if data.cost else None


def probed_memory(data: ReportData) -> bool:
    """Whether the probe could tell the memory of every cell that it measured."""
    return data.cost is not None and all(each["memory"] is not None for each in data.cost["cells"].values())


def memory_of(data: ReportData) -> str:
    return "memory of training" if probed_memory(data) else "peak memory of the process"


def memory(data: ReportData, cell: Cell) -> str:
    if not probed_memory(data):
        return short(average(data.runs_of(cell.name), "peak_memory"), "B")
    found = measured(data, cell.name)
    return short(found["memory"], "B") if found else ABSENT


def multiple(data: ReportData, cell: Cell, name: str) -> str:
    """A count, and its ratio to the baseline's if they differ."""
    mine = average(data.runs_of(cell.name), name)
    base = average(data.runs_of(cell.baseline), name) if cell.baseline else None
    times = f" ({mine / base:.2f} times)" if mine and base and f"{mine / base:.2f}" != "1.00" else ""
    return short(mine) + times


def average(runs: list[dict[str, Any]], name: str) -> float | None:
    found = list(values(runs, metric(name)).values())
    return sum(found) / len(found) if found else None
