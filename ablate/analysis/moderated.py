"""Paired differences whose variance is moderated by that of other contrasts, as a guard against fluke spreads.

Smyth 2004, "Linear models and empirical Bayes methods for assessing differential expression in microarray experiments"
(limma). True variances are taken to be s0^2 d0 / chi^2(d0), which makes the observed ones scaled F variables.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, polygamma, stdtr, stdtrit

from ablate.analysis.statistics import Effect

MINIMUM = 6  # contrasts in a library; with fewer the plain interval stands alone
SMALLEST = 1e-5  # of the median: a smaller variance counts as this much, since its logarithm would decide everything


@dataclass(frozen=True)
class Prior:
    """What a library says of the variance of another contrast."""

    variance: float  # s0^2
    df: float  # d0: how many degrees of freedom the library is worth; infinite where all variances could be equal
    total: float  # degrees of freedom of the library, which a moderated test never exceeds


def prior_of(variances: np.ndarray | Sequence[float], df: np.ndarray | Sequence[float]) -> Prior | None:
    """The prior whose moments of log variance are those of a library [contrast]; None for a library that is too small.

    Smyth 2004, section 6.2. e = log s^2 - digamma(d / 2) + log(d / 2) has mean log s0^2 - digamma(d0 / 2) + log(d0 / 2)
    and variance trigamma(d / 2) + trigamma(d0 / 2).
    """
    variances, df = np.asarray(variances, dtype=float), np.asarray(df, dtype=float)
    if len(variances) < MINIMUM or not variances.any():
        return None
    return fit(variances, df)


def fit(variances: np.ndarray, df: np.ndarray) -> Prior:
    floored = np.maximum(variances, SMALLEST * (np.median(variances) or variances.max()))
    e = np.log(floored) - digamma(df / 2) + np.log(df / 2)
    excess = float(e.var(ddof=1) - polygamma(1, df / 2).mean())
    total = float(df.sum())
    if excess <= 0:  # they differ no more than chance makes equal variances differ
        return Prior(float(floored.mean()), math.inf, total)
    half = trigamma_inverse(excess)
    return Prior(float(np.exp(e.mean() + digamma(half) - np.log(half))), 2 * half, total)


def trigamma_inverse(value: float) -> float:
    """x with trigamma(x) = value > 0; it lies where 1 / x < value < 1 / x + 1 / x^2."""
    if value < 1e-6:  # where the two ends are the same number
        return 1 / value
    ends = 1 / value, (1 + math.sqrt(1 + 4 * value)) / (2 * value)
    return float(brentq(lambda x: polygamma(1, x) - value, *ends, xtol=1e-12 * ends[0]))


def squeezed(variance: float, df: float, prior: Prior) -> float:
    """The posterior variance: the observed one and the prior's, weighted by their degrees of freedom."""
    if math.isinf(prior.df):
        return prior.variance
    return (prior.df * prior.variance + df * variance) / (prior.df + df)


def moderated(effect: Effect, prior: Prior, level: float = 0.95) -> Effect:
    """A paired difference with the t interval and p of the squeezed variance; nan below two seeds."""
    if effect.seeds < 2:
        return effect
    own = effect.seeds - 1
    df = min(own + prior.df, prior.total)
    error = math.sqrt(squeezed(effect.spread**2, own, prior) / effect.seeds)
    half = float(stdtrit(df, (1 + level) / 2)) * error
    p = float(2 * stdtr(df, -abs(effect.mean) / error))
    return replace(effect, low=effect.mean - half, high=effect.mean + half, p=p, method="moderated")


def guarded(effect: Effect, prior: Prior | None, level: float = 0.95) -> Effect:
    """A paired difference by whichever interval is wider, end by end, and the larger p; without a prior as it is.

    The moderated interval alone would be wrong too often: contrasts that share a baseline are no independent
    witnesses, and one cell may be more spread than the rest.
    """
    if prior is None or effect.seeds < 2:
        return effect
    other = moderated(effect, prior, level)
    low, high, p = min(effect.low, other.low), max(effect.high, other.high), max(effect.p, other.p)
    method = other.method if other.high > effect.high else effect.method
    return replace(effect, low=low, high=high, p=p, method=method, plain=(effect.low, effect.high))
