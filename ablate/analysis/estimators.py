"""The two ways to make intervals and p values: for a number of seeds that is fixed beforehand, or for any number.

A setting whose number of seeds depends on earlier results is judged by `ANYTIME`, which is valid at every look. All
others are judged by `FIXED`, whose intervals are narrower. Reports make no interval in any other way: the functions
that compare runs take an estimator and have no default for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ablate.analysis.moderated import Prior, guarded
from ablate.analysis.noise import Noise
from ablate.analysis.sequential import anytime_effect, anytime_half_width, anytime_interval, anytime_p
from ablate.analysis.sequential_shares import anytime_difference_of_shares, anytime_p_of_shares, anytime_share
from ablate.analysis.statistics import (
    Effect,
    Interval,
    bonferroni,
    difference_of_shares,
    holm,
    mean_interval,
    paired_effect,
    paired_p,
    runs_needed,
    t_half_width,
    wilson,
)

Values = np.ndarray | Sequence[float]  # [seed]
Outcomes = Mapping[int, float]  # seed -> 1 if that run learned, 0 if not
MOST_RUNS = 100  # a need beyond this is not worth a number


@dataclass(frozen=True)
class Estimator:
    """One way to make intervals and p values, for each kind of number that a report shows."""

    name: str  # of its intervals
    correction: str  # name of the correction for several comparisons
    interval: Callable[[Values], Interval]  # of a mean
    effect: Callable[..., Effect]  # of a mean difference between pairs: baseline, variant, level (95 %)
    guard: Callable[[Effect, Prior | None, float], Effect]  # that against a fluke spread, at a level
    share: Callable[[Outcomes], Interval]
    shares: Callable[[Outcomes, Outcomes], Effect]  # difference of two: baseline, variant
    half_width: Callable[[float, int], float]  # of a mean's interval: standard deviation, seeds
    p: Callable[[Effect, int], float]  # if so many seeds showed this effect
    adjusted: Callable[[Values], np.ndarray]  # p values [comparison] of a family, adjusted for their number
    runs_needed: Callable[[Outcomes, Outcomes], int | None]  # more runs in each arm until their shares differ
    noise: Noise = Noise()  # what is known of other contrasts

    def knowing(self, noise: Noise) -> Estimator:
        """The same with another noise library."""
        return replace(self, noise=noise)


def counts(outcomes: Outcomes) -> tuple[int, int]:
    """How many runs learned, and how many there are."""
    return int(sum(outcomes.values())), len(outcomes)


def in_order(outcomes: Outcomes) -> np.ndarray:
    return np.array([outcomes[seed] for seed in sorted(outcomes)])


def pairs(baseline: Outcomes, variant: Outcomes) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes of both arms in seed order, for the seeds that both have."""
    both = sorted(baseline.keys() & variant.keys())
    return np.array([baseline[seed] for seed in both]), np.array([variant[seed] for seed in both])


def pairs_needed(baseline: Outcomes, variant: Outcomes, alpha: float = 0.05) -> int | None:
    """How many more pairs the sequential test needs if the pairs seen so far were repeated."""
    first, second = pairs(baseline, variant)
    n = len(first)
    if n == 0 or first.mean() == second.mean():
        return None
    p_values = anytime_p_of_shares(np.resize(first, n + MOST_RUNS), np.resize(second, n + MOST_RUNS))
    enough = np.flatnonzero(p_values[n:] < alpha)
    return int(enough[0]) + 1 if len(enough) else None


FIXED = Estimator(
    name="t interval",
    correction="Holm",
    interval=mean_interval,
    effect=paired_effect,
    guard=guarded,
    share=lambda outcomes: wilson(*counts(outcomes)),
    shares=lambda baseline, variant: difference_of_shares(counts(baseline), counts(variant)),
    half_width=t_half_width,
    p=paired_p,
    adjusted=holm,
    runs_needed=lambda baseline, variant: runs_needed(counts(baseline), counts(variant)),
)
ANYTIME = Estimator(
    name="confidence sequence",
    correction="Bonferroni",
    interval=anytime_interval,
    effect=anytime_effect,
    guard=lambda effect, prior, level: effect,
    share=lambda outcomes: anytime_share(in_order(outcomes)),
    shares=lambda baseline, variant: anytime_difference_of_shares(*pairs(baseline, variant)),
    half_width=anytime_half_width,
    p=anytime_p,
    adjusted=bonferroni,
    runs_needed=pairs_needed,
)
