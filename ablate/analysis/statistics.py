"""Intervals and tests for few seeds. Arrays in, frozen values out; nan where unknown.

A t interval needs two values. Where all values are equal it has no width. That is right for counts; for a
measurement it means that the instrument is coarser than the noise.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import stats
from scipy.special import stdtr, stdtrit
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

MOST_SEEDS = 1000  # a need beyond this is not worth a number


@dataclass(frozen=True)
class Interval:
    """A mean, or a share, and its confidence interval."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Effect:
    """A mean difference, its confidence interval and the two-sided p value of no difference; nan where unknown."""

    mean: float
    low: float
    high: float
    p: float
    seeds: int
    spread: float = math.nan  # standard deviation of the difference over seeds
    method: str = "paired_t"  # that gave the interval
    plain: tuple[float, float] | None = None  # the paired t interval, where the interval is the wider of two


def mean_interval(values: np.ndarray | Sequence[float], level: float = 0.95) -> Interval:
    """Mean and t interval of values [seed]."""
    values = np.asarray(values, dtype=float)
    n = len(values)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = _mean(values)
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1)
    half = t_half_width(_spread(values), n, level)
    return Interval(mean, mean - half, mean + half, n)


def paired_effect(
    baseline: np.ndarray | Sequence[float], variant: np.ndarray | Sequence[float], level: float = 0.95
) -> Effect:
    """Mean seed-matched difference, variant - baseline, by the paired t test; both arrays are [seed]."""
    difference = np.asarray(variant, dtype=float) - np.asarray(baseline, dtype=float)
    interval = mean_interval(difference, level)
    n = interval.n
    if n < 2:
        return Effect(interval.mean, interval.low, interval.high, math.nan, n)
    spread = _spread(difference)
    if spread == 0:
        p = 1.0 if interval.mean == 0 else 0.0
    else:
        p = _two_sided_p(abs(interval.mean) * math.sqrt(n) / spread, n)
    return Effect(interval.mean, interval.low, interval.high, p, n, spread)


def holm(p_values: np.ndarray | Sequence[float]) -> np.ndarray:
    """Holm-adjusted p values [comparison]. A planned comparison without one (nan) counts in the family as p = 1.

    Holm 1979. A test compares this with statsmodels' multipletests, which collects garbage at each call and so took
    longer than the rest of a report.
    """
    p_values = np.asarray(p_values, dtype=float)
    missing = np.isnan(p_values)
    known = np.where(missing, 1.0, p_values)
    order = np.argsort(known)
    adjusted = np.empty_like(known)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(known[order] * np.arange(len(known), 0, -1)))
    return np.where(missing, np.nan, adjusted)


def bonferroni(p_values: np.ndarray | Sequence[float]) -> np.ndarray:
    """p values [comparison] times the number of comparisons, those without one (nan) included, and at most 1."""
    p_values = np.asarray(p_values, dtype=float)
    return np.minimum(1, p_values * len(p_values))


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """A share and its Wilson score interval."""
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    low, high = proportion_confint(successes, n, alpha=1 - level, method="wilson")
    return Interval(successes / n, float(low), float(high), n)


def difference_of_shares(baseline: tuple[int, int], variant: tuple[int, int], level: float = 0.95) -> Effect:
    """Share of the variant less that of the baseline, each given as (successes, n).

    The interval is Newcombe's, made of the two Wilson intervals (1998, method 10); p is Fisher's, two-sided.
    """
    (successes_0, n_0), (successes_1, n_1) = baseline, variant
    if n_0 == 0 or n_1 == 0:
        return Effect(math.nan, math.nan, math.nan, math.nan, 0)
    low, high = confint_proportions_2indep(
        successes_1, n_1, successes_0, n_0, compare="diff", method="newcomb", alpha=1 - level
    )
    p = stats.fisher_exact([[successes_1, n_1 - successes_1], [successes_0, n_0 - successes_0]]).pvalue
    return Effect(successes_1 / n_1 - successes_0 / n_0, float(low), float(high), float(p), min(n_0, n_1))


@dataclass(frozen=True)
class Pairing:
    """What pairing gains. `variance_ratio` is the variance of the difference over that of unrelated runs."""

    correlation: float
    variance_ratio: float
    n: int


