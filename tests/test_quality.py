"""Small differences in quality: the test loss decides where it compares, and BLEU may object."""

from __future__ import annotations

from typing import Any

import pytest
from records import a_run, a_study

from ablate.analysis.estimators import FIXED
from ablate.analysis.judging import ClaimVerdict, judge_all
from ablate.analysis.quality import Beside, beside
from ablate.analysis.statistics import Effect
from ablate.analysis.verdicts import Verdict
from ablate.config import BadInput
from ablate.report.text.claims import contrasts
from ablate.store.study_file import study_from, study_to_plain
from ablate.study import Kind

S, C, N, U = Verdict.supported, Verdict.contradicted, Verdict.negligible, Verdict.unresolved
A, D, X = Beside.agrees, Beside.disagrees, Beside.unclear
ABOVE, BELOW, INSIDE, WIDE = (0.6, 1.5), (-1.5, -0.6), (-0.2, 0.3), (-2.0, 2.0)  # of BLEU, whose margin is 0.5
SAYS = {  # kind, verdict by the loss -> what BLEU says where its interval lies above, below, inside, or anywhere
    ("directional", S): (A, D, X, X),
    ("directional", C): (D, A, X, X),
    ("directional", N): (D, D, A, X),
    ("at_least_as_good", S): (A, D, A, X),
    ("at_least_as_good", C): (D, A, D, X),
    ("no_difference", S): (D, D, A, X),
    ("no_difference", C): (A, A, D, X),
    ("directional", U): (X, X, X, X),
}


@pytest.mark.parametrize(("kind", "verdict"), SAYS)
def test_what_bleu_says_of_a_verdict(kind: str, verdict: Verdict) -> None:
    for (low, high), expected in zip((ABOVE, BELOW, INSIDE, WIDE), SAYS[kind, verdict]):
        found = beside(Kind[kind], verdict, Effect((low + high) / 2, low, high, 0.01, 5), 0.5)
        assert found is expected, (low, high)


CLAIM = {"id": "c", "sentence": "s", "contrast": "post - pre", "metric": "quality", "kind": "directional",
         "direction": "higher", "margin": "1 %", "bleu_margin": 0.3}  # fmt: skip
BETTER, WORSE, SAME = (
    [0.05, 0.06, 0.04, 0.055, 0.045],
    [-0.05, -0.06, -0.04, -0.055, -0.045],
    [0.001, -0.001, 0, 0.002, 0],
)


def claimed(loss: list[float], bleu: list[float], changes: dict[str, Any] | None = None, **claim: Any) -> ClaimVerdict:
    """The verdict where post is better by these, seed by seed: its loss is lower, its BLEU higher."""
    study = a_study(claims=[CLAIM | claim])
    runs = [
        a_run(study, cell, seed, 40 + 0.1 * seed + better * bleu[seed])
        | {"test_loss": 1.6 + 0.01 * seed - better * loss[seed], **((changes or {}) if better else {})}
        for cell, better in (("pre", 0), ("post", 1))
        for seed in range(5)
    ]
    return judge_all(study, runs, "python -m ablate", FIXED)[0]


CASES = {  # by the loss, by BLEU -> the verdict, and what BLEU says
    "both": (BETTER, [2.0, 2.1, 1.9, 2.2, 1.8], S, A),
    "the loss alone": (BETTER, [2.0, -2.0, 1.0, -1.0, 0.5], S, X),
    "each the other way": (BETTER, [-2.0, -2.1, -1.9, -2.2, -1.8], U, D),
    "against, both": (WORSE, [-2.0, -2.1, -1.9, -2.2, -1.8], C, A),
    "against, but not by BLEU": (WORSE, [2.0, 2.1, 1.9, 2.2, 1.8], U, D),
    "neither": (SAME, [0.01, -0.01, 0.02, -0.02, 0.0], N, A),
    "no difference but in BLEU": (SAME, [2.0, 2.1, 1.9, 2.2, 1.8], U, D),
}


@pytest.mark.parametrize("what", CASES)
def test_the_loss_decides_unless_bleu_disagrees(what: str) -> None:
    loss, bleu, verdict, says = CASES[what]
    found = claimed(loss, bleu)
    assert found.verdict is verdict
    assert found.only is not None
    assert found.only.bleu is says
    assert (found.only.contrast.metric, found.only.contrast.direction.name) == ("test_loss", "lower")
    assert found.only.margin == pytest.approx(0.01 * 1.62)
    assert f"BLEU {says.value}" in contrasts(found.parts)
    if says is D:
        assert found.only.more_seeds is None


OTHERWISE = {
    "another label smoothing": {"config": {"train": {"updates": 400, "label_smoothing": 0.1}}},
    "another vocabulary": {"corpus": "cafe"},
}


@pytest.mark.parametrize("what", OTHERWISE)
def test_bleu_decides_where_losses_do_not_compare(what: str) -> None:
    found = claimed(BETTER, [2.0, 2.1, 1.9, 2.2, 1.8], OTHERWISE[what])
    assert found.only is not None
    assert (found.verdict, found.only.contrast.metric, found.only.margin) == (S, "test_bleu", 0.3)
    assert found.only.bleu is None
    direct = claimed(BETTER, [2.0, 2.1, 1.9, 2.2, 1.8], OTHERWISE[what], metric="test_loss", bleu_margin=None)
    assert direct.verdict is None
    assert "losses do not rank" in direct.only.note


def test_a_claim_about_the_loss_is_held_to_bleu_as_well() -> None:
    found = claimed(BETTER, [-2.0, -2.1, -1.9, -2.2, -1.8], metric="test_loss", direction="lower", bleu_margin=None)
    assert found.verdict is U


def test_a_claim_about_bleu_is_not_held_to_the_loss() -> None:
    found = claimed(WORSE, [2.0, 2.1, 1.9, 2.2, 1.8], metric="test_bleu", bleu_margin=None)
    assert found.verdict is S


@pytest.mark.parametrize("kind", ["directional", "at_least_as_good", "no_difference"])
def test_claims_in_quality_are_written_as_they_are_read(kind: str) -> None:
    study = a_study(claims=[CLAIM | {"kind": kind}], metric="quality")
    assert study_from(study_to_plain(study)) == study


@pytest.mark.parametrize("bad", [{"kind": "in_range", "contrast": "pre", "range": [1, 2]}, {"bleu_margin": "1 %"},
                                 {"metric": "test_bleu"}])  # fmt: skip
def test_what_makes_no_sense_of_quality_gets_a_line(bad: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="claim c: "):
        a_study(claims=[CLAIM | bad])
