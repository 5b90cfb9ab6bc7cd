"""How a number changes over the levels of a factor: one value a seed, which is then a number like others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ablate.study import Study, name_without


def levels_of(study: Study, factor: str) -> list[Any]:
    """The levels in order: of size where they are numbers, else that of the study."""
    levels = list(study.factors[factor])
    return sorted(levels) if all(isinstance(level, int | float) for level in levels) else levels


def cells_of(study: Study, name: str, factor: str) -> list[str]:
    """The cells of a variant over a factor, in the order of levels; `name` says its levels of all other factors."""
    places = {level: place for place, level in enumerate(levels_of(study, factor))}
    found = [cell for cell in study.cells() if name_without(cell, factor) == name]
    return [cell.name for cell in sorted(found, key=lambda cell: places[cell.factors[factor]])]


def rise(values: np.ndarray) -> np.ndarray:
    """The linear contrast of values [level, seed] over evenly spaced levels: the fitted change from first to last."""
    scores = np.arange(len(values)) - (len(values) - 1) / 2
    return scores @ values / (scores @ scores) * (len(values) - 1)


def exponent(levels: Sequence[float], values: np.ndarray) -> np.ndarray:
    """The slope of log value over log level, by least squares, for values [level, seed]; all must be above 0."""
    x = np.log(np.asarray(levels, dtype=float))
    x -= x.mean()
    return x @ np.log(values) / (x @ x)
