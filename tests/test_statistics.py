"""The statistics agree with scipy, statsmodels and worked examples, and say nan where few seeds know nothing."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from ablate.analysis.statistics import (
    MOST_SEEDS,
    difference_of_shares,
    holm,
    mean_interval,
    paired_effect,
    pairing,
    runs_needed,
    seeds_needed,
    wilson,
)
from ablate.analysis.verdicts import Verdict, no_difference

BASELINE = np.array([42.1, 41.7, 42.6, 42.0])
VARIANT = np.array([41.0, 40.9, 41.2, 41.5])


def test_paired_effect_is_the_paired_t_test():
    effect, expected = paired_effect(BASELINE, VARIANT), stats.ttest_rel(VARIANT, BASELINE)
    interval = expected.confidence_interval(0.95)
    assert (effect.low, effect.high, effect.p) == pytest.approx((interval.low, interval.high, expected.pvalue))
    assert effect.mean == pytest.approx(np.mean(VARIANT - BASELINE))
    assert effect.seeds == 4


@pytest.mark.parametrize("margin", [0.3, 0.6, 1.0, 1.3, 1.5, 1.8, 3.0])
def test_no_difference_is_two_one_sided_tests_each_of_half_the_level(margin):
    """Schuirmann 1987: an interval of level 1 - 2 alpha lies inside the margin where both tests reject at alpha."""
    p = ttost_paired(VARIANT, BASELINE, -margin, margin)[0]
    supported = no_difference(paired_effect(BASELINE, VARIANT), margin) is Verdict.supported
    assert supported == (p < 0.025)


def test_swapping_the_arms_turns_the_effect_round():
    there, back = paired_effect(BASELINE, VARIANT), paired_effect(VARIANT, BASELINE)
    assert (there.mean, there.low, there.high, there.p) == pytest.approx((-back.mean, -back.high, -back.low, back.p))


def test_mean_interval_is_the_t_interval():
    interval = mean_interval(BASELINE)
    expected = stats.ttest_1samp(BASELINE, 0).confidence_interval(0.95)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def test_one_seed_has_a_mean_and_no_interval():
    effect = paired_effect([42.0], [41.0])
    assert effect.mean == -1.0
    assert effect.seeds == 1
    assert all(math.isnan(value) for value in (effect.low, effect.high, effect.p, effect.spread))


def test_no_seed_has_nothing():
    assert math.isnan(mean_interval([]).mean)
    assert mean_interval([]).n == 0


@pytest.mark.parametrize(("difference", "p"), [(0.0, 1.0), (0.1, 0.0)])
def test_without_spread_the_interval_has_no_width(difference, p):
    effect = paired_effect(np.zeros(3), np.full(3, difference))
    assert (effect.mean, effect.low, effect.high, effect.p) == (difference, difference, difference, p)


def test_the_interval_holds_as_often_as_it_says():
    rng = np.random.default_rng(0)
    intervals = [mean_interval(rng.normal(1, 2, size=3)) for _ in range(2000)]
    held = sum(interval.low < 1 < interval.high for interval in intervals)
    low, high = stats.binom(2000, 0.95).interval(0.999)
    assert low <= held <= high


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


@settings(max_examples=8)  # multipletests collects garbage at each call
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_that_of_statsmodels(p_values):
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_holm_keeps_order_never_lowers_and_counts_what_is_missing():
    adjusted = holm([0.01, math.nan, 0.5])
    assert adjusted[0] == pytest.approx(0.03)
    assert math.isnan(adjusted[1])
    assert len(holm([])) == 0


def test_wilson_by_hand():
    share = wilson(8, 10)
    z = 1.959964
    centre, half = (8 + z**2 / 2) / (10 + z**2), z / (10 + z**2) * math.sqrt(8 * 2 / 10 + z**2 / 4)
    assert (share.low, share.high) == pytest.approx((centre - half, centre + half), rel=1e-5)


def test_difference_of_shares_is_newcombes_and_fishers():
    """Newcombe 1998, table II: 56/70 - 48/80 = 0.2, method 10 gives 0.0524 to 0.3339."""
    effect = difference_of_shares((48, 80), (56, 70))
    assert (effect.mean, effect.low, effect.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    assert effect.p == pytest.approx(stats.fisher_exact([[56, 14], [48, 32]]).pvalue)


@pytest.mark.parametrize(("runs", "p"), [(3, 0.1), (4, 0.0286), (5, 0.0079)])
def test_all_against_none_is_as_telling_as_the_method_says(runs, p):
    assert difference_of_shares((0, runs), (runs, runs)).p == pytest.approx(p, abs=1e-4)


def test_pairing_by_hand():
    bought = pairing([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
    assert bought.correlation == pytest.approx(1)
    assert bought.variance_ratio == pytest.approx(0)
    assert math.isnan(pairing([1.0, 2.0], [2.0, 3.0]).correlation)
    assert math.isnan(pairing([1.0, 1.0, 1.0], [2.0, 3.0, 4.0]).correlation)


def test_seeds_needed_is_the_least_number_whose_interval_is_narrow_enough():
    more = seeds_needed(spread=1.0, seeds=3, distance=0.5)
    assert more is not None

    def half_width(n):
        return stats.t.ppf(0.975, n - 1) / math.sqrt(n)

    assert half_width(3 + more) < 0.5 <= half_width(3 + more - 1)


def test_seeds_needed_knows_when_it_cannot_tell():
    assert seeds_needed(math.nan, 1, 0.5) is None
    assert seeds_needed(1.0, 3, 0.0) is None
    assert seeds_needed(1.0, 3, 1.0 / MOST_SEEDS) is None
    assert seeds_needed(0.01, 3, 0.5) == 0


def test_runs_needed_until_fisher_tells():
    assert runs_needed((0, 3), (3, 3)) == 1
    assert runs_needed((2, 3), (2, 3)) is None
    assert runs_needed((0, 0), (3, 3)) is None
