"""An A/A study taken apart: many small studies without any difference, drawn from runs of one configuration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from ablate.analysis.verdicts import ALPHA

DRAWS = 5000


@dataclass(frozen=True)
class Resampled:
    """What studies of `arm` runs against `arm` others of the same configuration show, without any difference."""

    arm: int
    draws: int
    alarms: float  # share of them with p below 0.05, by the paired t test
    beyond: float  # share of them whose means lie further apart than the margin


def resampled(values: Sequence[float], arm: int, margin: float, draws: int = DRAWS) -> Resampled | None:
    """Draw two disjoint groups of runs again and again; None where there are too few. Draws share runs."""
    if arm < 2 or len(values) < 2 * arm:
        return None
    rng = np.random.default_rng(0)  # the same draws each time, so that a report rebuilds
    order = rng.permuted(np.tile(np.asarray(values, dtype=float), (draws, 1)), axis=1)
    difference = order[:, :arm] - order[:, arm : 2 * arm]
    mean, error = difference.mean(axis=1), difference.std(axis=1, ddof=1) / math.sqrt(arm)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stdtr(arm - 1, -np.abs(mean / error))
    return Resampled(arm, draws, float(np.mean(p < ALPHA)), float(np.mean(np.abs(mean) > margin)))
