"""A trained run whose curves were damaged: its record says so, and verification checks what is there."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from corpora import fixture_plan

from ablate.data.corpus import Corpus
from ablate.plan.composition import Plan
from ablate.records.collect import collect, without_curves
from ablate.report.__main__ import main
from ablate.report.index import ledger
from ablate.report.render import build
from ablate.store.folders import Store
from ablate.store.run_folder import CURVES
from ablate.training.member import run_member

HARMS: dict[str, Callable[[Path], Any]] = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-10]),
    "changed": lambda path: path.write_bytes(path.read_bytes().replace(b".", b"0", 1)),
}


@pytest.fixture(scope="module")
def plan() -> Plan:
    return fixture_plan("+sweep=norm_placement", "seeds=2", "train.updates=6", "train.validations=2")


@pytest.fixture(scope="module")
def trained(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("store"))
    for run in store.freeze(plan.runs):
        run_member(store.run(run), plan.config.device)
    return store


@pytest.fixture
def store(trained: Store, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The trained store, whose curves are put back afterwards."""
    monkeypatch.setattr("ablate.report.render.FIGURES", {})
    kept = {path: path.read_bytes() for name in CURVES for path in trained.root.glob(f"runs/*/{name}")}
    yield trained
    for path, content in kept.items():
        path.write_bytes(content)


def recorded(store: Store, plan: Plan) -> Path:
    folder = collect(store, plan, {plan.corpus: Corpus.load(plan.corpus)})
    build(store.root, plan.study.name, plan.setting)
    ledger(store.root)
    return folder


def curves(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress((folder / "curves.jsonl.gz").read_bytes()).splitlines()]


def rewrite(folder: Path, lines: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "curves.jsonl.gz").write_bytes(gzip.compress(text.encode()))


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("harm", HARMS)
def test_records_mark_damaged_curves_and_reports_hold(
    harm: str, name: str, count: int, store: Store, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    for spec in plan.runs[:count]:
        HARMS[harm](store.run(spec.id).file(name))
    found = curves(recorded(store, plan))
    assert [each.get("damaged", False) for each in found] == [index < count for index in range(4)]
    assert [bool(each["update"]) for each in found] == [index >= count for index in range(4)]
    assert len(without_curves(store, plan)) == count
    assert main(["--verify", f"root={store.root}"]) == 0
    out = capsys.readouterr().out
    assert f"not checked: the curves of {count} run{'s' * (count > 1)}" in out
    assert "4 runs" in out


def test_records_of_whole_curves_are_marked_in_no_way(
    store: Store, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    assert all("damaged" not in each for each in curves(recorded(store, plan)))
    assert main(["--verify", f"root={store.root}"]) == 0
    assert "not checked" not in capsys.readouterr().out


def test_a_run_that_was_never_trained_has_no_damaged_curves(store: Store, plan: Plan, tmp_path: Path) -> None:
    other = Store(tmp_path)
    other.freeze(plan.runs)
    assert all("damaged" not in each for each in curves(collect(other, plan, {plan.corpus: Corpus.load(plan.corpus)})))
    assert without_curves(other, plan) == []


def test_curves_that_are_missing_without_a_mark_are_a_difference(
    store: Store, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = recorded(store, plan)
    first, *others = curves(folder)
    rewrite(folder, [{**first, "update": [], "loss": [], "validation": {"update": [], "loss": []}}, *others])
    assert main(["--verify", f"root={store.root}"]) == 1
    assert "updates" in capsys.readouterr().err


def test_curves_that_are_there_cannot_be_marked_as_damaged(
    store: Store, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = recorded(store, plan)
    first, *others = curves(folder)
    rewrite(folder, [{**first, "damaged": True}, *others])
    assert main(["--verify", f"root={store.root}"]) == 1
    assert "marked" in capsys.readouterr().err
