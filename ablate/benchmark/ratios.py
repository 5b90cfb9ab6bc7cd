"""Numbers that repeat over rounds, and what is made of them: ratios within a round, their spread, fitted exponents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from scipy.stats import t


@dataclass(frozen=True)
class Spread:
    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Exponent:
    """cost ~ level^slope, with a 95 % interval."""

    slope: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    return Spread(median(values), min(values), max(values))


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Spread:
    """Of the ratios within each round, so that a machine that drifts between rounds affects both sides alike."""
    return spread([one / other for one, other in zip(numerators, denominators, strict=True)])


def exponent(costs: Mapping[float, Sequence[float]]) -> Exponent | None:
    """Slope of log cost over log level, through the medians of the levels; None for fewer than three levels.

    The interval is the regression's own (Student's t), so it also shows how far the cost is from a power law.
    """
    levels = sorted(costs)
    if len(levels) < 3:
        return None
    x, y = np.log(levels), np.log([median(costs[level]) for level in levels])
    slope, start = np.polyfit(x, y, 1)  # scipy's linregress has no error where the cost is constant
    free = len(levels) - 2
    error = np.sqrt(np.sum((y - start - slope * x) ** 2) / free / np.sum((x - x.mean()) ** 2))
    half = t.ppf(0.975, free) * error
    return Exponent(float(slope), float(slope - half), float(slope + half))
