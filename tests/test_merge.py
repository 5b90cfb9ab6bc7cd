"""Runs from another store join this one: nothing that is here is changed, and what cannot be had is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from corpora import fixture_plan
from msgspec import structs

from ablate.merge.__main__ import main
from ablate.store.folders import Store
from ablate.store.run_folder import RunFolder
from ablate.store.schema import Task
from ablate.training.member import run_member

PLAN = ("+sweep=norm_placement", "train.updates=20", "seeds=1")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a store with both runs of a small study."""
    root, plan = tmp_path_factory.mktemp("there"), fixture_plan(*PLAN)
    for run in Store(root).freeze(plan.runs):
        run_member(Store(root).run(run), plan.config.device)
    return root


def runs(root: Path) -> list[RunFolder]:
    return [Store(root).run(spec.id) for spec in fixture_plan(*PLAN).runs]


def task_of(run: RunFolder) -> Task:
    task = run.task()
    assert task is not None
    return task


def merged(there: Path, here: Path) -> int:
    return main([str(there), f"root={here}"])


def state(root: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in root.glob("runs/*/[er][ev]*.json")}


@pytest.mark.parametrize("part", ["", "runs"])
def test_runs_of_another_store_are_done_here(trained: Path, tmp_path: Path, part: str) -> None:
    assert merged(trained / part, tmp_path) == 0
    plan = fixture_plan(*PLAN)
    assert all(Store(tmp_path).run(spec.id).done(spec) for spec in plan.runs)
    assert Store(tmp_path).freeze(plan.runs) == []


def test_what_is_here_is_not_touched(trained: Path, tmp_path: Path) -> None:
    merged(trained, tmp_path)
    before = state(tmp_path)
    assert merged(trained, tmp_path) == 0
    assert state(tmp_path) == before


def test_another_result_under_the_same_id_is_named_and_left(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    merged(trained, tmp_path)
    run = runs(tmp_path)[0]
    known = run.result()
    assert known is not None
    run.write("result.json", structs.replace(known, best_validation_loss=1.5))
    before = state(tmp_path)
    assert merged(trained, tmp_path) == 1
    assert f"conflict: {run.id}" in (said := capsys.readouterr().out)
    assert "best_validation_loss 1.5 here" in said
    assert state(tmp_path) == before


def test_scores_by_another_measure_join_those_that_are_here(trained: Path, tmp_path: Path) -> None:
    merged(trained, tmp_path)
    plan = fixture_plan(*PLAN, "evaluation.beam=2")
    other = tmp_path / "other"
    shutil.copytree(tmp_path / "runs", other / "runs")
    for run in Store(other).freeze(plan.runs):
        run_member(Store(other).run(run), plan.config.device)
    assert merged(other, tmp_path) == 0
    for wanted in (plan, fixture_plan(*PLAN)):
        assert all(Store(tmp_path).run(spec.id).scores(spec.evaluation) for spec in wanted.runs)


def test_a_run_cut_short_goes_on_here(trained: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(trained / "runs", other / "runs")
    run = runs(other)[0]
    for path in run.path.glob("[er][ev]*.json"):
        path.unlink()
    run.file("checkpoint.pt").write_bytes(b"here it goes on")
    assert merged(other, tmp_path) == 0
    assert runs(tmp_path)[0].file("checkpoint.pt").read_bytes() == b"here it goes on"
    assert runs(tmp_path)[0].result() is None


DAMAGE = {
    "no run.json": lambda run: run.file("run.json").unlink(),
    "half of run.json": lambda run: run.file("run.json").write_text(run.file("run.json").read_text()[:50]),
    "half of result.json": lambda run: run.file("result.json").write_text("{"),
    "a result that is no object": lambda run: run.file("result.json").write_text("[1]"),
    "another run's run.json": lambda run: run.write("run.json", structs.replace(task_of(run), seed=7)),
    "a configuration that is none": lambda run: run.write("run.json", structs.replace(task_of(run), config={})),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_run_is_named_and_the_others_join(
    trained: Path, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture
) -> None:
    other = tmp_path / "other"
    shutil.copytree(trained / "runs", other / "runs")
    damaged, whole = runs(other)
    DAMAGE[damage](damaged)
    assert merged(other, tmp_path) == 1
    assert f"conflict: {damaged.id}" in capsys.readouterr().out
    assert not Store(tmp_path).run(damaged.id).file("result.json").exists()
    assert Store(tmp_path).run(whole.id).result() is not None


def test_a_link_is_not_followed(trained: Path, tmp_path: Path) -> None:
    other, secret = tmp_path / "other", tmp_path / "secret"
    shutil.copytree(trained / "runs", other / "runs")
    secret.write_text("not for anyone")
    for run in runs(other):
        run.file("notes.txt").unlink(missing_ok=True)
        run.file("notes.txt").symlink_to(secret)
    merged(other, tmp_path)
    assert not any(run.file("notes.txt").exists() for run in runs(tmp_path))


@pytest.mark.parametrize("given", [[], ["a", "b"], ["nowhere"], ["--help-me", "nowhere"]])
def test_bad_arguments_are_a_line_and_exit_2(
    given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(given) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_not_merged_with_itself(trained: Path) -> None:
    assert merged(trained, trained) == 2


def test_a_run_that_a_command_is_at_is_left_to_it(trained: Path, tmp_path: Path) -> None:
    mine = runs(tmp_path)[0]
    mine.path.mkdir(parents=True)
    with mine.lock():
        assert merged(trained, tmp_path) == 1
    assert mine.result() is None
    assert json.loads(runs(tmp_path)[1].file("result.json").read_text())
