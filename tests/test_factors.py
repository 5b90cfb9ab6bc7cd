"""Studies of two factors: sizes by preset, levels that train nothing, interactions, settings side by side."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from corpora import fixture_plan
from hypothesis import given
from hypothesis import strategies as st
from records import a_run, a_study, some_runs, write_records
from scipy import stats
from statsmodels.stats.multitest import multipletests

from ablate.analysis.effects import compare as hold
from ablate.analysis.effects import interactions
from ablate.analysis.estimators import FIXED
from ablate.analysis.judging import judge_all
from ablate.analysis.statistics import paired_effect
from ablate.analysis.verdicts import Verdict
from ablate.config import BadInput, Config
from ablate.records.collect import run_record
from ablate.records.read import read_records
from ablate.report.__main__ import main
from ablate.report.index import ledger
from ablate.report.render import build
from ablate.report.side_by_side import CARRIES, OPEN, TURNS, compare
from ablate.store.record_schema import RECORD_KEYS, LayersRecord
from ablate.store.run_folder import RunFolder
from ablate.store.study_checks import check_study
from ablate.store.study_file import study_from, study_to_plain
from ablate.study import Cell, Study

LEVELS = {1: {"model.layers": 1}, 8: {"model.layers": 8, "train.updates": 0}}
CLAIM = {
    "id": "c-1", "sentence": "B gains more at 8.", "contrast": "b,depth=8 - a,depth=8", "than": "b,depth=1 - a,depth=1",
    "metric": "test_bleu", "kind": "directional", "direction": "higher",
}  # fmt: skip


def a_mapping(**changes) -> dict:
    return {
        "name": "deep", "question": "How deep?", "baseline": "a",
        "variants": {"a": {"model.residual": "add"}, "b": {"model.residual": "none"}},
        "factors": {"depth": LEVELS}, "claims": [CLAIM],
        "sizes": {"smoke": {"factors": {"depth": {1: {"model.layers": 1}, 2: {"model.layers": 2}}}, "seeds": 2}},
    } | changes  # fmt: skip


def a_deep_study(**changes) -> Study:
    return study_from(a_mapping(**changes))


def test_a_preset_may_give_a_factor_levels_of_its_own() -> None:
    study = a_deep_study()
    assert [cell.factors["depth"] for cell in study.cells()] == [1, 1, 8, 8]
    assert [cell.factors["depth"] for cell in study.at("smoke").cells()] == [1, 1, 2, 2]
    assert study.at("laptop") == study
    assert study.size("smoke") == {"seeds": 2}
    assert study_from(study_to_plain(study)) == study


def test_a_claim_whose_cells_a_preset_leaves_out_is_not_tested_there() -> None:
    study = a_deep_study().at("smoke")
    (found,) = judge_all(study, some_runs(study), "python -m ablate +sweep=deep preset=smoke", FIXED)
    assert found.verdict is None
    assert found.command == "python -m ablate +sweep=deep"  # not the same command again, which has no such cell either
    assert "b,depth=8" in found.parts[0].note


@pytest.mark.parametrize(
    "mapping",
    [
        a_mapping(claims=[CLAIM | {"than": "b,depth=1"}]),
        a_mapping(claims=[CLAIM | {"than": "b,depth=1 - a,depth=9"}]),
        a_mapping(claims=[CLAIM | {"kind": "share_learned"}]),
        a_mapping(sizes={"smoke": {"factors": {"width": LEVELS}}}),
    ],
    ids=["half a difference", "no such cell", "a share", "no such factor"],
)
def test_a_study_that_makes_no_sense_is_refused_in_a_line(mapping: dict) -> None:
    with pytest.raises(BadInput) as refusal:
        study_from(mapping)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", sorted({*RECORD_KEYS, *(item.name for item in fields(Config))}))
def test_no_factor_is_called_as_something_in_a_record(name: str) -> None:
    with pytest.raises(BadInput, match=f"study.factors.{name}: .* rename the factor"):
        check_study(study_from(a_mapping(factors={name: LEVELS}, claims=[], sizes={})))


def test_records_hold_no_other_keys_than_their_factors(tmp_path: Path) -> None:
    spec = fixture_plan().runs[0]
    record = run_record(RunFolder(tmp_path), spec, Cell(spec.cell, spec.cell, {"depth": 1}, {}, None))
    assert record.factors == {"depth": 1}
    assert {*record.__struct_fields__, *LayersRecord.__struct_fields__} == {*RECORD_KEYS}


@given(st.lists(st.tuples(*[st.floats(0, 60)] * 4), min_size=2, max_size=6))
def test_an_interaction_is_the_paired_effect_of_two_differences(scores: list[tuple[float, ...]]) -> None:
    study = a_deep_study(factors={"depth": {1: {"model.layers": 1}, 8: {"model.layers": 8}}})
    cells = ["a,depth=1", "b,depth=1", "a,depth=8", "b,depth=8"]
    runs = [
        a_run(study, cell, seed, four[place]) for place, cell in enumerate(cells) for seed, four in enumerate(scores)
    ]
    found = hold(runs, "test_bleu", "b,depth=8", "a,depth=8", FIXED, than=("b,depth=1", "a,depth=1"))
    a1, b1, a8, b8 = np.array(scores).T
    expected = paired_effect(b1 - a1, b8 - a8)
    assert found.effect == expected
    assert found.p_holm == pytest.approx(expected.p, nan_ok=True)


def test_a_seed_lost_in_any_of_the_four_arms_leaves_an_interaction_conditional() -> None:
    study = a_deep_study(factors={"depth": {1: {"model.layers": 1}, 8: {"model.layers": 8}}})
    runs = some_runs(study, seeds=4, diverged=[("a,depth=1", 2)])
    (found,) = judge_all(study, runs, "", FIXED)
    assert found.verdict is Verdict.unresolved
    assert found.parts[0].seeds == 3


def untrained(run: dict) -> dict:
    scores = {key: None for key in run if key.startswith("test_")}
    return run | scores | {"updates": 0, "learned": None, "best_update": 0, "tokens_per_second": None}


def test_runs_of_no_updates_are_in_the_results_and_in_no_comparison(tmp_path) -> None:
    study = a_deep_study()
    runs = [untrained(run) if run["depth"] == 8 else run for run in some_runs(study)]
    folder = build(tmp_path, "deep", write_records(tmp_path, study, runs).name)
    data = read_records(tmp_path / "experiments" / "deep" / folder.name)
    assert [cell.name for cell in data.trained_cells] == ["a,depth=1", "b,depth=1"]
    text = (folder / "report.md").read_text()
    evidence = text.split("## The evidence")[1].split("###")[0]
    assert "depth=1" in evidence
    assert "depth=8" not in evidence
    assert (folder / "results.csv").read_text().count("finished") == len(runs)
    assert "depth=8" in text.split("### Runs")[1]


# --- settings side by side ------------------------------------------------------------------------------------------


def two_settings(tmp_path, second: float) -> None:
    """A study in two settings; in the second the variant's scores are higher by that much."""
    study = a_study()
    for preset, lift in (("laptop", 0.0), ("paper", second)):
        runs = [
            run | {"test_bleu": run["test_bleu"] + (lift if run["variant"] == "post" else 0)}
            for run in some_runs(study)
        ]
        write_records(tmp_path, study, runs, preset=preset)


