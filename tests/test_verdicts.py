"""Every rule on every kind of interval, and claims judged from records."""

import math

import numpy as np
import pytest
from records import UPDATES, a_run, a_study, some_runs

from ablate.analysis import verdicts
from ablate.analysis.effects import compare, comparisons
from ablate.analysis.estimators import ANYTIME, FIXED
from ablate.analysis.judging import judge, judge_all
from ablate.analysis.kinds import RULES, TESTS
from ablate.analysis.metrics import METRICS, check_metrics
from ablate.analysis.noise import Noise, Spread
from ablate.analysis.power import seeds_for
from ablate.analysis.statistics import Effect, holm
from ablate.analysis.verdicts import Reading, Verdict
from ablate.config import BadInput
from ablate.report.text.answer import reading as worded
from ablate.report.text.claims import ledger_row
from ablate.report.text.claims import verdict as claim_verdict
from ablate.report.wording import MINUS
from ablate.store.study_file import study_from, study_to_plain
from ablate.study import TWINS, Kind

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
        (0.1, 0.4, 0.01, "supported"),  # by less than the margin
        (-0.4, -0.1, 0.01, "contradicted"),
        (0.1, 0.4, 0.06, "negligible"),
        (-0.4, -0.1, 0.06, "negligible"),
        (-0.4, 0.4, 0.9, "negligible"),
        (-0.4, 0.4, NAN, "negligible"),
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


def test_what_is_negligible_is_so_by_the_wider_interval():
    assert verdicts.directional(interval(-0.4, 0.4), 0.9, M, interval(-0.6, 0.6)) is Verdict.unresolved
    assert verdicts.directional(interval(0.1, 0.4), 0.01, M, interval(-0.2, 0.7)) is Verdict.supported


@pytest.mark.parametrize(
    ("low", "high", "small"),
    [(0.1, 0.4, True), (-0.4, -0.1, True), (0.1, 0.5, False), (-0.1, 0.4, False), (0.0, 0.4, False), (NAN, NAN, False)],
)
def test_a_difference_is_small_where_it_is_one_and_inside_the_margin(low, high, small):
    assert verdicts.is_small(low, high, M) is small


@pytest.mark.parametrize(
    ("mean", "p", "verdict"),
    [(1, 0.03, "supported"), (-1, 0.03, "contradicted"), (1, 0.05, "unresolved"), (1, NAN, "unresolved")],
)
def test_by_test(mean, p, verdict):
    assert verdicts.by_test(Effect(mean, NAN, NAN, p, 4), p) is Verdict[verdict]


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


S, C, N, P, U = Verdict.supported, Verdict.contradicted, Verdict.negligible, Verdict.partly, Verdict.unresolved


@pytest.mark.parametrize(
    ("alone", "strict", "verdict"),
    [
        ([S, S], [S, S], S),
        ([S, S], [U, U], S),  # an intersection needs no correction
        ([S, S], [S, N], S),
        ([S, C], [S, C], C),
        ([S, C], [S, U], U),  # a contradiction does: any of the parts could be the one
        ([C, None], [C, None], C),
        ([S, None], [S, None], None),
        ([U, None], [U, None], None),
        ([N, N], [N, N], N),
        ([N, N], [N, U], U),
        ([S, N], [S, N], P),
        ([S, N], [U, N], U),
        ([S, N], [S, U], U),
        ([S, U], [S, U], U),
        ([N, U], [N, U], U),
        ([S, S, N], [S, S, N], P),
        ([S, N, U], [S, N, U], U),
        ([S, N, C], [S, N, C], C),
    ],
)
def test_several(alone, strict, verdict):
    assert verdicts.several(alone, strict) is verdict


