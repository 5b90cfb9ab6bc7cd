"""Kinds of claims that have a test of their own: stability, trends, exponents; and how claims are written."""

import math

import numpy as np
import pytest
from records import a_run, a_study, some_runs
from scipy import stats

from ablate.analysis.estimators import FIXED
from ablate.analysis.judging import judge_all
from ablate.analysis.kinds import SURVIVORS
from ablate.analysis.quality import LOSSES
from ablate.analysis.stability import ratio_of_arms, ratio_of_pairs
from ablate.analysis.statistics import paired_effect
from ablate.analysis.trends import exponent, rise
from ablate.analysis.verdicts import Verdict
from ablate.config import BadInput
from ablate.report.text.claims import contrasts, predicted
from ablate.store.crossing import crossed
from ablate.store.study_file import study_from, study_to_plain

RNG = np.random.default_rng(1)
COMMON = RNG.normal(size=8)
TAME, WILD = COMMON + 0.5 * RNG.normal(size=8), COMMON + 3 * RNG.normal(size=8)


# Stability.


def test_the_interval_of_a_ratio_of_variances_is_what_pitman_and_morgan_do_not_refuse():
    """At either end of the interval, arms that are scaled to that ratio have p = 0.05."""
    found = ratio_of_pairs(TAME, WILD)
    for end in (found.low, found.high):
        scaled = WILD / math.sqrt(math.exp(end))
        assert stats.pearsonr(scaled + TAME, scaled - TAME).pvalue == pytest.approx(0.05)
    assert found.mean == pytest.approx(math.log(np.var(WILD, ddof=1) / np.var(TAME, ddof=1)))


def test_p_is_the_larger_of_pearsons_and_spearmans():
    sums, differences = WILD + TAME, WILD - TAME
    pair = stats.pearsonr(sums, differences).pvalue, stats.spearmanr(sums, differences).pvalue
    assert ratio_of_pairs(TAME, WILD).p == pytest.approx(max(pair))


def test_swapping_the_arms_turns_the_ratio_round():
    there, back = ratio_of_pairs(TAME, WILD), ratio_of_pairs(WILD, TAME)
    assert (there.mean, there.low, there.high, there.p) == pytest.approx((-back.mean, -back.high, -back.low, back.p))


def test_arms_that_are_no_pairs_are_compared_as_brown_and_forsythe_do():
    found = ratio_of_arms(TAME, WILD[:5])
    assert found.p == pytest.approx(stats.levene(TAME, WILD[:5], center="median").pvalue)
    assert math.isnan(found.low)


@pytest.mark.parametrize("arms", [(TAME[:2], WILD[:2]), (np.ones(5), WILD[:5])])
def test_few_or_equal_values_have_no_ratio(arms):
    assert math.isnan(ratio_of_pairs(*arms).mean)
    assert math.isnan(ratio_of_arms(*arms).mean)


def claimed(study_claim, runs, **more):
    study = a_study(claims=[{"id": "c", "sentence": "s", **study_claim}], **more)
    (found,) = judge_all(study, runs(study), "python -m ablate", FIXED)
    return found


STABLE = {"contrast": "post - pre", "kind": "stability", "direction": "higher"}


def spread_runs(first_seed=0, **changes):
    return lambda study: [
        a_run(study, cell, first_seed * (cell == "post") + seed, validation_loss=1.5 + 0.01 * value, **changes)
        for cell, values in (("pre", TAME), ("post", WILD))
        for seed, value in enumerate(values)
    ]


def test_stability_is_judged_by_the_validation_loss_and_shown_as_a_ratio():
    found = claimed(STABLE, spread_runs())
    assert found.verdict is Verdict.supported
    assert found.only.effect == pytest.approx(ratio_of_pairs(TAME, WILD).mean)
    ratio = np.var(WILD, ddof=1) / np.var(TAME, ddof=1)
    assert f"variance {ratio:.2g} [" in contrasts(found.parts)
    assert predicted(found.only) == "larger"


def test_arms_of_other_seeds_are_no_pairs():
    found = claimed(STABLE, spread_runs(first_seed=100))
    assert found.only.p == pytest.approx(ratio_of_arms(1.5 + 0.01 * TAME, 1.5 + 0.01 * WILD).p)