@pytest.mark.parametrize(("lift", "said"), [(0.0, CARRIES), (9.0, TURNS)])
def test_a_reading_carries_over_where_both_settings_resolve_it_alike(tmp_path, lift: float, said: str) -> None:
    two_settings(tmp_path, lift)
    text = (compare(tmp_path, "toy", ["synthetic-laptop", "synthetic-paper"]) / "report.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| `post`"))
    assert row.endswith(f"| {said} |")


def test_what_one_setting_leaves_open_cannot_be_told(tmp_path) -> None:
    study = a_study()
    write_records(tmp_path, study, some_runs(study))
    write_records(tmp_path, study, [run for run in some_runs(study) if run["seed"] == 0], preset="paper")
    text = (compare(tmp_path, "toy", ["synthetic-laptop", "synthetic-paper"]) / "report.md").read_text()
    assert next(line for line in text.splitlines() if line.startswith("| `post`")).endswith(f"| {OPEN} |")


@pytest.mark.long
def test_the_command_compares_and_the_index_links_it(tmp_path, capsys) -> None:
    two_settings(tmp_path, 0.0)
    for setting in ("synthetic-laptop", "synthetic-paper"):
        build(tmp_path, "toy", setting)
    assert main(["toy", "compare=synthetic-laptop,synthetic-paper", f"root={tmp_path}"]) == 0
    folder = tmp_path / "reports" / "toy" / "synthetic-laptop+synthetic-paper"
    assert capsys.readouterr().out.splitlines() == [str(folder)]
    assert (folder / "report.html").exists()
    index = ledger(tmp_path).read_text()
    for link in ("toy/synthetic-laptop+synthetic-paper/report.md", "toy/synthetic-laptop/figures/"):
        assert link in index