@pytest.mark.parametrize(
    ("low", "high", "higher_is_better", "word"),
    [
        (0.6, 1, True, "better"),
        (0.6, 1, False, "worse"),
        (0.6, 1, None, "higher"),
        (-1, -0.6, True, "worse"),
        (-1, -0.6, False, "better"),
        (-1, -0.6, None, "lower"),
        (-0.1, 0.1, True, "negligible"),
        (0.1, 0.2, True, "better"),
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
        "directional": S, "at_least_as_good": S, "no_difference": C, "share_trained": S, "share_learned": S,
        "in_range": S, "several": S, "trend": S, "exponent": S, "stability": U}),
    "less": ([-2.0, -2.1, -1.9, -2.2, -1.8], {
        "directional": C, "at_least_as_good": C, "no_difference": C, "share_trained": C, "share_learned": C,
        "in_range": C, "several": C, "trend": C, "exponent": C, "stability": U}),
    "the same": ([0.01, -0.01, 0.02, -0.02, 0.0], {
        "directional": N, "at_least_as_good": S, "no_difference": S, "share_trained": U, "share_learned": U,
        "in_range": C, "several": P, "trend": N, "exponent": C, "stability": U}),
    "who knows": ([3.0, -3.0, 2.0, -2.0, 1.0], {
        "directional": U, "at_least_as_good": U, "no_difference": U, "share_trained": U, "share_learned": U,
        "in_range": U, "several": U, "trend": U, "exponent": U}),
    "wild": ([9.0, -9.0, 5.0, -7.0, 2.0], {"stability": S}),
    "tame": ([9.0, -9.0, 5.0, -7.0, 2.0], {"stability": C}),
    "nothing": ([], dict.fromkeys(Kind.__members__)),
}  # fmt: skip
PARTS = [a_claim(), a_claim(kind="at_least_as_good")]
KINDS = ("directional", "at_least_as_good", "no_difference", "share_trained", "share_learned")
LEVELS = {"size": {1: {"model.layers": 1}, 2: {"model.layers": 2}}}
CLAIMS = {
    **{kind: a_claim(kind=kind) for kind in KINDS},
    "in_range": a_claim(kind="in_range", contrast="pre", range=[40.5, 44]),
    "several": {"id": "c", "sentence": "s", "kind": "several",
                "parts": [{key: part[key] for key in ("contrast", "metric", "kind")} for part in PARTS]},
    "stability": a_claim(kind="stability", metric="test_bleu"),
    "trend": a_claim(kind="trend", contrast="pre", factor="size", margin=0.5),
    "exponent": a_claim(kind="exponent", contrast="pre", factor="size", range=[0.02, None]),
}  # fmt: skip
SEEDS = {"FIXED": (FIXED, 5), "ANYTIME": (ANYTIME, 20)}


def test_the_table_has_every_kind_and_every_verdict_that_it_can_give():
    for kind in Kind.__members__:
        given = {verdicts[kind] for _, verdicts in OUTCOMES.values() if kind in verdicts}
        rest = {"directional": [N], "trend": [N], "several": [P]}
        assert given == {S, C, U, None, *rest.get(kind, [])}


def some_outcome(kind, outcome, seeds):
    """Runs in which the first arm, or the second level of a factor, exceeds the other by the differences."""
    differences, expected = OUTCOMES[outcome]
    over = kind in ("trend", "exponent")
    study = a_study(claims=[CLAIMS[kind]], factors=LEVELS if over else {})
    first, second = ("pre,size=2", "pre,size=1") if over else ("pre", "post")
    common = 0.1 * np.random.default_rng(3).normal(size=100)
    sides = (lambda difference: difference, lambda difference: 0.0)
    runs = [
        a_run(study, cell, seed, 40 + side(difference) + common[seed] * (kind == "stability"),
              learned=int(did), trained=int(did))
        for seed, difference in enumerate(np.resize(differences, seeds if differences else 0))
        for cell, side, did in zip(
            (second, first) if outcome == "tame" else (first, second), sides, (difference > 0.5, difference < -0.5)
        )
    ]  # fmt: skip
    return study, runs, expected[kind]


CASES = [(kind, outcome) for kind in CLAIMS for outcome, (_, expected) in OUTCOMES.items() if kind in expected]


@pytest.mark.parametrize("looks", SEEDS)
@pytest.mark.parametrize(("kind", "outcome"), CASES)
def test_every_kind_of_claim_on_every_outcome(kind, outcome, looks):
    estimator, seeds = SEEDS[looks]
    study, runs, expected = some_outcome(kind, outcome, seeds)
    (found,) = judge_all(study, runs, COMMAND, estimator)
    assert found.verdict is (None if (kind, looks) == ("stability", "ANYTIME") else expected)