def pairing(baseline: np.ndarray | Sequence[float], variant: np.ndarray | Sequence[float]) -> Pairing:
    """Pearson correlation within pairs, both arrays [seed]; nan below three pairs or without spread."""
    baseline, variant = np.asarray(baseline, dtype=float), np.asarray(variant, dtype=float)
    n = len(baseline)
    if n < 3 or np.ptp(baseline) == 0 or np.ptp(variant) == 0:
        return Pairing(math.nan, math.nan, n)
    unrelated = np.var(baseline, ddof=1) + np.var(variant, ddof=1)
    correlation = float(np.corrcoef(baseline, variant)[0, 1])
    return Pairing(correlation, float(np.var(variant - baseline, ddof=1) / unrelated), n)


def t_half_width(spread: float, n: int, level: float = 0.95) -> float:
    """Half the width of the t interval from n >= 2 values with this standard deviation."""
    return float(stdtrit(n - 1, (1 + level) / 2)) * spread / math.sqrt(n)


def paired_p(effect: Effect, n: int) -> float:
    """The paired t test's p if n seeds showed this effect's mean and spread."""
    if math.isnan(effect.spread) or effect.spread == 0:
        return effect.p
    return _two_sided_p(abs(effect.mean) * math.sqrt(n) / effect.spread, n)


def seeds_needed(
    spread: float, seeds: int, distance: float, half_width: Callable[[float, int], float] = t_half_width
) -> int | None:
    """How many more seeds make the interval's half-width smaller than `distance`, if the spread stays as observed.

    None where that is unknown (no spread yet, no distance) or more than MOST_SEEDS.
    """
    if math.isnan(spread) or not distance > 0:
        return None
    first = bisect_left(range(max(seeds, 2), MOST_SEEDS + 1), True, key=lambda n: half_width(spread, n) < distance)
    n = max(seeds, 2) + first
    return n - seeds if n <= MOST_SEEDS else None


def seeds_to_reject(
    effects: Sequence[Effect],
    which: int,
    alpha: float = 0.05,
    p_value: Callable[[Effect, int], float] = paired_p,
    adjusted: Callable[[Sequence[float]], np.ndarray] = holm,
) -> int | None:
    """How many more seeds take the adjusted p of effect number `which` below alpha.

    All effects of the family get the same seeds and keep the means and spreads observed. None where that is unknown or
    takes more than MOST_SEEDS.
    """
    seeds = effects[which].seeds
    if math.isnan(effects[which].spread) or effects[which].mean == 0:
        return None
    # More seeds take every p down and so the adjusted ones: the first n that does is found by bisection.
    first = bisect_left(
        range(max(seeds, 2), MOST_SEEDS + 1),
        True,
        key=lambda n: bool(adjusted([p_value(effect, n) for effect in effects])[which] < alpha),
    )
    n = max(seeds, 2) + first
    return n - seeds if n <= MOST_SEEDS else None


@cache  # the same few counts recur, and each answer takes up to a hundred tests
def runs_needed(baseline: tuple[int, int], variant: tuple[int, int], alpha: float = 0.05) -> int | None:
    """How many more runs an arm Fisher's test calls for, if both shares stay as observed; each is (successes, n)."""
    (successes_0, n_0), (successes_1, n_1) = baseline, variant
    if n_0 == 0 or n_1 == 0 or successes_0 * n_1 == successes_1 * n_0:
        return None
    for more in range(1, 101):
        arms = [(round(successes / n * (n + more)), n + more) for successes, n in (variant, baseline)]
        if stats.fisher_exact([[successes, n - successes] for successes, n in arms]).pvalue < alpha:
            return more
    return None


def _mean(values: np.ndarray) -> float:
    """Exact for equal values, whose plain mean may be off by a rounding error."""
    return float(values[0]) if np.ptp(values) == 0 else float(values.mean())


def _spread(values: np.ndarray) -> float:
    return 0.0 if np.ptp(values) == 0 else float(values.std(ddof=1))


def _two_sided_p(t: float, n: int) -> float:
    """Of a t statistic of n values, t >= 0. The same bits as scipy.stats.t gives, in a small part of the time."""
    return float(2 * stdtr(n - 1, -t))
