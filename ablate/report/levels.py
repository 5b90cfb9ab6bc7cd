"""The levels at which a two-factor study looks at its variants, for figures that set them apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ablate.config import READS
from ablate.records.read import ReportData
from ablate.study import Cell


def by_level(cells: Iterable[Cell]) -> dict[str, list[Cell]]:
    """`depth=8` -> its cells, in the study's order; all under one empty name where there is no factor."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(coordinates(cell.factors), []).append(cell)
    return found


def coordinates(factors: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={level}" for name, level in factors.items())


def numeric(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def model_of(data: ReportData, cell: Cell) -> dict[str, Any]:
    """The keys that a cell's architecture reads of the model's configuration in its records; empty without records."""
    for run in data.runs_of(cell.name):
        model = (run.get("config") or {}).get("model") or {}
        read = READS.get(str(model.get("architecture", "encoder_decoder")))
        return {key: value for key, value in model.items() if read is None or key in read}
    return {}
