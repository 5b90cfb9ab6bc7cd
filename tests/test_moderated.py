"""Moderated variances are limma's, and the wider of two intervals decides."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import polygamma

from ablate.analysis.moderated import MINIMUM, Prior, fit, guarded, moderated, prior_of, squeezed, trigamma_inverse
from ablate.analysis.statistics import Effect, paired_effect

NAN = math.nan
LIBRARY = [0.08, 0.21, 0.35, 0.12, 0.5, 0.02, 0.19, 0.27]


def test_three_variances_are_squeezed_as_limma_does():
    """limma's squeezeVar(c(0.5, 1.3, 7.8), df=3), whose output the tests of inmoose (a port to Python) print."""
    variances = np.array([0.5, 1.3, 7.8])
    prior = fit(variances, np.full(3, 3.0))
    assert (prior.df, prior.variance) == pytest.approx((2.830777, 1.676927), abs=1e-6)
    assert [squeezed(each, 3, prior) for each in variances] == pytest.approx([1.071385, 1.482994, 4.827317], abs=1e-6)


@pytest.mark.parametrize(("value", "expected"), [(1e8, 0.0001), (5, 0.4961687)])
def test_trigamma_is_inverted_as_limma_does(value, expected):
    assert trigamma_inverse(value) == pytest.approx(expected, abs=1e-7)


@given(st.floats(1e-12, 1e12))
def test_trigamma_is_inverted(value):
    assert polygamma(1, trigamma_inverse(value)) == pytest.approx(value, rel=1e-5)


def test_the_prior_has_the_moments_of_the_library():
    """Smyth 2004, section 6.2, with simulated moments in place of digamma and trigamma."""
    df = np.array([2, 4, 2, 9, 4, 4, 2, 4.0])
    prior = prior_of(LIBRARY, df)
    rng = np.random.default_rng(0)
    true = prior.variance * prior.df / rng.chisquare(prior.df, 200_000)
    drawn = np.array([np.log(true * rng.chisquare(each, 200_000) / each) for each in df])
    own = np.array([np.log(rng.chisquare(each, 200_000) / each) for each in df])
    e = np.log(LIBRARY) - own.mean(axis=1)
    assert e.mean() == pytest.approx((drawn - own.mean(axis=1)[:, None]).mean(), abs=0.02)
    assert e.var(ddof=1) == pytest.approx(drawn.var(axis=1).mean(), rel=0.03)
    assert prior.total == df.sum()


def test_variances_that_differ_no_more_than_by_chance_are_worth_infinitely_many_degrees_of_freedom():
    prior = prior_of([1.0, 1.1, 0.9, 1.05, 1.0, 0.95], [4] * 6)
    assert (prior.df, prior.variance, prior.total) == (math.inf, pytest.approx(1.0), 24)
    assert squeezed(7.0, 4, prior) == prior.variance


@pytest.mark.parametrize("variances", [LIBRARY[: MINIMUM - 1], [0.0] * 8])
def test_a_library_that_is_too_small_or_has_no_spread_is_none(variances):
    assert prior_of(variances, [2] * len(variances)) is None


def test_a_variance_of_zero_in_the_library_does_not_decide_alone():
    prior = prior_of([0.0, *LIBRARY], [2] * 9)
    assert 0 < prior.variance < math.inf
    assert 0 < prior.df < math.inf


def test_the_moderated_interval_and_p_by_hand():
    effect, prior = paired_effect(np.zeros(4), [1.0, 1.4, 0.8, 1.2]), Prior(0.25, 5.0, 40.0)
    variance = (5 * 0.25 + 3 * effect.spread**2) / 8
    expected = stats.t(8, effect.mean, math.sqrt(variance / 4))
    found = moderated(effect, prior)
    assert (found.low, found.high) == pytest.approx(expected.interval(0.95))
    assert found.p == pytest.approx(2 * expected.cdf(0))
    assert found.mean == effect.mean


@pytest.mark.parametrize("df", [5.0, math.inf])
def test_a_moderated_test_has_no_more_degrees_of_freedom_than_the_library(df):
    found = moderated(Effect(1.0, NAN, NAN, NAN, 4, 0.5), Prior(0.25, df, 7.0))
    assert found.high - 1 == pytest.approx(stats.t.ppf(0.975, 7) * 0.25)


FLUKE, WIDE = [0.30, 0.31, 0.30], [1.0, -1.0, 0.4]
FITTED = prior_of(LIBRARY, [2] * 8)


@pytest.mark.parametrize(("values", "method"), [(FLUKE, "moderated"), (WIDE, "paired_t")])
def test_the_wider_interval_decides_and_the_larger_p(values, method):
    plain = paired_effect(np.zeros(3), values)
    other, found = moderated(plain, FITTED), guarded(plain, FITTED)
    assert (found.low, found.high) == (min(plain.low, other.low), max(plain.high, other.high))
    assert found.p == max(plain.p, other.p)
    assert found.method == method
    assert found.plain == (plain.low, plain.high)


def test_a_fluke_of_a_spread_decides_nothing():
    """The narrowest of a few spreads made an equivalence; the library knows that it is a fluke."""
    plain = paired_effect(np.zeros(3), FLUKE)
    assert plain.low > 0.2
    assert guarded(plain, FITTED).low < 0
    assert guarded(paired_effect(np.zeros(3), np.full(3, 0.3)), FITTED).p > 0.05


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=8), st.floats(0.5, 0.999))
def test_the_guard_never_narrows_an_interval(values, level):
    plain = paired_effect(np.zeros(len(values)), values, level)
    found = guarded(plain, FITTED, level)
    assert found.low <= plain.low <= plain.high <= found.high
    assert found.p >= plain.p


@pytest.mark.parametrize(
    ("effect", "prior"), [(paired_effect([1.0], [2.0]), FITTED), (paired_effect([1.0, 2.0], [2.0, 1.0]), None)]
)
def test_one_seed_or_no_library_leaves_the_plain_interval(effect, prior):
    assert guarded(effect, prior) is effect
