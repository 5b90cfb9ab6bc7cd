"""The line under every verdict: of the other ways to look at it, how many agree, and which do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from records import LAYERS, WIDTH, a_run, a_study, write_records

from ablate.analysis.estimators import FIXED
from ablate.analysis.judging import ClaimVerdict, judge_all
from ablate.analysis.quality import Beside
from ablate.analysis.robustness import with_views
from ablate.analysis.verdicts import Verdict
from ablate.records.read import read_records
from ablate.report.render import build
from ablate.report.text.claims import robustness, verdict
from ablate.study import Study

CLAIM = {"id": "c", "sentence": "s", "contrast": "post - pre", "metric": "test_bleu", "kind": "directional"}
BETTER = [2.0, 2.1, 1.9, 2.2, 1.8]
SAME = [0.01, -0.01, 0.02, -0.02, 0.0]
A, D, X = Beside.agrees, Beside.disagrees, Beside.unclear


def runs_of(study: Study, **better: list[float]) -> list[dict[str, Any]]:
    """Runs of pre, and of post, which is better by these by each metric, seed by seed."""
    start = {"test_bleu": 40.0, "test_chrf": 60.0, "test_loss": 1.6, "validation_loss": 1.5}
    seeds = len(better["test_bleu"])
    rng = np.random.default_rng(0)
    common = {name: rng.normal(size=seeds) for name in start}
    return [
        a_run(study, cell.name, seed)
        | {
            name: base + scale * (common[name][seed] + sign * better.get(name, [0.0] * seeds)[seed] * mine)
            for name, base in start.items()
            for scale, sign in [(0.01, -1) if name.endswith("loss") else (1.0, 1)]
        }
        for cell in study.cells()
        for mine in [cell.variant == "post"]
        for seed in range(seeds)
    ]


def looked_at(study: Study, runs: list[dict[str, Any]], elsewhere: Any = None) -> ClaimVerdict:
    (found,) = judge_all(study, runs, "python -m ablate", FIXED)
    return with_views(found, study, runs, FIXED, {}, elsewhere or {})


def said(found: ClaimVerdict) -> dict[str, Beside]:
    return {view.way: view.says for view in found.views if view.seed is None}


def test_other_metrics_agree_disagree_or_cannot_tell() -> None:
    study = a_study(claims=[CLAIM])
    against = [-each for each in BETTER]
    found = looked_at(
        study, runs_of(study, test_bleu=BETTER, test_chrf=against, test_loss=BETTER, validation_loss=SAME)
    )
    assert found.verdict is Verdict.supported
    assert said(found) == {"test loss": A, "validation loss": X, "chrF": D}
    line = robustness(found.views)
    assert line == "Of 8 other ways to look at it 6 agree; against it: chrF; no answer from validation loss."


def test_losses_of_other_vocabularies_are_no_way_to_look_at_it() -> None:
    study = a_study(claims=[CLAIM])
    runs = [run | {"corpus": run["variant"]} for run in runs_of(study, test_bleu=BETTER)]
    assert said(looked_at(study, runs)).keys() == {"chrF"}


def test_what_one_seed_changes_is_in_the_headline() -> None:
    study = a_study(claims=[CLAIM | {"margin": 0.505}])
    found = looked_at(study, runs_of(study, test_bleu=[0.5, 0.51, 0.49, 0.5, 0.6]))
    assert found.verdict is Verdict.supported
    assert found.fragile == [4]
    assert "but without seed 4 the mean is on another side of zero or of the margin" in verdict(found)
    assert "leaving out seed 4" in robustness(found.views)


@pytest.mark.parametrize("kind", ["no_difference", "at_least_as_good"])
def test_a_sign_does_not_matter_where_only_the_margin_does(kind: str) -> None:
    study = a_study(claims=[CLAIM | {"kind": kind, "margin": 0.5}])
    found = looked_at(study, runs_of(study, test_bleu=SAME))
    assert found.verdict is Verdict.supported
    assert found.fragile == []


def test_a_negligible_difference_may_change_its_sign() -> None:
    study = a_study(claims=[CLAIM | {"margin": 0.5}])
    found = looked_at(study, runs_of(study, test_bleu=SAME))
    assert (found.verdict, found.fragile) == (Verdict.negligible, [])


def test_an_unresolved_verdict_has_no_seed_that_would_change_it() -> None:
    study = a_study(claims=[CLAIM])
    found = looked_at(study, runs_of(study, test_bleu=[3.0, -3.0, 2.0, -2.0, 1.0]))
    assert found.verdict is Verdict.unresolved
    assert found.fragile == []
    assert set(said(found).values()) <= {A, X}


def test_other_budgets_of_the_same_study_are_ways_to_look_at_it() -> None:
    levels = {"train.updates": {n: {"train.updates": n} for n in (100, 400)}}
    part = {**CLAIM, "contrast": "post,train.updates=100 - pre,train.updates=100"}
    study = a_study(claims=[part], factors=levels)
    runs = [
        run | ({"test_bleu": 50.0 - run["test_bleu"]} if run["train.updates"] == 400 else {})
        for run in runs_of(study, test_bleu=BETTER)
    ]
    assert said(looked_at(study, runs))["400 updates"] is D


def test_the_next_learning_rates_are_ways_to_look_at_it(tmp_path: Path) -> None:
    rates = [0.001, 0.002, 0.004]
    study = a_study(claims=[CLAIM])
    tuned = study.tuned(rates)
    runs = [
        run | {"best_validation_loss": {0.001: 1.6, 0.002: 1.5, 0.004: 1.7}[run["lr"]],
               "config": {"model": {"layers": LAYERS, "d_model": WIDTH}, "optim": {"lr": run["lr"]}}}
        for run in runs_of(tuned, test_bleu=BETTER)
    ]  # fmt: skip
    config = {"model": {"layers": LAYERS, "d_model": WIDTH}, "optim": {"lr": 0.002}}
    (found,) = read_records(write_records(tmp_path, study, runs, grid=rates, config=config)).verdicts
    ways = said(found)
    assert ways["the next lower learning rate"] is ways["the next higher learning rate"] is A


def test_a_report_has_the_line_and_the_summary_its_counts(tmp_path: Path) -> None:
    study = a_study(claims=[CLAIM])
    folder = write_records(tmp_path, study, runs_of(study, test_bleu=BETTER, test_chrf=BETTER))
    report = build(tmp_path, "toy", folder.name)
    (claim,) = json.loads((report / "summary.json").read_text())["claims"]
    assert claim["robustness"]["agree"] >= 6
    assert f"Of 8 other ways to look at it {claim['robustness']['agree']} agree" in (report / "report.md").read_text()


def test_what_was_not_tested_has_no_other_ways() -> None:
    study = a_study(claims=[CLAIM])
    assert looked_at(study, []).views == ()
    assert robustness(()) == ""
