"""Intervals and p values that are valid at every look, where the number of seeds depends on earlier results.

Values stand in the order of their seeds, and every prefix of them counts as a look: the result depends on the values
alone, and not on the batches that they came in. Intervals are running intersections of a confidence sequence and p
values running minima, so that a decision is kept while other claims still need seeds. They are valid at all sizes at
once, and so at any size, whatever the reason for stopping there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ablate.analysis.statistics import Effect, Interval

SCALE = 2.0
"""Standard deviation of the mixture over the effect size, in standard deviations of a difference.

Every value is valid; it only changes how many seeds are needed. Between one and four it matters little: a larger one
detects large effects a seed earlier, a smaller one gives narrower intervals from ten seeds on. Two is close to the best
of both for effects of one to two standard deviations and five to twenty seeds; a test of the calibration checks that.
"""
METHOD = "sequential"  # what summary.json calls these intervals


def anytime_interval(values: np.ndarray | Sequence[float], level: float = 0.95, scale: float = SCALE) -> Interval:
    """Mean of values [seed], in seed order, and its confidence sequence's running intersection.

    nan while there are too few values for any bound, and in the rare case that the intersection is empty: then no mean
    agrees with all that was seen, and nothing is decided.
    """
    values = np.asarray(values, dtype=float)
    n = len(values)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    means, spreads = _prefixes(values)
    sizes = np.arange(1, n + 1)
    bounds = [anytime_half_width(spread, int(size), level, scale) for spread, size in zip(spreads, sizes)]
    low, high = float(np.max(means - bounds)), float(np.min(means + bounds))
    if low > high or math.isinf(low):
        low = high = math.nan
    return Interval(float(means[-1]), low, high, n)


def anytime_effect(
    baseline: np.ndarray | Sequence[float],
    variant: np.ndarray | Sequence[float],
    level: float = 0.95,
    scale: float = SCALE,
) -> Effect:
    """Mean seed-matched difference, variant - baseline, for any number of looks; both arrays are [seed], in seed order.

    The counterpart of `paired_effect`. p is 1 over the largest e-value that no difference has had so far.
    """
    difference = np.asarray(variant, dtype=float) - np.asarray(baseline, dtype=float)
    interval = anytime_interval(difference, level, scale)
    if interval.n < 2:
        return Effect(interval.mean, interval.low, interval.high, math.nan, interval.n, method=METHOD)
    p = min(1.0, math.exp(-float(np.max(log_e_values(difference, 0.0, scale)))))
    spread = float(_prefixes(difference)[1][-1])
    return Effect(interval.mean, interval.low, interval.high, p, interval.n, spread, METHOD)


def log_e_values(values: np.ndarray, mean: float = 0.0, scale: float = SCALE) -> np.ndarray:
    """Evidence against `mean` after each value: logs of e-values, both arrays [seed].

    The scale-invariant mixture t-test: a likelihood ratio of effect size N(0, scale^2) to 0, both integrated over the
    right Haar measure of sigma. With g = n scale^2 and t the t statistic,
    E = (1 + g)^(-1/2) ((n - 1 + t^2) / (n - 1 + t^2 / (1 + g)))^(n/2). It is a nonnegative martingale with mean 1, so
    that by Ville's inequality it ever reaches 1/alpha with probability alpha at the most.
    Lai 1976, "On confidence sequences"; Wang and Ramdas 2024, arXiv:2310.03722.
    """
    values = np.asarray(values, dtype=float) - mean
    n = np.arange(1, len(values) + 1)
    squares = n * np.cumsum(values**2)
    share = np.divide(np.cumsum(values) ** 2, squares, out=np.zeros(len(values)), where=squares > 0)  # t^2/(n-1+t^2)
    g = n * scale**2
    return -np.log1p(g) / 2 - n / 2 * np.log1p(-np.minimum(share, 1) * g / (1 + g))


def anytime_half_width(spread: float, n: int, level: float = 0.95, scale: float = SCALE) -> float:
    """Half the width of the interval from n values with this standard deviation, if no earlier look had narrowed it.

    It inverts the e-value: infinite while n is too small for any mean to reach 1/alpha.
    """
    g = n * scale**2
    reach = (math.sqrt(1 + g) / (1 - level)) ** (2 / n)  # of the ratio whose power n/2 makes the e-value
    if n < 2 or reach >= 1 + g:
        return math.inf
    return math.sqrt((reach - 1) * (n - 1) / (1 - reach / (1 + g)) / n) * spread


def anytime_p(effect: Effect, n: int, scale: float = SCALE) -> float:
    """The p value if n seeds showed this effect's mean and spread; never above the p value that it has now."""
    if math.isnan(effect.spread) or effect.spread == 0 or n < 2:
        return effect.p
    g, t_squared = n * scale**2, n * (effect.mean / effect.spread) ** 2
    log_e = -math.log1p(g) / 2 + n / 2 * math.log((n - 1 + t_squared) / (n - 1 + t_squared / (1 + g)))
    return min(1.0, effect.p, math.exp(-log_e))


def _prefixes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the first 1, 2, ... values, both [seed]; exact where values are equal."""
    n, centred = np.arange(1, len(values) + 1), values - values[0]
    means = np.cumsum(centred) / n
    squares = np.maximum(np.cumsum(centred**2) - n * means**2, 0)
    return values[0] + means, np.sqrt(squares / np.maximum(n - 1, 1))