@pytest.mark.parametrize("asked", ["synthetic-laptop", "synthetic-laptop,nowhere", "a,b", ""])
def test_settings_that_cannot_be_compared_are_refused_with_the_choices(tmp_path, capsys, asked: str) -> None:
    two_settings(tmp_path, 0.0)
    assert main([f"compare={asked}", f"root={tmp_path}"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "compare=" in said


def test_the_command_that_would_test_a_claim_stays_in_the_setting() -> None:
    study = a_study(claims=[{"id": "c", "sentence": "S.", "command": "python -m ablate +sweep=toy preset=paper"}])
    ran = "python -m ablate +sweep=toy data=multi30k data.path=PATH preset=laptop seeds=5"
    (found,) = judge_all(study, some_runs(study), ran, FIXED)
    assert found.command == "python -m ablate +sweep=toy preset=paper data=multi30k data.path=PATH"


@pytest.mark.parametrize("seeds", [3, 8])
def test_an_interaction_is_the_difference_of_differences_by_hand(seeds) -> None:
    levels = {level: {"optim.warmup": level} for level in (0, 0.1, 0.2)}
    study = a_study(("a", "b", "c"), factors={"warmup": levels})
    runs = some_runs(study, seeds)
    found = interactions(study, runs, FIXED)
    scores = {name: np.array([run["test_bleu"] for run in runs if run["variant"] == name]) for name in
              (cell.name for cell in study.cells())}  # fmt: skip
    assert [each.variant for each in found] == ["b,warmup=0.1", "b,warmup=0.2", "c,warmup=0.1", "c,warmup=0.2"]
    for each in found:
        variant, level = each.variant.split(",")
        changed = (scores[each.variant] - scores[f"a,{level}"]) - (scores[f"{variant},warmup=0"] - scores["a,warmup=0"])
        test = stats.ttest_1samp(changed, 0)
        assert each.than == (f"{variant},warmup=0", "a,warmup=0")
        assert each.effect.mean == pytest.approx(changed.mean())
        assert (each.effect.low, each.effect.high) == pytest.approx(tuple(test.confidence_interval()))
        family = [other.effect.p for other in found]  # the rows of the table
        assert each.p_holm == pytest.approx(multipletests(family, method="holm")[1][family.index(each.effect.p)])


def test_without_a_factor_or_a_second_level_nothing_interacts() -> None:
    one = a_study(factors={"warmup": {0: {"optim.warmup": 0}}})
    for study in (a_study(), one):
        assert interactions(study, some_runs(study), FIXED) == []


def test_a_report_says_by_how_much_a_difference_changes(tmp_path) -> None:
    study = a_study(factors={"warmup": {0: {"optim.warmup": 0}, 0.1: {"optim.warmup": 0.1}}})
    write_records(tmp_path, study, some_runs(study, diverged=[("post,warmup=0.1", 1)]))
    text = (build(tmp_path, "toy", "synthetic-laptop") / "report.md").read_text()
    section = text.split("### Does the difference depend on warmup?")[1].split("\n### ")[0]
    (row,) = [line for line in section.splitlines() if line.startswith("| `post` |")]
    assert "| warmup=0.1 | warmup=0 |" in row
    assert "among survivors" in row
