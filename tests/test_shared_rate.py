"""A claim about quality that rests on one learning rate says so, where its choice may move the best rate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from records import some_runs, write_records

from ablate.analysis.shared_rate import at_one_rate
from ablate.config import Config
from ablate.records.read import read_records
from ablate.report.index import ledger
from ablate.report.render import build
from ablate.store.study_file import study_from
from ablate.study import Study

WORDS = ", at one shared learning rate"
PART = {"contrast": "b - a", "metric": "test_bleu", "kind": "directional", "direction": "lower"}


def study_of(a: dict[str, Any], b: dict[str, Any], claim: dict[str, Any] | None = None, **more: Any) -> Study:
    claims = [{"id": "c", "sentence": "s", **PART, **(claim or {})}]
    return study_from(
        {"name": "toy", "question": "?", "baseline": "a", "variants": {"a": a, "b": b}, "claims": claims, **more}
    )


PRE, POST = {"model.norm_placement": "pre"}, {"model.norm_placement": "post"}
RATES = {"factors": {"rate": {0.001: {"optim.lr": 0.001}, 0.002: {"optim.lr": 0.002}}}}
AT = {"contrast": "b,rate=0.001 - a,rate=0.001"}
LEVELS = {"factors": {"warmup": {0: {"optim.warmup": 0}, 0.1: {"optim.warmup": 0.1}}}}
CASES: dict[str, tuple[Study, bool]] = {
    "norm placement": (study_of(PRE, POST), True),
    "in quality": (study_of(PRE, POST, {"metric": "quality"}), True),
    "the loss": (study_of(PRE, POST, {"metric": "test_loss"}), True),
    "activation": (study_of({"model.activation": "relu"}, {"model.activation": "gelu"}), True),
    "set in one arm alone": (study_of({}, {"model.attention_scale": "none"}), True),
    "the optimiser": (study_of({"optim.kind": "adamw"}, {"optim.kind": "sgd"}), True),
    "a width": (study_of({"model.ffn_ratio": 1}, {"model.ffn_ratio": 4}), False),
    "gradients": (study_of(PRE, POST, {"metric": "initial_gradient_norm_last_ffn"}), False),
    "whether it trains": (study_of(PRE, POST, {"metric": "trained", "kind": "share_trained"}), False),
    "each at its own rate": (study_of(PRE | {"optim.lr": 0.001}, POST | {"optim.lr": 0.002}), False),
    "at several rates": (study_of(PRE, POST, AT, **RATES), False),
    "levels": (study_of({}, {"model.ffn_ratio": 1}, {"contrast": "a,warmup=0.1 - a,warmup=0"}, **LEVELS), True),
    "within a level": (study_of({}, {"model.ffn_ratio": 1}, {"contrast": "b,warmup=0 - a,warmup=0"}, **LEVELS), False),
    "over a factor": (
        study_of({}, {"model.ffn_ratio": 1}, {"contrast": "a", "kind": "trend", "factor": "warmup"}, **LEVELS), True
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CASES)
def test_only_claims_about_quality_and_such_choices_are_at_one_rate(what: str) -> None:
    study, expected = CASES[what]
    assert at_one_rate(study.claims[0], study) == expected


def test_the_headline_and_the_ledger_say_so(tmp_path: Path, undrawn: None) -> None:
    study = study_of(PRE, POST)
    write_records(tmp_path, study, some_runs(study, 5))
    text = (build(tmp_path, "toy", "synthetic-laptop") / "report.md").read_text()
    assert f"### c: supported{WORDS}" in text
    assert f"**supported{WORDS}**" in ledger(tmp_path).read_text()


def test_with_own_best_rates_nothing_is_shared(tmp_path: Path) -> None:
    study, rates = study_of(PRE, POST), [0.001, 0.002]
    runs = [run | {"best_validation_loss": 1.5} for run in some_runs(study.tuned(rates), 5)]
    config = {"optim": {"lr": 0.001}, "train": {"updates": 400}, "model": {"layers": 2}}
    data = read_records(write_records(tmp_path, study, runs, grid=rates, config=config))
    assert [each.one_rate for each in data.verdicts] == [False]


def test_under_a_tuned_warmup_alone_the_rate_is_shared(tmp_path: Path) -> None:
    study, grid = study_of(PRE, POST), {"warmup": [0.02, 0.15]}
    runs = [run | {"best_validation_loss": 1.5} for run in some_runs(study.tuned(grid), 5)]
    config = {"optim": {"lr": 0.001, "warmup": 0.15}, "train": {"updates": 400}, "model": {"layers": 2}}
    data = read_records(write_records(tmp_path, study, runs, grid=grid, config=config))
    assert [each.one_rate for each in data.verdicts] == [True]


def test_rates_from_a_tuned_setting_are_not_shared() -> None:
    study = study_of(PRE, POST)
    own = study.with_values({name: {"optim.lr": rate} for name, rate in zip(study.variants, (0.001, 0.002))})
    assert [at_one_rate(study.claims[0], each) for each in (study, own)] == [True, False]


def test_the_keys_are_keys() -> None:
    from ablate.analysis.shared_rate import MOVES_THE_RATE

    for start in MOVES_THE_RATE:
        section, _, name = start.partition(".")
        known = [key for key in vars(getattr(Config(), section)) if key.startswith(name)]
        assert known or start == "model.init", start
