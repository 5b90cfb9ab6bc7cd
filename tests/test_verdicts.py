"""Every rule on every kind of interval, and claims judged from records."""

import math

import numpy as np
import pytest
from records import a_run, a_study, some_runs

from ablate.analysis import verdicts
from ablate.analysis.effects import compare
from ablate.analysis.estimators import ANYTIME, FIXED
from ablate.analysis.judging import KINDS, judge, judge_all
from ablate.analysis.metrics import METRICS, check_metrics
from ablate.analysis.statistics import Effect
from ablate.analysis.verdicts import Reading, Verdict
from ablate.config import BadInput
from ablate.report.text.claims import ledger_row
from ablate.study import Kind

NAN = math.nan
M = 0.5
COMMAND = "python -m ablate +sweep=toy"


def interval(low, high, p=0.01):
    return Effect((low + high) / 2, low, high, p, 3, 1.0)


@pytest.mark.parametrize(
    ("low", "high", "p_holm", "verdict"),
    [
        (0.6, 1.5, 0.01, "supported"),
        (0.1, 1.5, 0.04, "supported"),
        (0.1, 1.5, 0.06, "unresolved"),  # Holm
        (0.1, 0.4, 0.01, "equivalent"),  # excludes zero, yet is too small to matter
        (-0.4, 0.4, 0.9, "equivalent"),
        (-0.5, 0.4, 0.9, "unresolved"),  # touches the margin
        (-0.4, 0.6, 0.9, "unresolved"),
        (-1.5, -0.1, 0.04, "contradicted"),
        (-1.5, -0.1, 0.06, "unresolved"),
        (NAN, NAN, NAN, "unresolved"),
    ],
)
def test_directional(low, high, p_holm, verdict):
    assert verdicts.directional(interval(low, high), p_holm, M) is Verdict[verdict]


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.4, 2.0, "supported"),
        (0.1, 0.2, "supported"),
        (-0.5, 2.0, "unresolved"),
        (-2.0, -0.6, "contradicted"),
        (-2.0, -0.5, "unresolved"),
        (NAN, NAN, "unresolved"),
    ],
)
def test_at_least_as_good(low, high, verdict):
    assert verdicts.at_least_as_good(interval(low, high), M) is Verdict[verdict]


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.4, 0.4, "supported"),
        (0.6, 0.9, "contradicted"),
        (-0.9, -0.6, "contradicted"),
        (0.4, 0.6, "unresolved"),
        (0.5, 0.9, "unresolved"),
        (NAN, NAN, "unresolved"),
    ],
)
def test_no_difference(low, high, verdict):
    assert verdicts.no_difference(interval(low, high), M) is Verdict[verdict]


@pytest.mark.parametrize(
    ("mean", "p", "verdict"),
    [(1, 0.03, "supported"), (-1, 0.03, "contradicted"), (1, 0.05, "unresolved"), (1, NAN, "unresolved")],
)
def test_share_learned(mean, p, verdict):
    assert verdicts.share_learned(Effect(mean, NAN, NAN, p, 4)) is Verdict[verdict]


@pytest.mark.parametrize(
    ("low", "high", "claimed", "verdict"),
    [
        (1.1, 1.9, (1, 2), "supported"),
        (1, 2, (1, 2), "supported"),
        (0.9, 1.9, (1, 2), "unresolved"),
        (0.1, 0.9, (1, 2), "contradicted"),
        (2.1, 3, (1, 2), "contradicted"),
        (2.1, 3, (1, None), "supported"),
        (2.1, 3, (None, 1), "contradicted"),
        (NAN, NAN, (1, 2), "unresolved"),
    ],
)
def test_in_range(low, high, claimed, verdict):
    assert verdicts.in_range(low, high, *claimed) is Verdict[verdict]


S, C, E, U = Verdict.supported, Verdict.contradicted, Verdict.equivalent, Verdict.unresolved


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [([S, S], S), ([S, C], C), ([C, None], C), ([S, U], U), ([S, E], U), ([S, None], None), ([U, None], None)],
)
def test_several(parts, verdict):
    assert verdicts.several(parts) is verdict