def test_every_kind_is_judged():
    assert TESTS.keys() == RULES.keys() == {*Kind} - {Kind.several}


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
        lambda study: some_runs(study, diverged=[("pre", seed) for seed in range(5)]),
        False,
    ),
    "all of the variant diverged": (
        lambda study: some_runs(study, diverged=[("post", seed) for seed in range(5)]),
        False,
    ),
    "all diverged": (
        lambda study: some_runs(study, diverged=[(name, seed) for name in ("pre", "post") for seed in range(5)]),
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


@pytest.mark.parametrize(("runs", "verdict"), [(3, U), (4, U), (5, S)])
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
    assert verdict_on(lambda study: some_runs(study, 4), **measured).verdict is U
    assert verdict_on(lambda study: some_runs(study, 5), **measured).verdict is S


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


def test_rows_are_adjusted_over_their_table():
    study = a_study(["a", "b", "c"], factors={"warmup": {"0": {"optim.warmup": 0}, "0.1": {"optim.warmup": 0.1}}})
    found = comparisons(study, some_runs(study), FIXED)
    assert [each.p_holm for each in found] == holm([each.effect.p for each in found]).tolist()
    assert len(found) == 4


def test_twins_are_a_table_of_their_own():
    study, twins = a_study(["a", "b", "c"]), {f"{name},{TWINS['parameters']}": {"model.heads": 2} for name in "bc"}
    both = study.twinned(twins, {})
    runs = some_runs(both)
    plain, with_twins = (comparisons(each, runs, FIXED) for each in (study, both))
    assert [each.p_holm for each in with_twins[:2]] == [each.p_holm for each in plain]
    assert [each.p_holm for each in with_twins[2:]] == holm([each.effect.p for each in with_twins[2:]]).tolist()


def some_claims(*claims):
    return [a_claim(id=f"c{place}", **keys) for place, keys in enumerate(claims)]


DIRECTIONAL = {"contrast": "pre - post", "metric": "test_bleu", "kind": "directional"}
AGAINST, BESIDE = ({**DIRECTIONAL, "metric": name} for name in ("validation_loss", "test_loss"))


def test_claims_are_adjusted_over_every_claim_with_a_p():
    claims = [DIRECTIONAL, AGAINST, {"kind": "no_difference"}, {"kind": "in_range", "contrast": "pre", "range": [1, 2]}]
    study = a_study(claims=some_claims(*claims))
    found = judge_all(study, some_runs(study, 5), COMMAND, FIXED)
    raw = [judge(each, study, some_runs(study, 5), COMMAND, FIXED).only.p for each in study.claims]
    assert [each.only.p for each in found[:2]] == pytest.approx(holm(raw[:2]))
    assert all(math.isnan(each.only.p) for each in found[2:])


def a_conjunction(*parts):
    return {"id": "both", "sentence": "s", "kind": "several", "parts": list(parts)}


def test_a_conjunction_enters_with_its_largest_p():
    alone, beside = a_claim(id="c"), a_conjunction(DIRECTIONAL, AGAINST)
    study = a_study(claims=[alone, beside])
    runs = some_runs(study, 5)
    found = judge_all(study, runs, COMMAND, FIXED)[0].only.p
    raw = [judge(each, a_study(claims=[alone]), runs, COMMAND, FIXED).only.p
           for each in a_study(claims=some_claims(DIRECTIONAL, AGAINST)).claims]  # fmt: skip
    assert found == pytest.approx(holm([raw[0], max(raw)])[0])


def scored(study, **columns):
    """Runs whose first arm exceeds the second by these differences, column by column."""
    return [
        a_run(study, cell, seed) | {name: 40.0 + (cell == "pre") * values[seed] for name, values in columns.items()}
        for cell in ("pre", "post")
        for seed in range(len(next(iter(columns.values()))))
    ]


SURE, LIKELY, NONE = [2.0, 2.1, 1.9, 2.2, 1.8], [2.0, 0.2, 1.6, 0.4, 2.3], [0.01, -0.01, 0.02, -0.02, 0.0]
PAIRS = {  # differences in BLEU and chrF -> the verdict on both, and on each
    "both for sure": (SURE, SURE, S, [S, S]),
    "both at the level of one": (LIKELY, LIKELY, S, [S, S]),
    "one for sure, the other negligible": (SURE, NONE, P, [S, N]),
    "one at the level of one, the other negligible": (LIKELY, NONE, U, [U, N]),
    "both negligible": (NONE, NONE, N, [N, N]),
    "one against": (SURE, [-each for each in SURE], C, [S, C]),
    "one against at the level of one": (LIKELY, [-each for each in LIKELY], U, [U, U]),
}


@pytest.mark.parametrize("what", PAIRS)
def test_conjunctions_allow_for_the_number_of_their_parts_where_any_part_could_decide(what):
    bleu, chrf, verdict, parts = PAIRS[what]
    study = a_study(claims=[a_conjunction(DIRECTIONAL, {**DIRECTIONAL, "metric": "test_chrf"})])
    (found,) = judge_all(study, scored(study, test_bleu=bleu, test_chrf=chrf), COMMAND, FIXED)
    assert found.verdict is verdict
    assert [part.verdict for part in found.parts] == parts
    if verdict is P:
        words = "partly supported (supported: `pre` - `post`, BLEU; negligible: `pre` - `post`, chrF)"
        assert claim_verdict(found) == words.replace(" - ", f" {MINUS} ")


@pytest.mark.parametrize(("difference", "verdict"), [(0.42, S), (0.71, U), (1.4, C)])
def test_margin_kinds_of_a_conjunction_are_contradicted_by_a_wider_interval(difference, verdict):
    part = {**DIRECTIONAL, "kind": "no_difference", "margin": 0.6}
    study = a_study(claims=[a_conjunction(part, {**part, "metric": "test_chrf"})])
    values = difference + np.array([0.1, -0.1, 0.05, -0.05, 0.0])
    (found,) = judge_all(study, scored(study, test_bleu=values, test_chrf=NONE), COMMAND, FIXED)
    assert found.verdict is verdict


def test_a_small_difference_says_so():
    study = a_study(claims=[a_claim()])
    (found,) = judge_all(study, scored(study, test_bleu=[0.2, 0.22, 0.18, 0.21, 0.19]), COMMAND, FIXED)
    assert claim_verdict(found) == "supported, by less than the margin"
    (row,) = comparisons(study, scored(study, test_bleu=[0.2, 0.22, 0.18, 0.21, 0.19]), FIXED)
    assert worded(row) == "worse, by less than the margin"


@pytest.mark.parametrize(("margin", "expected"), [("1 %", 0.4), ("0.5%", 0.2), (0.3, 0.3)])
def test_a_margin_that_a_claim_gives_as_a_share_is_one_of_the_baseline(margin, expected):
    study = a_study(claims=[a_claim(margin=margin)])
    (found,) = judge_all(study, scored(study, test_bleu=SURE), COMMAND, FIXED)
    assert found.only.margin == pytest.approx(expected)
    assert study_from(study_to_plain(study)) == study


def test_pairs_across_devices_decide_nothing():
    def runs(study):
        moved = {"provenance": {"device": "cuda:1 H200", "precision": "fp32"}}
        return [run | (moved if run["variant"] == "post" and run["seed"] == 1 else {}) for run in some_runs(study)]

    study = a_study()
    found = compare(runs(study), "test_bleu", "post", "pre", FIXED)
    assert found.arms.seeds == (0, 2, 3, 4)
    assert found.arms.mixed == (1,)


def test_what_is_unresolved_says_how_many_seeds_detect_the_margin():
    study = a_study()
    scores = {"pre": [42.0, 41.0, 43.0], "post": [41.0, 41.5, 41.2]}
    runs = [a_run(study, cell, seed, bleu) for cell in scores for seed, bleu in enumerate(scores[cell])]
    found = compare(runs, "test_bleu", "post", "pre", FIXED)
    assert found.reading is Reading.unresolved
    assert found.more_seeds == seeds_for(0.5, found.effect.spread) - 3
    spreads = tuple(
        Spread("test_bleu", f"{UPDATES} x 1", "o", "s", f"v{n}", "b", (f"{n}", "b"), 5, 0.25, 40.0) for n in range(6)
    )
    known = compare(runs, "test_bleu", "post", "pre", FIXED.knowing(Noise(spreads)))
    assert known.more_seeds == seeds_for(0.5, Noise(spreads).spread("test_bleu", f"{UPDATES} x 1")) - 3


def test_the_default_margin_of_a_loss_is_a_share_of_the_baselines():
    study = a_study(metric="validation_loss")
    found = compare(some_runs(study), "validation_loss", "post", "pre", FIXED)
    assert found.margin == pytest.approx(0.01 * found.arms.baseline.mean())
    assert compare(some_runs(study), "test_bleu", "post", "pre", FIXED).margin == 0.5
    assert compare(some_runs(study), "test_bleu", "post", "pre", FIXED, margin=0.2).margin == 0.2


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
