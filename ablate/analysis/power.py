"""What a number of seeds can show: the power of the paired t test at the 5 % level."""

from __future__ import annotations

import math
from bisect import bisect_left
from functools import cache

from scipy.optimize import brentq
from scipy.special import stdtrit
from statsmodels.stats.power import TTestPower

POWER, ALPHA = 0.8, 0.05
MOST_SEEDS = 1000  # a need beyond this is not worth a number


@cache
def detectable(seeds: int) -> float:
    """The true difference, in its standard deviations over seeds, that so many seeds detect with 80 % power.

    nan below two seeds.
    """
    if seeds < 2:
        return math.nan
    # solve_power finds no root for some numbers of seeds, such as 876. The tail on the other side, of which scipy makes
    # nan, is left out: it holds less than 0.0001.
    most = 1.3 * (stdtrit(seeds - 1, 1 - ALPHA / 2) + stdtrit(seeds - 1, POWER)) / math.sqrt(seeds)
    test = TTestPower()
    return float(brentq(lambda size: test.power(size, seeds, ALPHA / 2, alternative="larger") - POWER, 0, most))


@cache
def seeds_for(difference: float, spread: float) -> int | None:
    """The least number of seeds that detects this true difference with 80 % power; None for more than MOST_SEEDS."""
    if not difference > 0 or not math.isfinite(spread):
        return None
    n = 2 + bisect_left(range(2, MOST_SEEDS + 1), True, key=lambda n: detectable(n) * spread <= difference)
    return n if n <= MOST_SEEDS else None