@pytest.mark.parametrize(
    ("low", "high", "higher_is_better", "word"),
    [
        (0.6, 1, True, "better"),
        (0.6, 1, False, "worse"),
        (0.6, 1, None, "higher"),
        (-1, -0.6, True, "worse"),
        (-1, -0.6, False, "better"),
        (-1, -0.6, None, "lower"),
        (-0.1, 0.1, True, "equivalent"),
        (-1, 1, True, "unresolved"),
        (NAN, NAN, True, "unresolved"),
    ],
)
def test_reading(low, high, higher_is_better, word):
    assert verdicts.reading(interval(low, high), 0.01, M, higher_is_better) is Reading[word]


def a_claim(**keys):
    return {
        "id": "c",
        "sentence": "They say.",
        "contrast": "pre - post",
        "metric": "test_bleu",
        "kind": "directional",
        **keys,
    }


def verdict_on(runs, variants=("pre", "post"), **keys):
    study = a_study(variants, claims=[a_claim(**keys)])
    return judge(study.claims[0], study, runs(study), COMMAND, FIXED)


OUTCOMES = {  # by how much the first arm exceeds the second, seed by seed -> what each kind of claim makes of it
    "more": ([2.0, 2.1, 1.9, 2.2, 1.8], {
        "directional": S, "at_least_as_good": S, "no_difference": C, "share_learned": S, "in_range": S, "several": S}),
    "less": ([-2.0, -2.1, -1.9, -2.2, -1.8], {
        "directional": C, "at_least_as_good": C, "no_difference": C, "share_learned": C, "in_range": C, "several": C}),
    "the same": ([0.01, -0.01, 0.02, -0.02, 0.0], {
        "directional": E, "at_least_as_good": S, "no_difference": S, "share_learned": U, "in_range": C, "several": U}),
    "who knows": ([3.0, -3.0, 2.0, -2.0, 1.0], {
        "directional": U, "at_least_as_good": U, "no_difference": U, "share_learned": U, "in_range": U, "several": U}),
    "nothing": ([], dict.fromkeys(Kind.__members__)),
}  # fmt: skip
PARTS = [a_claim(), a_claim(kind="at_least_as_good")]
CLAIMS = {
    **{kind: a_claim(kind=kind) for kind in ("directional", "at_least_as_good", "no_difference", "share_learned")},
    "in_range": a_claim(kind="in_range", contrast="pre", range=[40.5, 44]),
    "several": {"id": "c", "sentence": "s", "kind": "several",
                "parts": [{key: part[key] for key in ("contrast", "metric", "kind")} for part in PARTS]},
}  # fmt: skip


def test_the_table_has_every_kind_and_every_verdict_that_it_can_give():
    for kind in Kind.__members__:
        given = {verdicts[kind] for _, verdicts in OUTCOMES.values()}
        assert given == {S, C, U, None, *([E] if kind == "directional" else [])}


@pytest.mark.parametrize(("estimator", "seeds"), [(FIXED, 5), (ANYTIME, 20)])
@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("kind", CLAIMS)
def test_every_kind_of_claim_on_every_outcome(kind, outcome, estimator, seeds):
    differences, expected = OUTCOMES[outcome]
    study = a_study(claims=[CLAIMS[kind]])
    runs = [
        a_run(study, cell, seed, 40 + score, learned=int(learned))
        for seed, difference in enumerate(np.resize(differences, seeds if differences else 0))
        for cell, score, learned in (("pre", difference, difference > 0.5), ("post", 0.0, difference < -0.5))
    ]
    (found,) = judge_all(study, runs, COMMAND, estimator)
    assert found.verdict is expected[kind]


def test_every_kind_is_judged():
    assert {*KINDS, Kind.several} == set(Kind)


@pytest.mark.parametrize(("contrast", "direction", "verdict"), [
    ("pre - post", "higher", S), ("post - pre", "lower", S), ("post - pre", "higher", C), ("pre - post", "lower", C),
])  # fmt: skip
def test_a_direction_is_that_of_the_contrast_as_written(contrast, direction, verdict):
    found = verdict_on(some_runs, contrast=contrast, direction=direction)
    assert found.verdict is verdict
    assert found.command is None
    assert (found.only.effect > 0) == (contrast == "pre - post")


