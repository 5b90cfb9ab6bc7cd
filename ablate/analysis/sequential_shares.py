"""Shares of runs that learned, valid at every look: counterparts of Wilson's, Newcombe's and Fisher's methods.

As in `ablate.analysis.sequential`, outcomes stand in seed order and every prefix of them counts as a look.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import betaln

from ablate.analysis.statistics import Effect, Interval

PRIOR = 0.18  # pseudo-counts of either outcome in the guess at the next pair: Turner et al. 2024
STEPS = 100  # of the grids that intervals are read from; ends are rounded outwards by one


def anytime_share(outcomes: np.ndarray | Sequence[float], level: float = 0.95) -> Interval:
    """A share and its confidence sequence's running intersection; outcomes are [run], 0 or 1, in seed order.

    Inverts the Beta(1/2, 1/2) mixture of likelihood ratios: Robbins 1970, "Statistical methods related to the law of
    the iterated logarithm".
    """
    outcomes = np.asarray(outcomes, dtype=float)
    if len(outcomes) == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    shares = np.linspace(0, 1, STEPS + 1)[1:-1]
    n, successes = np.arange(1, len(outcomes) + 1)[:, None], np.cumsum(outcomes)[:, None]
    likelihood = successes * np.log(shares) + (n - successes) * np.log1p(-shares)
    log_e = betaln(successes + 0.5, n - successes + 0.5) - betaln(0.5, 0.5) - likelihood
    low, high = _interval(shares, log_e, level, 1 / STEPS, (0, 1))
    return Interval(float(outcomes.mean()), low, high, len(outcomes))


def anytime_difference_of_shares(
    baseline: np.ndarray | Sequence[float], variant: np.ndarray | Sequence[float], level: float = 0.95
) -> Effect:
    """Share of the variant less that of the baseline; both arrays are [pair], 0 or 1, in seed order.

    p is 1 over the largest e-value that equal shares have had; the interval leaves out the differences whose e-values
    have reached 1/alpha.
    """
    baseline, variant = np.asarray(baseline, dtype=float), np.asarray(variant, dtype=float)
    n = len(baseline)
    if n == 0:
        return Effect(math.nan, math.nan, math.nan, math.nan, 0)
    differences = np.linspace(-1, 1, 2 * STEPS + 1)[1:-1]
    low, high = _interval(differences, log_e_values_of_pairs(baseline, variant, differences), level, 1 / STEPS, (-1, 1))
    p = float(anytime_p_of_shares(baseline, variant)[-1])
    return Effect(float(variant.mean() - baseline.mean()), low, high, p, n)


def anytime_p_of_shares(baseline: np.ndarray, variant: np.ndarray) -> np.ndarray:
    """p of equal shares after each pair; all arrays are [pair]."""
    log_e = log_e_values_of_pairs(baseline, variant, np.zeros(1))[:, 0]
    return np.exp(-np.maximum.accumulate(np.maximum(log_e, 0)))


def log_e_values_of_pairs(baseline: np.ndarray, variant: np.ndarray, differences: np.ndarray) -> np.ndarray:
    """Evidence after each pair against each difference of shares: logs of e-values [pair, difference].

    Arms are [pair]. An e-value is the product over pairs of the likelihood ratio between a guess (p, q) at both shares,
    made from the earlier pairs, and that point (p0, q0) with this difference which is nearest to it by relative
    entropy. Turner, Ly and Gruenwald 2024, arXiv:2106.02693; for differences other than zero Turner and Gruenwald 2023,
    arXiv:2203.09785.

    They take the two runs of a pair to be independent. It also holds where these are positively correlated, as runs of
    one seed are if anything: the factor is (1 + u (x - p0)) (1 - u (y - q0)) with u = (p - p0) / (p0 (1 - p0)), as at
    the nearest point both slopes are equal, so that under shares p0 + d and q0 + d it is 1 - u^2 (d^2 + covariance) on
    average.
    """
    earlier = np.arange(len(baseline))
    p, q = (
        ((np.cumsum(arm) - arm + PRIOR) / (earlier + 2 * PRIOR))[:, None] for arm in (baseline, variant)
    )  # [pair, 1], guesses
    p0 = _nearest(p, q, differences)
    q0 = p0 + differences
    factors = [
        np.where(arm[:, None] > 0, np.log(guess / null), np.log((1 - guess) / (1 - null)))
        for arm, guess, null in ((baseline, p, p0), (variant, q, q0))
    ]
    return np.cumsum(sum(factors), axis=0)


def _nearest(p: np.ndarray, q: np.ndarray, differences: np.ndarray) -> np.ndarray:
    """p0 of the point (p0, p0 + difference) with the least relative entropy from (p, q), by bisection.

    p and q are [pair, 1], the result [pair, difference]. The likelihood along the line is concave, so its slope falls.
    """
    shape = np.broadcast_shapes(p.shape, differences.shape)
    low = np.broadcast_to(np.maximum(0, -differences), shape)
    high = np.broadcast_to(np.minimum(1, 1 - differences), shape)
    for _ in range(30):
        p0 = (low + high) / 2
        q0 = p0 + differences
        rising = (p - p0) * q0 * (1 - q0) + (q - q0) * p0 * (1 - p0) > 0
        low, high = np.where(rising, p0, low), np.where(rising, high, p0)
    return (low + high) / 2


def _interval(
    grid: np.ndarray, log_e: np.ndarray, level: float, step: float, ends: tuple[float, float]
) -> tuple[float, float]:
    """The outermost values of the grid that no look has refused, a step further out; nan where all were."""
    kept = grid[log_e.max(axis=0) < -math.log(1 - level)]
    if len(kept) == 0:
        return math.nan, math.nan
    return max(float(kept[0]) - step, ends[0]), min(float(kept[-1]) + step, ends[1])
