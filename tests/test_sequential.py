"""Anytime-valid intervals and p values agree with numerical integration, invert each other, and know no batches."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import a_run, a_study, some_runs
from scipy import integrate, optimize, stats
from scipy.special import betaln

from ablate.analysis.effects import compare, comparisons
from ablate.analysis.estimators import ANYTIME, FIXED
from ablate.analysis.judging import judge_all
from ablate.analysis.power import looks_for, seeds_for
from ablate.analysis.sequential import (
    SCALE,
    anytime_effect,
    anytime_half_width,
    anytime_interval,
    log_e_values,
)
from ablate.analysis.sequential_shares import (
    PRIOR,
    STEPS,
    anytime_difference_of_shares,
    anytime_share,
    log_e_values_of_pairs,
)
from ablate.analysis.statistics import paired_effect, seeds_needed
from ablate.analysis.verdicts import Verdict

VALUES = np.array([0.9, 0.2, 1.4, 1.1, 0.3, 0.8, 1.9, 0.6, 1.0, 0.7])
some_values = st.lists(st.floats(-5, 5).map(lambda value: round(value, 3)), min_size=2, max_size=12).map(np.array)


@pytest.mark.parametrize("n", [2, 5, 8])
@pytest.mark.parametrize("scale", [0.7, SCALE])
def test_the_e_value_is_the_ratio_of_the_two_integrals(n, scale):
    """Over effect size and, by the right Haar measure d sigma / sigma, over sigma, which is integrated as its log."""
    values, sigma = VALUES[:n], np.exp(np.linspace(-7, 16, 2301))
    effect_size = np.linspace(-9 * scale, 9 * scale, 1001)[:, None]
    density = np.exp(sum(stats.norm.logpdf(value, effect_size * sigma, sigma) for value in values))
    weighted = density * stats.norm.pdf(effect_size, scale=scale)
    above = integrate.simpson(integrate.simpson(weighted, np.log(sigma)), effect_size[:, 0])
    below = integrate.simpson(density[len(density) // 2], np.log(sigma))
    assert math.exp(log_e_values(values, 0.0, scale)[-1]) == pytest.approx(above / below, rel=1e-4)


def test_the_first_value_is_no_evidence():
    assert log_e_values(VALUES)[0] == pytest.approx(0)


def test_the_ends_of_an_interval_are_where_the_e_value_reaches_its_bound():
    last = [anytime_half_width(VALUES[:n].std(ddof=1), n) for n in range(4, 11)]
    for n, half in zip(range(4, 11), last):
        for end in (-half, half):
            e = log_e_values(VALUES[:n], VALUES[:n].mean() + end)[-1]
            assert e == pytest.approx(math.log(20))


def test_the_formula_of_an_interval_is_the_root_found_by_bisection():
    mean = VALUES.mean()
    root = optimize.brentq(lambda end: log_e_values(VALUES, end)[-1] - math.log(20), mean, mean + 10)
    assert anytime_half_width(VALUES.std(ddof=1), 10) == pytest.approx(root - mean)


@given(some_values)
def test_evidence_knows_no_unit_and_no_sign(values):
    assert log_e_values(-3 * values) == pytest.approx(log_e_values(values), abs=1e-6)


@given(some_values)
def test_more_seeds_never_widen_an_interval_nor_raise_p(values):
    zeros = np.zeros(len(values))
    before, after = anytime_effect(zeros[:-1], values[:-1]), anytime_effect(zeros, values)
    assert math.isnan(before.p) or after.p <= before.p
    if not math.isnan(after.low) and not math.isnan(before.low):
        assert before.low <= after.low <= after.high <= before.high


@given(some_values)
def test_p_and_the_interval_tell_the_same(values):
    effect = anytime_effect(np.zeros(len(values)), values)
    if not math.isnan(effect.low) and abs(effect.p - 0.05) > 1e-6:
        assert (effect.p < 0.05) == (effect.low > 0 or effect.high < 0)


@given(some_values)
def test_it_asks_for_more_than_the_methods_for_a_fixed_number(values):
    zeros = np.zeros(len(values))
    fixed, anytime = paired_effect(zeros, values), anytime_effect(zeros, values)
    assert anytime.mean == pytest.approx(fixed.mean)
    assert anytime.spread == pytest.approx(fixed.spread, abs=1e-6)
    if fixed.p > 1e-6 and fixed.spread > 0:
        n = len(values)
        assert anytime_half_width(fixed.spread, n) > (fixed.high - fixed.low) / 2
        assert math.exp(-log_e_values(values)[-1]) >= fixed.p


def test_few_values_bound_nothing():
    for n in range(4):
        interval = anytime_interval(VALUES[:n])
        assert (interval.n, math.isnan(interval.low), math.isnan(interval.high)) == (n, True, True)
    assert not math.isnan(anytime_interval(VALUES[:4]).low)
    assert math.isnan(anytime_effect([1.0], [2.0]).p)


def test_where_no_mean_agrees_with_everything_nothing_is_bounded():
    rng = np.random.default_rng(0)
    shifted = np.concatenate([0.01 * rng.normal(size=8), 5 + 0.01 * rng.normal(size=100)])
    assert math.isnan(anytime_interval(shifted).low)


def test_equal_values_leave_no_width_and_zeros_no_evidence():
    interval = anytime_interval([0.1] * 6)
    assert (interval.low, interval.high) == (0.1, 0.1)
    assert anytime_effect([0.1] * 6, [0.1] * 6).p == 1
    assert anytime_effect([0.0] * 6, [0.1] * 6).p < 0.01


@pytest.mark.parametrize("distance", [0.3, 0.6])
def test_seeds_needed_is_the_least_number_whose_sequence_is_narrow_enough(distance):
    more = seeds_needed(0.8, 5, distance, anytime_half_width)
    assert anytime_half_width(0.8, 5 + more) < distance <= anytime_half_width(0.8, 5 + more - 1)
    assert more > seeds_needed(0.8, 5, distance)


@pytest.mark.parametrize("difference", [0.6, 1.5])
def test_seeds_to_look_at_detect_the_difference_with_80_percent_power(difference):
    n = looks_for(difference, 1.0)
    drawn = np.random.default_rng(0).normal(difference, 1.0, (2000, n))
    found = np.mean([anytime_p(each) < 0.05 for each in drawn])
    assert 0.77 < found < 0.95  # earlier looks help a little
    assert n > seeds_for(difference, 1.0)
    assert looks_for(0.0, 1.0) is looks_for(1.0, math.nan) is None


def anytime_p(values):
    return anytime_effect(np.zeros(len(values)), values).p


# Shares


def test_the_e_value_of_equal_shares_by_hand():
    """All of one arm against none of the other: guesses start at a half and close in on the ends."""
    expected = 1.0
    for earlier in range(5):
        guess = (earlier + PRIOR) / (earlier + 2 * PRIOR)
        expected *= (guess / 0.5) ** 2
        found = log_e_values_of_pairs(np.zeros(earlier + 1), np.ones(earlier + 1), np.zeros(1))[-1, 0]
        assert math.exp(found) == pytest.approx(expected)


@pytest.mark.parametrize("difference", [-0.4, 0.0, 0.7])
@pytest.mark.parametrize("correlated", [0.0, 0.5, 1.0])
def test_no_pair_is_evidence_on_average_against_the_truth(difference, correlated):
    """Whatever came before, under every pair of shares with this difference, whose runs are positively correlated."""
    history = np.array([[1, 0, 1, 1], [0, 0, 1, 0]])
    for p in np.linspace(max(0, -difference), min(1, 1 - difference), 7):
        q = p + difference
        both = p * q + correlated * (min(p, q) - p * q)
        joint = {(1, 1): both, (1, 0): p - both, (0, 1): q - both, (0, 0): 1 - p - q + both}
        mean = 0.0
        for (x, y), chance in joint.items():
            arms = np.column_stack([history, [x, y]])
            log_e = log_e_values_of_pairs(*arms, np.array([difference]))[:, 0]
            mean += chance * math.exp(log_e[-1] - log_e[-2])
        assert mean <= 1 + 1e-9


def test_all_against_none_takes_four_pairs():
    assert [anytime_difference_of_shares([0] * n, [1] * n).p < 0.05 for n in (2, 3, 4, 5)] == [False, False, True, True]


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12))
def test_swapping_the_arms_turns_the_difference_round(pairs):
    baseline, variant = np.array(pairs, dtype=float).T
    there, back = anytime_difference_of_shares(baseline, variant), anytime_difference_of_shares(variant, baseline)
    assert (there.mean, there.p) == pytest.approx((-back.mean, back.p))
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), nan_ok=True)
    if there.p < 0.049 and not math.isnan(there.low):
        assert there.low > -2 / STEPS or there.high < 2 / STEPS


def test_a_share_is_bounded_by_the_beta_mixture():
    """Found again as the first share, from either end, that no prefix refuses."""
    learned = [1, 1, 1, 0, 1, 1]

    def refused(share):
        fits = [stats.bernoulli.logpmf(learned[:n], share).sum() for n in range(1, 7)]
        mixtures = [betaln(sum(learned[:n]) + 0.5, n - sum(learned[:n]) + 0.5) for n in range(1, 7)]
        return max(mixture - betaln(0.5, 0.5) - fit for mixture, fit in zip(mixtures, fits)) - math.log(20)

    share = anytime_share(learned)
    low, high = optimize.brentq(refused, 1e-9, 5 / 6), optimize.brentq(refused, 5 / 6, 1 - 1e-9)
    assert low - 2 / STEPS <= share.low <= low
    assert high <= share.high <= high + 2 / STEPS
    assert math.isnan(anytime_share([]).low)
    assert math.isnan(anytime_difference_of_shares([], []).p)


# Through claims

CLAIM = {"id": "c", "sentence": "They say.", "metric": "test_bleu", "contrast": "pre - post"}
KINDS = {
    "directional": {**CLAIM, "kind": "directional"},
    "at_least_as_good": {**CLAIM, "kind": "at_least_as_good"},
    "no_difference": {**CLAIM, "kind": "no_difference", "margin": 3},
    "share_trained": {"id": "c", "sentence": "s", "contrast": "pre - post", "kind": "share_trained"},
    "in_range": {"id": "c", "sentence": "s", "contrast": "pre", "metric": "test_bleu", "kind": "in_range",
                 "range": [40, 44]},
}  # fmt: skip


def judged(kind, seeds, estimator):
    study = a_study(claims=[KINDS[kind]])
    runs = [run | {"trained": int(run["variant"] == "pre")} for run in some_runs(study, seeds)]
    return judge_all(study, runs, "python -m ablate +sweep=toy", estimator)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_claim_is_decided_later_and_the_same_way(kind):
    few, many = judged(kind, 3, ANYTIME), judged(kind, 12, ANYTIME)
    assert (few.verdict, many.verdict) == (Verdict.unresolved, Verdict.supported)
    assert judged(kind, 12, FIXED).verdict is Verdict.supported
    assert few.only.more_seeds > 0
    assert not many.only.more_seeds


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_records_does_not_matter(kind):
    study = a_study(claims=[KINDS[kind]])
    runs = some_runs(study, 8)
    there, back = (judge_all(study, order, "python -m ablate", ANYTIME)[0].only for order in (runs, runs[::-1]))
    assert (there.effect, there.low, there.high, there.p) == pytest.approx(
        (back.effect, back.low, back.high, back.p), nan_ok=True
    )


def test_what_is_counted_needs_no_caution():
    study = a_study()
    runs = [a_run(study, cell, 0, parameters=size) for cell, size in (("pre", 10), ("post", 12))]
    found = compare(runs, "parameters", "post", "pre", estimator=ANYTIME)
    assert (found.effect.low, found.effect.high, found.effect.p) == (2, 2, 0)


def test_a_comparison_asks_for_seeds_by_its_own_intervals():
    study = a_study()
    runs = [run | {"test_bleu": 40 + 5 * (run["test_bleu"] - 40)} for run in some_runs(study, 5, step=0.1)]
    fixed, anytime = (comparisons(study, runs, estimator)[0].more_seeds for estimator in (FIXED, ANYTIME))
    assert 0 < fixed < anytime