def test_a_claim_without_parts_is_not_tested_and_says_what_would():
    study = a_study(claims=[{"id": "c", "sentence": "s", "command": "python -m ablate +sweep=other"}])
    found = judge(study.claims[0], study, some_runs(study), COMMAND, FIXED)
    assert found.verdict is None
    assert found.command == "python -m ablate +sweep=other"


def test_a_claim_without_runs_or_numbers_is_not_tested():
    for runs in (lambda study: [], lambda study: [run | {"test_bleu": None} for run in some_runs(study)]):
        assert verdict_on(runs).verdict is None


UNTESTED = {  # runs of pre and post -> whether the same command would train what is missing
    "none": (lambda study: [], True),
    "of one variant alone": (lambda study: [run for run in some_runs(study) if run["variant"] == "pre"], True),
    "all failed": (lambda study: [run | {"status": "failed", "test_bleu": None} for run in some_runs(study)], True),
    "all of one variant failed": (
        lambda study: [
            run | ({"status": "failed", "test_bleu": None} if run["variant"] == "pre" else {})
            for run in some_runs(study)
        ],
        True,
    ),
    "all of the baseline diverged": (
        lambda study: some_runs(study, diverged=[("pre", seed) for seed in range(3)]),
        False,
    ),
    "all of the variant diverged": (
        lambda study: some_runs(study, diverged=[("post", seed) for seed in range(3)]),
        False,
    ),
    "all diverged": (
        lambda study: some_runs(study, diverged=[(name, seed) for name in ("pre", "post") for seed in range(3)]),
        False,
    ),
}


@pytest.mark.parametrize("kind", ["directional", "at_least_as_good", "no_difference"])
@pytest.mark.parametrize("what", UNTESTED)
def test_the_same_command_is_advised_only_where_it_would_train_something(what, kind):
    runs, trains = UNTESTED[what]
    found = verdict_on(runs, kind=kind)
    assert found.verdict is None
    assert found.command == (COMMAND if trains else None)
    assert ("diverged" in found.only.note) == (not trains)
    row = " ".join(ledger_row(found))
    assert COMMAND in row or "diverged" in row


@pytest.mark.parametrize("kind", ["directional", "at_least_as_good", "no_difference"])
def test_survivors_alone_decide_nothing(kind):
    whole = verdict_on(lambda study: some_runs(study, 5), kind=kind)
    maimed = verdict_on(lambda study: some_runs(study, 5, diverged=[("post", 1)]), kind=kind)
    assert whole.verdict in (S, C)
    assert maimed.verdict is U
    assert "survival" in maimed.only.note
    assert maimed.only.more_seeds is None


def test_what_is_settled_before_training_needs_no_survivors():
    lost = [("pre", seed) for seed in range(3)]
    found = verdict_on(lambda study: some_runs(study, 3, diverged=lost), metric="initial_gradient_norm_last_ffn")
    assert found.only.seeds == 3
    assert found.only.note == ""


@pytest.mark.parametrize(("runs", "verdict"), [(3, U), (4, S), (5, S)])
def test_shares_that_learned(runs, verdict):
    lost = [("post", seed) for seed in range(runs)]
    found = verdict_on(lambda study: some_runs(study, runs, diverged=lost), kind="share_learned")
    assert found.verdict is verdict
    assert found.only.effect == 1
    assert (found.only.more_seeds is not None) == (verdict is U)


def test_a_fault_or_a_run_of_no_updates_counts_in_no_share():
    def runs(study):
        return [
            run | ({"status": "failed", "learned": None} if run["seed"] == 2 else {}) for run in some_runs(study, 5)
        ]

    assert verdict_on(runs, kind="share_learned").only.seeds == 4


def test_a_count_needs_one_seed_a_measurement_more():
    counted = {"kind": "in_range", "contrast": "pre", "metric": "ffn_parameter_share", "range": [0.66, 0.67]}
    measured = {"kind": "in_range", "contrast": "pre", "metric": "test_bleu", "range": [30, 50]}
    assert verdict_on(lambda study: some_runs(study, 1), **counted).verdict is S
    assert verdict_on(lambda study: some_runs(study, 1), **measured).verdict is U
    assert verdict_on(lambda study: some_runs(study, 3), **measured).verdict is S


