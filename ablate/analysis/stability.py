"""Whether one variant's runs are more spread than another's: the ratio of two variances over seeds.

Effects are logarithms of the ratio, variant over baseline; arrays are [seed].
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats
from scipy.special import stdtrit

from ablate.analysis.statistics import Effect

LEAST = 3  # runs of an arm


def ratio_of_pairs(baseline: np.ndarray, variant: np.ndarray, level: float = 0.95) -> Effect:
    """Pitman and Morgan's test for pairs: variances are equal where sums and differences are uncorrelated.

    Pitman 1939, Morgan 1939 (Biometrika 31). The interval leaves out the ratios that this test refuses. p is that of
    Pearson's correlation or of Spearman's, whichever is larger, since heavy tails make the first too small: ten pairs
    with Student's t of three degrees of freedom give 14 % false alarms. McCulloch 1987, Comm. in Statistics 16.
    """
    n = len(baseline)
    sums, differences = variant + baseline, variant - baseline
    if n < LEAST or min(map(np.ptp, (baseline, variant, sums, differences))) == 0:
        return Effect(math.nan, math.nan, math.nan, math.nan, n)
    ratio = log_ratio(baseline, variant)
    p = max(float(test(sums, differences).pvalue) for test in (stats.pearsonr, stats.spearmanr))
    own = float(np.corrcoef(baseline, variant)[0, 1])
    k = 1 + 2 * float(stdtrit(n - 2, (1 + level) / 2)) ** 2 * (1 - own**2) / (n - 2)
    half = math.acosh(k)  # of k +- sqrt(k^2 - 1), in logarithms
    return Effect(ratio, ratio - half, ratio + half, p, n, method="pitman_morgan")


def ratio_of_arms(baseline: np.ndarray, variant: np.ndarray) -> Effect:
    """Brown and Forsythe's test, for runs that are not paired. It has no interval."""
    n = min(len(baseline), len(variant))
    if n < LEAST or min(np.ptp(baseline), np.ptp(variant)) == 0:
        return Effect(math.nan, math.nan, math.nan, math.nan, n)
    p = float(stats.levene(baseline, variant, center="median").pvalue)
    return Effect(log_ratio(baseline, variant), math.nan, math.nan, p, n, method="brown_forsythe")


def log_ratio(baseline: np.ndarray, variant: np.ndarray) -> float:
    return math.log(float(variant.var(ddof=1)) / float(baseline.var(ddof=1)))
