"""A study of one variant against itself: its seeds' halves are analysed as two variants, from plan to report."""

import csv
import json

import numpy as np
import pytest
from corpora import fixture_plan
from records import a_run, write_records

from ablate.analysis.effects import comparisons, halved
from ablate.analysis.estimators import FIXED
from ablate.analysis.judging import judge_all
from ablate.analysis.verdicts import Verdict
from ablate.config import BadInput
from ablate.records.read import read_records
from ablate.report.render import build
from ablate.report.wording import MINUS
from ablate.store.record_schema import CostRecord
from ablate.store.study_file import study_from, study_to_plain
from ablate.study import HALVES

CLAIM = {"id": "aa-1", "sentence": "Alike.", "contrast": "second half - first half", "metric": "test_bleu",
         "kind": "no_difference"}  # fmt: skip
MAPPING = {"name": "toy", "question": "Is there a difference?", "baseline": "baseline", "variants": {"baseline": {}},
           "pairs": "halves", "claims": [CLAIM]}  # fmt: skip


def some_records(root, seeds, spread=0.8):
    study = study_from(MAPPING)
    scores = np.random.default_rng(0).normal(40, spread, seeds).round(4)
    return write_records(root, study, [a_run(study, "baseline", seed, bleu) for seed, bleu in enumerate(scores)])


def test_seed_i_is_held_against_seed_n_plus_i(tmp_path):
    data = read_records(some_records(tmp_path, 6))
    (found,) = comparisons(data.study, data.runs, FIXED)
    scores = [run["test_bleu"] for run in data.runs]
    assert found.arms.baseline.tolist() == scores[:3]
    assert found.arms.variant.tolist() == scores[3:]
    assert (found.variant, found.baseline) == HALVES[::-1]
    assert [run["seed"] for run in data.runs] == list(range(6))


def test_a_lost_run_takes_its_pair_with_it():
    study = study_from(MAPPING)
    runs = [a_run(study, "baseline", seed, status="diverged" if seed == 4 else "finished") for seed in range(6)]
    (found,) = comparisons(study.compared, halved(runs, 6), FIXED)
    assert found.arms.seeds == (0, 2)
    assert found.arms.lost == (1,)


def test_the_plan_trains_one_variant_with_all_seeds():
    runs = fixture_plan("+sweep=aa", "seeds=4").runs
    assert [(spec.cell, spec.seed) for spec in runs] == [("baseline", seed) for seed in range(4)]
    assert len(fixture_plan("+sweep=aa").runs) == 2


@pytest.mark.parametrize("argument", ["seeds=3", "tune=lr", "until=resolved"])
def test_halves_are_even_and_stay_as_they_are(argument):
    with pytest.raises(BadInput, match="halves"):
        fixture_plan("+sweep=aa", argument)


@pytest.mark.parametrize("changes", [
    {"variants": {"baseline": {}, "other": {"model.layers": 1}}}, {"factors": {"depth": {1: {"model.layers": 1}}}},
    {"pairs": "thirds"}, {"claims": [{**CLAIM, "contrast": "baseline - first half"}]},
])  # fmt: skip
def test_only_one_variant_without_factors_has_halves(changes):
    with pytest.raises(BadInput):
        study_from(MAPPING | changes)


def test_a_study_is_written_as_it_is_read():
    study = study_from(MAPPING)
    assert study_from(study_to_plain(study)) == study
    assert "pairs" not in study_to_plain(study_from(MAPPING | {"pairs": "seeds", "claims": []}))


def test_the_report_says_what_was_compared_with_what(tmp_path, monkeypatch):
    monkeypatch.setattr("ablate.report.render.FIGURES", {})
    folder = build(tmp_path, "toy", some_records(tmp_path, 20).name)
    text = (folder / "report.md").read_text()
    rows = list(csv.DictReader((folder / "results.csv").open()))
    summary = json.loads((folder / "summary.json").read_text())
    assert "seed 10 + i against seed i" in text
    assert "share no seed" in text
    assert "10 seeds a half" in text
    assert "From ten seeds up" in text
    assert "artefact of tuning" not in text
    assert f"`second half` {MINUS} `first half`" in text
    assert [row["seed"] for row in rows] == [str(seed) for seed in range(20)]
    assert [row["variant"] for row in rows] == ["first half"] * 10 + ["second half"] * 10
    assert summary["variants"][1]["difference"]["seeds"] == summary["claims"][0]["seeds"] == 10


def test_the_cost_of_both_halves_is_that_of_their_variant(tmp_path):
    folder = some_records(tmp_path, 4)
    probed = {"seconds": [0.1], "tokens": [100.0], "memory": 10}
    provenance = {"threads": 1, "device": "cpu", "device_name": "a processor"}
    cost = {"rounds": 1, "updates_a_round": 1, "others": 0.0, "provenance": provenance, "cells": {"baseline": probed}}
    assert cost.keys() == {*CostRecord.__struct_fields__} - {"mark"}
    (folder / "cost.json").write_text(json.dumps(cost))
    assert read_records(folder).cost["cells"] == dict.fromkeys(HALVES, probed)


def test_a_study_of_one_variant_never_asks_for_more_seeds(tmp_path, monkeypatch):
    """Until there would be a false alarm."""
    monkeypatch.setattr("ablate.report.render.FIGURES", {})
    folder = some_records(tmp_path, 6, spread=2)
    data = read_records(folder)
    (found,) = judge_all(data.study, data.runs, "", FIXED)
    assert found.verdict is Verdict.unresolved
    assert found.only.more_seeds is None
    assert "more seed" not in (build(tmp_path, "toy", folder.name) / "report.md").read_text().split("## How to")[0]