def test_a_range_that_the_interval_crosses_takes_more_seeds():
    found = verdict_on(some_runs, kind="in_range", contrast="pre", metric="test_bleu", range=[42, None])
    assert found.verdict is U
    assert found.only.more_seeds > 0


def test_several_parts_have_a_verdict_each():
    parts = [
        {"contrast": "pre - post", "metric": "test_bleu", "kind": "directional"},
        {"contrast": "pre - post", "kind": "share_learned"},
    ]
    study = a_study(claims=[{"id": "c", "sentence": "s", "kind": "several", "parts": parts}])
    found = judge(study.claims[0], study, some_runs(study), COMMAND, FIXED)
    assert [part.verdict for part in found.parts] == [S, U]
    assert found.verdict is U
    assert found.only is None


def test_the_family_is_the_levels_held_against_one_baseline():
    study = a_study(["a", "b", "c"], claims=[a_claim(contrast="a - b")])
    runs = some_runs(study)
    plain, turned = (
        compare(study, runs, "test_bleu", "b", "a", FIXED),
        compare(study, runs, "test_bleu", "a", "b", FIXED),
    )
    assert len(plain.family) == len(turned.family) == 2
    assert plain.p_holm == turned.p_holm >= plain.effect.p


def test_a_factors_levels_are_families_of_their_own():
    study = a_study(factors={"warmup": {"0": {"optim.warmup": 0}, "0.1": {"optim.warmup": 0.1}}})
    assert compare(study, some_runs(study), "test_bleu", "post,warmup=0", "pre,warmup=0", FIXED).place == 0


def test_pairs_across_devices_decide_nothing():
    def runs(study):
        moved = {"provenance": {"device": "cuda:1 H200", "precision": "fp32"}}
        return [run | (moved if run["variant"] == "post" and run["seed"] == 1 else {}) for run in some_runs(study)]

    study = a_study()
    found = compare(study, runs(study), "test_bleu", "post", "pre", FIXED)
    assert found.arms.seeds == (0, 2)
    assert found.arms.mixed == (1,)


def test_what_is_unresolved_says_how_many_seeds_it_takes():
    study = a_study()
    scores = {"pre": [42.0, 41.0, 43.0], "post": [41.0, 41.5, 41.2]}
    found = compare(
        study,
        [a_run(study, cell, seed, bleu) for cell in scores for seed, bleu in enumerate(scores[cell])],
        "test_bleu",
        "post",
        "pre",
        FIXED,
    )
    assert found.reading is Reading.unresolved
    assert found.more_seeds > 0


def test_the_default_margin_of_a_loss_is_a_share_of_the_baselines():
    study = a_study(metric="validation_loss")
    found = compare(study, some_runs(study), "validation_loss", "post", "pre", FIXED)
    assert found.margin == pytest.approx(0.01 * found.arms.baseline.mean())
    assert compare(study, some_runs(study), "test_bleu", "post", "pre", FIXED).margin == 0.5
    assert compare(study, some_runs(study), "test_bleu", "post", "pre", FIXED, margin=0.2).margin == 0.2


def test_unknown_metrics_name_the_choices():
    study = a_study(claims=[a_claim(metric="blue")])
    with pytest.raises(BadInput, match="claim c: metric=blue is unknown; it may be test_bleu, "):
        judge_all(study, [], COMMAND, FIXED)
    with pytest.raises(BadInput, match="needs a margin"):
        check_metrics(a_study(claims=[a_claim(kind="no_difference", metric="seconds")]))


@pytest.mark.parametrize("name", METRICS)
def test_metrics_read_a_record_and_an_empty_one(name):
    study = a_study()
    full = a_run(study, "pre", 0) | {"lr_sensitivity": 0.1, "test_bits_per_byte": 1.5, "decoding_seconds": 2.0}
    empty = dict.fromkeys(full) | {"config": full["config"]}
    assert METRICS[name].value(full) is not None
    assert METRICS[name].value(empty) is None


def test_counts_by_hand():
    run = a_run(a_study(), "pre", 0)
    assert METRICS["ffn_parameter_share"].value(run) == pytest.approx(2 / 3)
    assert METRICS["encoder_layer_parameters_over_d_model_squared"].value(run) == pytest.approx(12)
