"""What a plan, a forecast and the progress display cost does not grow with the store, nor with a run's curve."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from corpora import fixture_plan
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from results import a_result

from ablate.plan.composition import Plan
from ablate.plan.forecast import forecast, speed_of_like
from ablate.run.progress import TrainingRun, duration
from ablate.store import speeds
from ablate.store.folders import Store
from ablate.store.growing import GrowingFile
from ablate.store.run_folder import RunFolder
from ablate.store.schema import TrainingResult
from ablate.store.speeds import Speed
from ablate.training.member import run_member

CPU = torch.device("cpu")
TOUCHES = ("open", "os.listdir", "os.scandir")
_watching: list[list[str]] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in TOUCHES and isinstance(arguments[0], str | Path):
        _watching[-1].append(str(arguments[0]))


@contextmanager
def touched() -> Iterator[list[str]]:
    """The files that are opened and the folders that are listed meanwhile."""
    if not hasattr(sys, "_ablate_hook"):
        sys.addaudithook(_hook)
        sys._ablate_hook = True  # type: ignore[attr-defined]  # there is no way to remove it
    paths: list[str] = []
    _watching.append(paths)
    try:
        yield paths
    finally:
        _watching.pop()


@pytest.fixture(scope="module")
def plan() -> Plan:
    return fixture_plan("+sweep=norm_placement", "seeds=1", "train.updates=4", "train.validations=1")


@pytest.fixture(scope="module")
def trained(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("trained"))
    for run in store.freeze(plan.runs):
        run_member(store.run(run), plan.config.device)
    return store


def with_others(trained: Store, root: Path, count: int) -> Store:
    """The same store with so many runs of other studies."""
    for path in trained.root.glob("runs/*/*"):
        (root / "runs" / path.parent.name).mkdir(parents=True, exist_ok=True)
        (root / "runs" / path.parent.name / path.name).write_bytes(path.read_bytes())
    (root / "runs" / speeds.NAME).write_bytes((trained.root / "runs" / speeds.NAME).read_bytes())
    some = next(trained.root.glob("runs/*/result.json")).parent
    for index in range(count):
        other = root / "runs" / f"{index:012x}"
        other.mkdir()
        for name in ("run.json", "result.json"):
            (other / name).write_bytes((some / name).read_bytes())
        task, result = RunFolder(other).task(), RunFolder(other).result()
        assert task is not None
        assert result is not None
        speeds.record(root / "runs", task.config, structs.replace(result, parameters=1000 + index))
    return Store(root)


ASKED = {
    "a forecast": lambda store, plan: forecast(plan, store, CPU),
    "freezing runs that are done": lambda store, plan: store.freeze(plan.runs),
    "whether runs are done": lambda store, plan: [store.done(spec) for spec in plan.runs],
}


@pytest.mark.parametrize("what", ASKED)
def test_other_runs_of_the_store_cost_nothing(what: str, plan: Plan, trained: Store, tmp_path: Path) -> None:
    counts = []
    for count in (3, 300):
        (tmp_path / str(count)).mkdir()
        store = with_others(trained, tmp_path / str(count), count)
        ASKED[what](store, plan)  # imports and caches
        with touched() as paths:
            ASKED[what](store, plan)
        here = [Path(path) for path in paths if path.startswith(str(store.root))]
        allowed = {store.run(spec.id).path for spec in plan.runs}
        assert {path for path in here if path not in allowed and path.parent not in allowed} <= {
            store.root / "runs" / speeds.NAME
        }
        counts.append(len(here))
    assert counts[0] == counts[1]


def test_training_adds_a_line_a_run_and_an_absent_index_is_made_of_the_same(trained: Store, plan: Plan) -> None:
    path = trained.root / "runs" / speeds.NAME
    known = speeds.speeds(trained)
    assert len(known) == len(plan.runs)
    before = forecast(plan, trained, CPU)
    path.unlink()
    assert sorted(speeds.speeds(trained), key=str) == sorted(known, key=str)
    assert forecast(plan, trained, CPU) == before
    assert path.exists()


def test_a_store_without_runs_has_no_index_and_gets_none(tmp_path: Path) -> None:
    assert speeds.speeds(Store(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


DAMAGE = ["", "{", "null", "[]", '{"device": "cpu"}', "\x00\xff", '{"device": 1, "layers": "x", "parameters": 2}',
          '{"device": "cpu", "layers": 0, "parameters": 1, "tokens_per_second": 1}',
          '{"device": "cpu", "layers": 1, "parameters": 1, "tokens_per_second": NaN}']  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_line_is_ignored(damage: str, tmp_path: Path) -> None:
    good = Speed("cpu", 2, 1000, 5.0)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / speeds.NAME).write_text(good.line() + damage + "\n" + good.line(), encoding="latin-1")
    assert speeds.speeds(Store(tmp_path)) == [good, good]


def result_of(tokens: float, parameters: int = 1000) -> TrainingResult:
    return a_result(tokens_per_second=tokens, parameters=parameters)


CONFIG = {"model": {"layers": 2}}


def test_the_index_stays_small_and_keeps_the_latest_of_each_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speeds, "LARGEST", 2000)
    for number in range(1, 500):
        for parameters in (1000, 2000):
            speeds.record(tmp_path, CONFIG, result_of(number, parameters))
    assert (tmp_path / speeds.NAME).stat().st_size <= 2000
    for parameters in (1000, 2000):
        kept = [s.tokens_per_second for s in speeds.read(tmp_path / speeds.NAME) if s.parameters == parameters]
        assert kept[-speeds.ALIKE :] == [494, 495, 496, 497, 498, 499]
    assert len(speeds.needed(Speed("cpu", 1, number, 1.0) for number in range(1, 5000))) == speeds.MOST


def test_several_writers_lose_and_damage_no_line(tmp_path: Path) -> None:
    def write(parameters: int) -> None:
        for number in range(1, 51):
            speeds.record(tmp_path, CONFIG, result_of(number, parameters))

    writers = [threading.Thread(target=write, args=(number,)) for number in range(1, 9)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    lines = (tmp_path / speeds.NAME).read_text().splitlines()
    assert sorted((each["parameters"], each["tokens_per_second"]) for each in map(json.loads, lines)) == [
        (parameters, number) for parameters in range(1, 9) for number in range(1, 51)
    ]


def test_an_index_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / speeds.NAME).mkdir()
    speeds.record(tmp_path, CONFIG, result_of(1.0))
    speeds.record(tmp_path / "gone", CONFIG, result_of(1.0))


def test_a_run_without_a_speed_is_not_in_the_index(tmp_path: Path) -> None:
    speeds.record(tmp_path, CONFIG, result_of(0.0))
    assert list(tmp_path.iterdir()) == []


def test_a_forecast_goes_by_the_latest_of_the_runs_that_are_most_alike() -> None:
    measured = [Speed("cpu", 2, 1000, float(number)) for number in range(1, 100)] + [Speed("cpu", 9, 1000, 1e6)]
    assert speed_of_like(measured, 2, 1000) == 6 * 1000 * 96.5
    assert speed_of_like([], 2, 1000) is None


@given(st.lists(st.text(alphabet="ab\né", max_size=9), max_size=20))
def test_pieces_of_a_growing_file_are_its_lines(pieces: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        growing, found = GrowingFile(path), GrowingFile(path).new_lines()
        for piece in pieces:
            with path.open("a", encoding="utf-8") as file:
                file.write(piece)
            found += growing.new_lines()
        text = path.read_text() if path.exists() else ""
        assert found == text[: text.rfind("\n") + 1].splitlines()
        assert growing.new_lines() == []


@pytest.mark.parametrize("text", ["", "x\n", "one\n", "a line that is longer\nthan before\n"])
def test_a_file_that_was_cut_back_or_written_anew_is_read_from_its_beginning(text: str, tmp_path: Path) -> None:
    growing = GrowingFile(tmp_path / "file")
    growing.path.write_text("one\ntwo\nthree\n")
    assert growing.new_lines() == ["one", "two", "three"]
    growing.path.write_text(text)
    assert growing.new_lines() == text.splitlines()


ROWS = [f"{update},{8 / update:.5f},0.001,1.5,{900 + update},{update / 10}\n" for update in range(1, 101)]


def test_progress_reads_only_what_a_curve_has_gained(tmp_path: Path, plan: Plan) -> None:
    spec, folder = plan.runs[0], RunFolder(tmp_path)
    run = TrainingRun(folder, spec, began=0.0)
    assert run.row() is None
    header, path = "update,loss,lr,gradient_norm,tokens,seconds\n", folder.file("curve.csv")
    path.write_text(header)
    assert run.row() == ("0/4", "", "", "")
    for end in range(10, 101, 10):
        with path.open("a") as file:
            file.writelines(ROWS[end - 10 : end])
        tokens = sum(900 + update for update in range(1, end + 1))
        expected = f"{end}/4", f"{8 / end:.3f}", f"{tokens / (end / 10):,.0f}", duration(0.1 * (4 - end))
        assert run.row() == expected
        assert run.row() == expected
        read = path.stat().st_size
        with path.open("rb+") as file:  # a second look at what was read would now fail
            file.write(b"#" * (read - 1))
    path.write_text(header + ROWS[0])
    assert (run.row() or ())[0] == "1/4"
    assert run.tokens == 901


def test_a_curve_of_an_earlier_command_is_not_shown(tmp_path: Path, plan: Plan) -> None:
    folder = RunFolder(tmp_path)
    folder.append("curve.csv", ["update,loss,lr,gradient_norm,tokens,seconds"])
    written = folder.file("curve.csv").stat().st_mtime
    assert TrainingRun(folder, plan.runs[0], written + 1).row() is None
    assert TrainingRun(folder, plan.runs[0], written - 1).row() is not None
