"""What a setting took from the records of a tuned one (rates=), in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ablate.records.report_data import ReportData
from ablate.report.text.tuned import together, values_of
from ablate.report.wording import ABSENT, escape, listed, name, spoken, table
from ablate.study import matched_in


def headline(data: ReportData) -> str:
    """Where the values come from and what they are, in a sentence; empty if none were taken."""
    rates = data.manifest.get("rates")
    if not rates:
        return ""
    by_variant: dict[str, dict[str, None]] = {}
    for cell in data.cells:
        if cell.name in rates["cells"] and not matched_in(cell.variant):
            by_variant.setdefault(cell.variant, {})[values_of(rates["cells"][cell.name])] = None
    values = "; ".join(f"{name(variant)}: {' or '.join(found)}" for variant, found in by_variant.items())
    return f"Each variant has its own best {tuned(rates)} of {name(rates['setting'])} ({values})."


def tuned(rates: Mapping[str, Any]) -> str:
    """What was tuned, in words."""
    return together(list(dict.fromkeys(key for each in rates["cells"].values() for key in each)))


def origin(data: ReportData) -> list[str]:
    """On which seeds and after how many updates the values were chosen, in lines."""
    rates = data.manifest.get("rates")
    if not rates:
        return []
    lines = [f"Chosen by validation loss on seeds {listed(rates['seeds'])}."]
    if shared := sorted({*rates["seeds"]} & {*data.seeds}):
        lines[0] += f" Seeds {listed(shared)} both chose them and test them here; `first_seed=` sets others."
    other = [cell for cell in rates["updates"] if rates["updates"][cell] != updates_of(data, cell)]
    if other:
        lines.append(
            "Tuned not after their own number of updates, but after the nearest smaller one that was tuned, or else "
            f"after the smallest: {spoken([name(cell) for cell in other])}."
        )
    if edges := rates.get("edges"):
        found = [f"{name(cell)} ({listed(each)})" for cell, each in edges.items()]
        lines.append(f"On the edge of their grid, so that a better value may lie beyond: {spoken(found)}.")
    return lines


def values(data: ReportData) -> str:
    """A row for each cell: what it took, and the number of updates that it was tuned for; empty if none was taken."""
    rates = data.manifest.get("rates")
    if not rates:
        return ""
    names = list(dict.fromkeys(key for each in rates["cells"].values() for key in each))
    rows = [
        [name(cell), *(f"{each[key]:g}" if key in each else ABSENT for key in names), f"{rates['updates'][cell]:,}"]
        for cell, each in rates["cells"].items()
    ]
    return table(["variant", *map(escape, names), "tuned for updates"], rows, right=range(1, len(names) + 2))


def updates_of(data: ReportData, cell: str) -> int | None:
    """The number of updates that a cell is trained for, by the configuration of its runs."""
    found = next((run for run in data.runs_of(cell) if "updates" in run["config"].get("train", {})), None)
    return int(found["config"]["train"]["updates"]) if found else None
