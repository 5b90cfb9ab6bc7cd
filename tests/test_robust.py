"""Statistics for ten seeds and more: by hand, against scipy, and as often right as they say."""

import math

import numpy as np
import pytest
from scipy import stats

from ablate.analysis.robust import MINIMUM_SEEDS, interquartile_mean, probability_of_improvement

TEN = np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 100])


def test_the_inter_quartile_mean_by_hand():
    """Two of ten are cut off at either end, as scipy and rliable cut off the whole part of a quarter."""
    found = interquartile_mean(TEN)
    assert found.mean == np.mean([3, 4, 5, 6, 7, 8])
    assert found.low < found.mean < found.high
    assert found.n == 10


def test_one_odd_run_does_not_move_it():
    assert interquartile_mean(TEN).mean == interquartile_mean([*TEN[:-1], 10.0]).mean


def test_tasks_are_trimmed_together_and_drawn_apart():
    """A difference between tasks is none between seeds: it adds no width."""
    scores = np.random.default_rng(1).normal(size=(12, 1))
    both = interquartile_mean(np.hstack([scores - 50, scores + 50]))
    assert both.mean == pytest.approx(stats.trim_mean(np.concatenate([scores - 50, scores + 50]), 0.25)[0])
    assert both.high - both.low < 10


def test_the_probability_of_improvement_is_mann_and_whitneys():
    rng = np.random.default_rng(0)
    baseline, variant = rng.integers(0, 6, (2, 11)).astype(float)
    expected = stats.mannwhitneyu(variant, baseline).statistic / 121
    found = probability_of_improvement(baseline, variant)
    assert found.mean == pytest.approx(expected)
    assert found.low < expected < found.high
    assert probability_of_improvement(variant, baseline).mean == pytest.approx(1 - expected)
    lower_is_better = probability_of_improvement(baseline, variant, higher_is_better=False)
    assert lower_is_better.mean == pytest.approx(1 - expected)


def test_ties_count_half_and_tasks_are_averaged():
    assert probability_of_improvement(TEN, TEN).mean == 0.5
    two = probability_of_improvement(np.column_stack([TEN, TEN]), np.column_stack([TEN, TEN + 1000]))
    assert two.mean == pytest.approx((0.5 + 1) / 2)


def test_below_ten_seeds_there_is_nothing():
    few = TEN[: MINIMUM_SEEDS - 1]
    for found in (interquartile_mean(few), probability_of_improvement(TEN, few)):
        assert math.isnan(found.mean)
        assert math.isnan(found.low)
        assert found.n == 9


def test_the_same_numbers_each_time():
    rng = np.random.default_rng(3)
    arms = rng.normal(size=(2, 10))
    assert interquartile_mean(arms[0]) == interquartile_mean(arms[0])
    assert probability_of_improvement(*arms) == probability_of_improvement(*arms)


def test_the_bootstrap_holds_nearly_as_often_as_it_says():
    """A percentile bootstrap of ten values is somewhat too narrow; far from as much as one of three."""
    rng = np.random.default_rng(0)
    found = [interquartile_mean(rng.normal(size=10)) for _ in range(200)]
    assert 0.85 < np.mean([each.low < 0 < each.high for each in found]) < 0.97
