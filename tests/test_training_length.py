"""For how long runs trained, and whether they were still improving: in every headline, from curves alone."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import CORPUS, a_study, some_runs, update_line, write_records

from ablate.analysis.training_length import LEAST, STILL, epochs, fall
from ablate.records.read import read_records
from ablate.report.index import ledger
from ablate.report.render import build
from ablate.report.text.training_budget import length

UPDATES = [100 * number for number in range(11)]


@given(st.floats(-0.5, 0.5), st.floats(1, 5))
def test_a_loss_that_is_a_line_over_the_logarithm_falls_by_its_slope(slope: float, last: float) -> None:
    losses = [last - slope * math.log2(update / UPDATES[-1]) if update else 9.0 for update in UPDATES]
    assert fall(UPDATES, losses) == pytest.approx(slope / np.mean(losses[-3:]), abs=1e-9)


@given(st.lists(st.floats(0.5, 9), min_size=8, max_size=8), st.floats(0.1, 10))
def test_only_the_end_counts_and_no_unit_does(early: list[float], unit: float) -> None:
    end = [2.0, 1.9, 1.85]
    assert fall(UPDATES, [unit * each for each in [*early, *end]]) == pytest.approx(fall(UPDATES, [9.0] * 8 + end))


@pytest.mark.parametrize("losses", [[], [2.0], [2.0, 1.0], [None, None, 2.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
def test_too_few_validations_tell_nothing(losses: list[float | None]) -> None:
    assert fall(UPDATES[1 : 1 + len(losses)], losses) is None
    assert len([each for each in losses if each]) < LEAST


def test_an_epoch_is_the_training_set_once() -> None:
    assert epochs([100] * 30, {"train_tokens": 1500}) == 2
    assert epochs([100] * 30, {"train_pairs": 300, "mean_target": 10.0}) == 1  # of the first corpora
    assert epochs([], {"train_tokens": 1500}) is None
    assert epochs([100], {}) is None


def flat(after: int, share: float) -> list[float]:
    """Losses of ten validations that fall by this share a doubling from number `after` on."""
    return [9.0] * after + [2 - 2 * share * math.log2(number / 10) for number in range(after + 1, 11)]


FALLS: dict[str, tuple[list[float], str]] = {
    "all still improving": ([3 * STILL] * 4, "all 4 runs were still improving."),
    "some": ([3 * STILL, 0.0, 0.0, 3 * STILL], "2 of 4 runs were still improving."),
    "none, and one that gets worse": ([0.0, STILL / 2, -STILL, 0.0], "no run was still improving."),
}


def recorded(root: Path, falls: list[float], corpus: dict[str, Any]) -> Path:
    study = a_study()
    runs = some_runs(study, 2)
    sizes = CORPUS | {"test_sentences": 5} | corpus
    folder = write_records(root, study, runs, corpus=sizes)
    for number, share in enumerate(falls):
        validation = {"update": UPDATES[1:], "loss": flat(5, share)}
        update_line(folder / "curves.jsonl.gz", number, validation=validation)
    return folder


@pytest.mark.parametrize("what", FALLS)
def test_a_headline_says_how_long_runs_trained(what: str, tmp_path: Path, undrawn: None) -> None:
    falls, expected = FALLS[what]
    folder = recorded(tmp_path, falls, {"train_tokens": 8000})
    sentence = f"After 400 updates (2.5 epochs) {expected}"
    assert length(read_records(folder)) == sentence
    report = build(tmp_path, "toy", folder.name)
    assert (report / "report.md").read_text().splitlines()[4] == sentence
    assert sentence in ledger(tmp_path).read_text()
    assert {row["epochs"] for row in csv.DictReader((report / "results.csv").open())} == {"2.5"}


def test_what_is_not_known_is_not_said(tmp_path: Path) -> None:
    folder = recorded(tmp_path, [0.0] * 4, {})
    assert length(read_records(folder)) == "After 400 updates no run was still improving."
    for number in range(4):
        update_line(folder / "curves.jsonl.gz", number, validation={"update": [], "loss": []})
    assert length(read_records(folder)) == ""


def test_each_number_of_updates_is_told_apart(tmp_path: Path) -> None:
    study = a_study(factors={"train.updates": {n: {"train.updates": n} for n in (100, 400)}})
    runs = [run | {"updates": run["train.updates"]} for run in some_runs(study)]
    found = length(read_records(write_records(tmp_path, study, runs)))
    assert found.startswith("After 100 updates ")
    assert "; after 400 updates " in found


def test_a_run_that_fell_long_ago_is_no_longer_improving() -> None:
    assert (fall(UPDATES, [9.0, 5, 3, 2, 1.9, 1.8, 1.8, 1.8, 1.8, 1.8, 1.8]) or 0.0) == pytest.approx(0.0)
    assert np.sign(fall(UPDATES, [9.0, 5, 3, 2, 1.9, 1.8, 1.8, 1.8, 1.8, 1.9, 2.0])) == -1