def test_the_spread_of_survivors_decides_nothing():
    def runs(study):
        lost = a_run(study, "post", 9, status="diverged")
        return [*spread_runs()(study), lost, a_run(study, "pre", 9)]

    assert claimed(STABLE, runs).verdict is Verdict.unresolved


# Trends and exponents.


def test_a_rise_is_the_fitted_change_from_the_first_level_to_the_last():
    values = np.array([[1.0, 2.0], [2.5, 2.0], [2.0, 2.6], [4.0, 3.0]])
    slopes = [stats.linregress(range(4), column).slope for column in values.T]
    assert rise(values) == pytest.approx(3 * np.array(slopes))


def test_an_exponent_is_the_slope_of_logarithms():
    levels, values = [64, 128, 512], np.array([[3.0, 2.0], [7.0, 9.0], [50.0, 70.0]])
    slopes = [stats.linregress(np.log(levels), np.log(column)).slope for column in values.T]
    assert exponent(levels, values) == pytest.approx(slopes)
    assert exponent(levels, np.array([[5.0 * level**1.7] for level in levels])) == pytest.approx([1.7])


SIZES = {"size": {"4": {"model.layers": 4}, 1: {"model.layers": 1}, 2: {"model.layers": 2}}}
NUMBERS = {"size": {size: {"model.layers": size} for size in (4, 1, 2)}}
TREND = {"kind": "trend", "contrast": "post - pre", "metric": "test_bleu", "factor": "size", "margin": 0.5}


def sized_runs(values, factors=NUMBERS, column="test_bleu"):
    """The value of post at each size by seed; pre has 40."""

    def runs(study):
        return [
            a_run(study, cell.name, seed)
            | {column: 40.0 + (cell.variant == "post") * values[cell.factors["size"]][seed]}
            for cell in study.cells()
            for seed in range(5)
        ]

    return runs


GROWS = {1: [0.0, 0.1, -0.1, 0.2, -0.2], 2: [1.1, 0.9, 1.0, 1.2, 0.8], 4: [2.0, 2.2, 1.9, 2.1, 1.8]}


@pytest.mark.parametrize(
    ("turn", "direction", "verdict"),
    [
        (1, "higher", "supported"),
        (1, "lower", "contradicted"),
        (-1, "lower", "supported"),
        (0.1, "lower", "contradicted"),
    ],
)
def test_a_trend_is_that_of_the_difference_over_levels_in_order_of_size(turn, direction, verdict):
    values = {size: [turn * each for each in row] for size, row in GROWS.items()}
    found = claimed(TREND | {"direction": direction}, sized_runs(values), factors=NUMBERS)
    assert found.verdict is Verdict[verdict]
    expected = paired_effect(np.zeros(5), rise(np.array([values[size] for size in (1, 2, 4)])))
    assert (found.only.effect, found.only.low) == pytest.approx((expected.mean, expected.low))
    assert "change over size" in contrasts(found.parts)


def test_a_trend_may_be_negligible():
    flat = {1: GROWS[1], 2: GROWS[1][::-1], 4: [0.1, 0.0, 0.0, -0.1, 0.1]}
    assert claimed(TREND, sized_runs(flat), factors=NUMBERS).verdict is Verdict.negligible


def test_a_trend_without_levels_is_not_tested():
    found = claimed(TREND, lambda study: [])
    assert found.verdict is None
    assert "no factor size" in found.only.note


def test_a_trend_is_over_the_seeds_that_every_level_has():
    def runs(study):
        return [run for run in sized_runs(GROWS)(study) if (run["size"], run["seed"]) != (2, 0)]

    assert claimed(TREND, runs, factors=NUMBERS).only.seeds == 4


POWER = {"kind": "exponent", "contrast": "post", "metric": "seconds", "factor": "size", "range": [1.9, 2.1]}


@pytest.mark.parametrize(("power", "verdict"), [(2.0, "supported"), (1.0, "contradicted"), (2.0, "unresolved")])
def test_an_exponent_lies_in_a_range(power, verdict):
    wild = 0.5 if verdict == "unresolved" else 0.01
    values = {
        size: [10 * size**power * math.exp(wild * each) - 40 for each in np.random.default_rng(size).normal(size=5)]
        for size in (1, 2, 4)
    }
    found = claimed(POWER, sized_runs(values, column="seconds"), factors=NUMBERS)
    assert found.verdict is Verdict[verdict]


