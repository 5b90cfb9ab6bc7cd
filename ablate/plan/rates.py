"""`rates=STUDY/SETTING`: each variant takes the values that a tuned setting found best for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ablate.config import TUNABLE, BadInput, Config
from ablate.store.record_schema import TakenRates
from ablate.study import Cell, Study, place_of


@dataclass(frozen=True)
class OwnBest:
    """What a tuned setting found best for a variant, at levels of its factors and after a number of updates."""

    variant: str
    factors: dict[str, Any]  # without what was tuned, and without the factor that sets the updates
    updates: int
    values: dict[str, float]  # what was tuned -> the best value
    edges: tuple[str, ...] = ()  # what is best at the edge of its grid


@dataclass(frozen=True)
class TunedSetting:
    """The best values of a setting that was tuned, and the seeds that chose them."""

    name: str  # STUDY/SETTING
    seeds: tuple[int, ...]
    found: tuple[OwnBest, ...]


def taken(study: Study, configs: dict[str, Config], tuned: TunedSetting) -> TakenRates:
    """What each cell takes. `configs` are those of the study's cells. Raises BadInput.

    A cell takes the values of its own number of updates, or else of the nearest smaller one, or else of the smallest.
    Cells that are not trained take none.
    """
    best = {
        cell.name: nearest(alike(cell, tuned), configs[cell.name].train.updates)
        for cell in study.cells()
        if configs[cell.name].train.updates
    }
    return TakenRates(
        setting=tuned.name,
        seeds=list(tuned.seeds),
        cells={cell: each.values for cell, each in best.items()},
        updates={cell: each.updates for cell, each in best.items()},
        edges={cell: list(each.edges) for cell, each in best.items() if each.edges},
    )


def overrides_of(rates: TakenRates) -> dict[str, dict[str, Any]]:
    """Cell -> its values, as overrides of the configuration."""
    return {cell: {TUNABLE[name]: each[name] for name in each} for cell, each in rates.cells.items()}


def alike(cell: Cell, tuned: TunedSetting) -> list[OwnBest]:
    """What was found for the cell's variant at its levels, after each number of updates. Raises BadInput."""
    of_variant = [each for each in tuned.found if each.variant == cell.variant]
    if not of_variant:
        known = ", ".join(dict.fromkeys(each.variant for each in tuned.found))
        raise BadInput(f"rates={tuned.name}: it did not tune {cell.variant}; it tuned {known}")
    if lacking := [name for name in of_variant[0].factors if name not in cell.factors]:
        raise BadInput(f"rates={tuned.name}: it was tuned at levels of {', '.join(lacking)}, which this study lacks")
    levels = {name: cell.factors[name] for name in of_variant[0].factors}
    found = [each for each in of_variant if each.factors == levels]
    if not found:
        known = ", ".join(dict.fromkeys(each.variant + place_of(each.factors) for each in of_variant))
        raise BadInput(f"rates={tuned.name}: it did not tune {cell.variant}{place_of(levels)}; it tuned {known}")
    return found


def nearest(found: Sequence[OwnBest], updates: int) -> OwnBest:
    smaller = [each for each in found if each.updates <= updates]
    return max(smaller, key=lambda each: each.updates) if smaller else min(found, key=lambda each: each.updates)
