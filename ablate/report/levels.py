"""The levels of factors, for figures with a panel for each level."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ablate.config import READS
from ablate.records.report_data import ReportData
from ablate.study import Cell


def by_level(cells: Iterable[Cell], apart_from: str | None = None) -> dict[str, list[Cell]]:
    """`depth=8` -> its cells, in the study's order; `apart_from` is a factor that does not count.

    Without a factor that counts, all cells are under one empty name.
    """
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        factors = {name: level for name, level in cell.factors.items() if name != apart_from}
        found.setdefault(coordinates(factors), []).append(cell)
    return found


def coordinates(factors: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={level}" for name, level in factors.items())


def numeric(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def places(levels: Sequence[float]) -> list[float]:
    """The places of levels on an axis, 1 apart on average: by logarithms if they grow by factors, else evenly."""
    evenly = [float(place) for place in range(len(levels))]
    if len(levels) < 3 or min(levels) <= 0 or list(levels) != sorted(levels):
        return evenly
    steps, factors = np.diff(levels), np.diff(np.log(levels))
    if factors.max() / factors.min() >= steps.max() / steps.min() or factors.min() < CLOSEST * factors.mean():
        return evenly
    return [0.0, *(float(place) for place in np.round(np.cumsum(factors) / factors.mean(), 9))]


CLOSEST = 0.5  # the smallest distance of two levels whose marks do not overlap, as a share of the average


def model_of(data: ReportData, cell: Cell) -> dict[str, Any]:
    """The keys that a cell's architecture reads of the model's configuration in its records; empty without records."""
    for run in data.runs_of(cell.name):
        model = (run.get("config") or {}).get("model") or {}
        read = READS.get(str(model.get("architecture", "encoder_decoder")))
        return {key: value for key, value in model.items() if read is None or key in read}
    return {}
