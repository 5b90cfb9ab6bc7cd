"""A score that measures nothing decides nothing: chrF and the test loss stand in, and reports say so."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from records import a_run, a_study, some_runs, write_records
from short import each_once

from ablate.analysis.estimators import FIXED
from ablate.analysis.judging import judge_all
from ablate.analysis.measured import QUALITY, STAND_INS, stand_ins, unmeasured
from ablate.analysis.metrics import METRICS
from ablate.config import BadInput
from ablate.records.read import read_records
from ablate.records.report_data import ReportData
from ablate.report.figures import FIGURES
from ablate.report.figures.style import styled
from ablate.report.index import ledger
from ablate.report.render import build
from ablate.report.side_by_side import compare, markdown, read_settings
from ablate.report.text.opening import headline
from ablate.run.until import open_questions
from ablate.store.study_file import study_from
from ablate.study import Study
from ablate.tracking.report_run import tables_of, without_verdict

WHY = "no reference of the test set has the 4 tokens that BLEU needs (tokeniser 13a)"
BLEUS = [name for name in QUALITY if "bleu" in name]
COMMAND = "python -m ablate +sweep=toy"
SETTING = "synthetic-laptop"


def a_claim(metric: str = "test_bleu", kind: str = "directional", **keys: Any) -> dict[str, Any]:
    ranged = {"contrast": "pre", "range": [0, None]} if kind == "in_range" else {"contrast": "post - pre"}
    return {"id": f"{kind}-{metric}", "sentence": "s", "metric": metric, "kind": kind, "margin": 0.5, **ranged, **keys}


def blind(runs: list[dict[str, Any]], bleu: float | None = 0.0) -> list[dict[str, Any]]:
    """The runs with BLEUs that say nothing, and with chrF and losses that say what BLEU said."""
    return [
        run | dict.fromkeys(BLEUS, bleu) | {"test_chrf": run["test_bleu"] + 10, "test_loss": 5 - run["test_bleu"] / 20}
        if run["test_bleu"] is not None
        else run
        for run in runs
    ]


HOW: dict[str, tuple[float | None, dict[str, Any]]] = {  # how BLEU comes to measure nothing -> its value, the manifest
    "it is 0 in every run": (0.0, {}),
    "it is 100 in every run": (100.0, {}),
    WHY: (None, {"unmeasured": dict.fromkeys(BLEUS, WHY)}),
}
HALVES = {"name": "toy", "question": "Alike?", "baseline": "baseline", "variants": {"baseline": {}}, "pairs": "halves",
          "claims": [a_claim(contrast="second half - first half", kind="no_difference")]}  # fmt: skip
LEVELS = {"warmup": {"0": {"optim.warmup": 0}, "0.1": {"optim.warmup": 0.1}, "0.2": {"optim.warmup": 0.2}}}
RATES = [0.001, 0.002, 0.004]


def tuned_runs(study: Study) -> list[dict[str, Any]]:
    """Validation prefers the middle rate."""
    return [
        run | {"best_validation_loss": 2 + abs(RATES.index(run["lr"]) - 1)} for run in some_runs(study.tuned(RATES), 3)
    ]


STUDIES: dict[str, tuple[Study, Callable[[Study], list[dict[str, Any]]], dict[str, Any]]] = {
    "two variants": (a_study(claims=[a_claim()]), lambda study: some_runs(study, 3), {}),
    "one seed": (a_study(claims=[a_claim()]), lambda study: some_runs(study, 1), {}),
    "a run diverged": (a_study(claims=[a_claim()]), lambda study: some_runs(study, 4, diverged=[("post", 1)]), {}),
    "ten seeds": (a_study(claims=[a_claim()]), lambda study: some_runs(study, 10), {}),
    "one variant": (a_study(("baseline",)), lambda study: some_runs(study, 3), {}),
    "a factor": (a_study(factors=LEVELS, claims=[a_claim(contrast="post,warmup=0 - pre,warmup=0")]),
                 lambda study: some_runs(study, 3), {}),
    "halves": (study_from(HALVES), lambda study: [a_run(study, "baseline", s, 40 + s % 5 / 7) for s in range(8)], {}),
    "a grid of rates": (a_study(claims=[a_claim()]), tuned_runs, {
        "grid": RATES, "config": {"model": {"layers": 2, "d_model": 128}, "optim": {"lr": 0.002},
                                  "train": {"updates": 400}}}),
    "until resolved": (a_study(claims=[a_claim()]), lambda study: some_runs(study, 4), {"max_seeds": 20}),
}  # fmt: skip
every_study = pytest.mark.parametrize("name", STUDIES)
every_way = pytest.mark.parametrize("how", HOW)


def records(root: Path, name: str, how: str) -> Path:
    study, runs, more = STUDIES[name]
    bleu, manifest = HOW[how]
    return write_records(root, study, blind(runs(study), bleu), **manifest, **more)


@every_way
@every_study
def test_chrf_and_loss_stand_in_and_everything_says_so(name: str, how: str, tmp_path: Path, undrawn: None) -> None:
    data = read_records(records(tmp_path, name, how))
    assert data.stand_ins == STAND_INS
    folder = build(tmp_path, "toy", SETTING)
    said = f"BLEU is not measured here, because {how}: chrF and test loss stand in for it."
    report = (folder / "report.md").read_text()
    assert said in report
    assert "chrF [95 %]" in report
    assert "The same table by test loss:" in report
    shown = headline(folder)
    assert said in shown
    assert "chrF [95 %]" in shown[0]
    assert "test loss [95 %]" in shown[0]
    assert said in ledger(tmp_path).read_text()


@every_way
@every_study
def test_no_claim_on_it_has_a_verdict(name: str, how: str, tmp_path: Path, undrawn: None) -> None:
    data = read_records(records(tmp_path, name, how))
    for found in data.verdicts:
        assert (found.verdict, found.measured, found.command) == (None, False, None)
        assert found.unmeasured == {"test_bleu": how}
    report = (build(tmp_path, "toy", SETTING) / "report.md").read_text()
    assert report.count(": not measured here\n") == len(data.verdicts)
    assert "not tested" not in report


@every_way
@every_study
def test_the_summary_has_no_number_of_it_and_those_of_the_stand_ins(
    name: str, how: str, tmp_path: Path, undrawn: None
) -> None:
    records(tmp_path, name, how)
    folder = build(tmp_path, "toy", SETTING)
    found = json.loads((folder / "summary.json").read_text())
    assert (found["metric"], found["unmeasured"]["test_bleu"]) == ("test_bleu", how)
    assert found["interactions"] == []
    for entry in [*found["variants"], *found.get("tuned", [])]:
        assert entry["mean"] is entry["low"] is entry["high"] is None
        assert entry.get("difference") is None
        assert entry.get("finding") is None
    assert [each["metric"] for each in found["stand_ins"]] == [*STAND_INS]
    for each in found["stand_ins"]:
        assert [entry["variant"] for entry in each["variants"]] == [entry["variant"] for entry in found["variants"]]
        assert all(entry["mean"] is not None for entry in each["variants"])
        assert len(each.get("tuned", [])) == len(found.get("tuned", []))
    assert all(claim["verdict"] is None and claim["unmeasured"] == {"test_bleu": how} for claim in found["claims"])
    rows = list(csv.DictReader((folder / "results.csv").open()))
    value = HOW[how][0]
    assert {row["test_bleu"] for row in rows if row["status"] == "finished"} == {"" if value is None else str(value)}
    assert all(row["test_chrf"] for row in rows if row["status"] == "finished")


@pytest.mark.parametrize(("name", "figure"), each_once(STUDIES, FIGURES))
def test_no_figure_shows_it(figure: str, name: str, tmp_path: Path) -> None:
    with styled():
        drawn = FIGURES[figure].draw(read_records(records(tmp_path, name, "it is 0 in every run")))
    labels = [text for axes in (drawn.axes if drawn else []) for text in (axes.get_xlabel(), axes.get_ylabel())]
    assert not [label for label in labels if "BLEU" in label]


@pytest.mark.parametrize("metric", QUALITY)
@pytest.mark.parametrize("kind", ["directional", "at_least_as_good", "no_difference", "in_range"])
def test_whatever_is_claimed_of_a_score_that_is_the_same_in_all_runs_is_not_measured(kind: str, metric: str) -> None:
    study = a_study(claims=[a_claim(metric, kind)])
    runs = [run | {metric: 3.25} for run in some_runs(study, 5)]
    (found,) = judge_all(study, runs, COMMAND, FIXED)
    assert (found.verdict, found.measured, found.command) == (None, False, None)
    varied = [run | {metric: 3.25 + (run["variant"] == "post")} for run in runs]
    (found,) = judge_all(study, varied, COMMAND, FIXED)
    assert found.verdict is not None
    assert found.measured


def test_parts_that_measure_something_may_still_contradict() -> None:
    parts = [a_claim(), a_claim("validation_loss", direction="higher")]
    parts = [{key: part[key] for key in part if key not in ("id", "sentence")} for part in parts]
    study = a_study(claims=[{"id": "c", "sentence": "s", "kind": "several", "parts": parts}])
    for loss, verdict, measured in ((1.0, "contradicted", True), (3.0, None, False)):
        runs = [run | {"validation_loss": loss if run["variant"] == "post" else 2.0} for run in some_runs(study, 5)]
        (found,) = judge_all(study, blind(runs), COMMAND, FIXED)
        assert (found.verdict.name if found.verdict else None, found.measured) == (verdict, measured)


@pytest.mark.parametrize("metric", [name for name in METRICS if name not in QUALITY])
def test_counts_and_shares_may_be_the_same_in_every_run(metric: str) -> None:
    study = a_study()
    assert metric not in unmeasured([a_run(study, "pre", 0) | {"seed": seed} for seed in range(4)])


def test_one_run_or_runs_without_scores_show_nothing_of_this() -> None:
    study = a_study()
    assert unmeasured(blind(some_runs(study, 1))[:1]) == {}
    lost = [("pre", 0), ("post", 0), ("post", 1)]
    assert unmeasured(blind(some_runs(study, 2, diverged=lost))) == {}
    assert unmeasured([run | {"updates": 0} for run in blind(some_runs(study, 3))]) == {}


def test_a_stand_in_must_measure_something_itself() -> None:
    study = a_study()
    runs = [run | {"test_chrf": 0.0} for run in blind(some_runs(study, 3))]
    assert stand_ins("test_bleu", runs, unmeasured(runs)) == ("test_loss",)
    runs = [run | {"test_loss": None} for run in runs]
    assert stand_ins("test_bleu", runs, unmeasured(runs)) == ()
    assert stand_ins("validation_loss", runs, unmeasured(runs)) == ()


def test_where_nothing_stands_in_the_report_says_that(tmp_path: Path, undrawn: None) -> None:
    study = a_study(claims=[a_claim()])
    write_records(tmp_path, study, [run | {"test_chrf": 0.0, "test_loss": 9.0} for run in blind(some_runs(study, 3))])
    folder = build(tmp_path, "toy", SETTING)
    said = "BLEU is not measured here, because it is 0 in every run: nothing stands in for it."
    assert f"**{said}**" in (folder / "report.md").read_text()
    assert said in headline(folder)


def test_seeds_are_not_added_for_what_no_number_of_them_would_show(tmp_path: Path) -> None:
    assert open_questions(read_records(records(tmp_path, "until resolved", WHY))) == []
    study = a_study(claims=[a_claim(), a_claim("test_chrf", margin=0.1)])
    folder = write_records(tmp_path / "two", study, blind(some_runs(study, 3, 0.5)), max_seeds=20)
    assert open_questions(read_records(folder)) == ["directional-test_chrf"]
    study = a_study()
    folder = write_records(tmp_path / "none", study, blind(some_runs(study, 3, 0.5)), max_seeds=20)
    assert open_questions(read_records(folder)) == ["post"]  # without claims the variants are the question, by chrF


def two_settings(root: Path, **of_the_first: float) -> list[ReportData]:
    """Two in which differences are alike; BLEU is 0 in all runs of the second."""
    study = a_study(claims=[a_claim()])
    runs = some_runs(study, 5)
    scored = [run | {"test_bleu": told["test_bleu"]} for run, told in zip(blind(runs), runs)]
    write_records(root, study, [run | of_the_first for run in scored], preset="laptop")
    write_records(root, study, blind(runs), preset="paper")
    return read_settings(root, "toy", [SETTING, "synthetic-paper"])


def test_settings_are_compared_by_what_measures_something_in_all_of_them(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="different metrics"):  # none of the three measures something in both
        two_settings(tmp_path / "none", test_chrf=60.0, test_loss=1.6)
    read = two_settings(tmp_path)
    text = markdown(read, [])
    said = "BLEU is not measured in synthetic-paper, because it is 0 in every run: chrF stands in for it."
    assert said in text
    assert "difference in chrF" in text
    assert "contradicted" in text
    assert "not measured here" in text
    assert "unknown" in text


def test_settings_may_be_given_as_one_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ablate.report.side_by_side.effects", lambda read: None)
    study = a_study()
    for preset in ("laptop", "paper"):
        write_records(tmp_path, study, some_runs(study), preset=preset)
    names = [SETTING, "synthetic-paper"]
    assert compare(tmp_path, "toy", ",".join(names)) == compare(tmp_path, "toy", names)


def test_wandb_gets_the_stand_ins_tables_and_no_verdict(tmp_path: Path, undrawn: None) -> None:
    records(tmp_path, "two variants", WHY)
    found = json.loads((build(tmp_path, "toy", SETTING) / "summary.json").read_text())
    tables = tables_of(found, {})
    assert {"variants", "variants_by_test_chrf", "variants_by_test_loss", "claims"} == tables.keys()
    assert without_verdict(found["claims"][0]) == "not measured here"
    assert without_verdict({"id": "c", "verdict": None}) == "not tested here"


@pytest.mark.parametrize("damage", [{"unmeasured": ["test_bleu"]}, {"unmeasured": {"test_bleu": 3}}])
def test_a_manifest_that_says_it_wrongly_is_damaged(damage: dict[str, Any], tmp_path: Path) -> None:
    study = a_study()
    with pytest.raises(BadInput, match=r"manifest\.json is damaged"):
        read_records(write_records(tmp_path, study, some_runs(study), **damage))