def test_an_exponent_takes_levels_and_values_above_zero():
    found = claimed(POWER, lambda study: [a_run(study, cell.name, 0) | {"seconds": 0.0} for cell in study.cells()],
                    factors=NUMBERS)  # fmt: skip
    assert found.verdict is None
    assert "above 0" in found.only.note


def test_a_trend_over_a_crossed_key_is_judged_once_for_all_its_levels():
    study = a_study(claims=[{"id": "t", "sentence": "s", **TREND, "factor": "train.updates"},
                            {"id": "d", "sentence": "s", "contrast": "post - pre", "metric": "test_bleu",
                             "kind": "directional"}])  # fmt: skip
    found = crossed(study, {"train.updates": [100, 400], "model.d_model": [8, 16]})
    ids = [claim.id for claim in found.claims]
    assert ids == [
        "t,d_model=8",
        "t,d_model=16",
        *(f"d,train.updates={n},d_model={d}" for n in (100, 400) for d in (8, 16)),
    ]
    assert found.claims[0].parts[0].variant in found.names("train.updates")


# How claims are written.


@pytest.mark.parametrize(
    "claim", [STABLE, TREND, POWER, {**TREND, "contrast": "post"}, {**STABLE, "kind": "share_trained"}]
)
def test_claims_are_written_as_they_are_read(claim):
    study = a_study(claims=[{"id": "c", "sentence": "s", **claim}], factors=NUMBERS if "factor" in claim else {})
    assert study_from(study_to_plain(study)) == study


BAD = {
    "factor is what": {**TREND, "factor": None},
    "this one is directional": {**TREND, "kind": "directional"},
    "needs range": {**POWER, "range": None},
    "one variant": {**POWER, "contrast": "post - pre"},
    "margin=big": {**TREND, "margin": "big"},
    "margin=-1 %": {**TREND, "margin": "-1 %"},
    "not a variant of this study": {**TREND, "contrast": "post,size=1 - pre,size=1"},
}


@pytest.mark.parametrize("what", BAD)
def test_a_claim_that_makes_no_sense_gets_a_line(what):
    with pytest.raises(BadInput, match=what):
        a_study(claims=[{"id": "c", "sentence": "s", **BAD[what]}], factors=NUMBERS)


def test_losses_do_not_rank_label_smoothing_in_any_of_their_kinds() -> None:
    """Nor in an interaction. Of bits a byte the vocabularies may differ."""
    study = a_study(["pre", "post"], [{"id": name, "sentence": "They say.", "contrast": "post - pre", "metric": name,
                                       "kind": "directional", "margin": 0} for name in LOSSES])  # fmt: skip
    runs = [
        run | {"config": {"train": {"label_smoothing": 0.1 * (run["variant"] == "post")}}}
        for run in some_runs(study, 5)
    ]
    assert {each.verdict for each in judge_all(study, runs, "", FIXED)} == {None}


def test_a_run_without_the_number_that_others_have_makes_the_rest_survivors() -> None:
    study = a_study(["pre", "post"], [{"id": "c", "sentence": "They say.", "contrast": "post - pre",
                                       "metric": "test_loss", "kind": "directional", "margin": 0}])  # fmt: skip
    runs = some_runs(study, 6)
    (whole,) = judge_all(study, runs, "", FIXED)
    worst = next(run for run in runs if run["variant"] == "post")
    (found,) = judge_all(study, [run | {"test_loss": None} if run is worst else run for run in runs], "", FIXED)
    assert found.verdict is Verdict.unresolved
    assert found.parts[0].note == SURVIVORS
    assert whole.parts[0].note != SURVIVORS


def test_the_margin_of_a_trend_is_a_share_of_the_baseline() -> None:
    """And not of the difference, which may be as good as none."""
    study = a_study(["pre", "post"], [{"id": "c", "sentence": "They say.", "contrast": "post - pre", "factor": "size",
                                       "metric": "test_loss", "kind": "trend"}],
                    factors={"size": {"1": {}, "2": {"model.layers": 2}}})  # fmt: skip
    runs = [run | {"test_loss": 2.0 + 0.001 * run["seed"]} for run in some_runs(study, 5)]
    (found,) = judge_all(study, runs, "", FIXED)
    assert found.parts[0].margin == pytest.approx(0.01 * 2.002)
