"""Ctrl-C, SIGTERM and SIGHUP leave checkpoints; two commands on one store never do the same work twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from corpora import fixture_plan
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st
from short import sometimes
from waiting import PATIENCE, SOON, eventually

from ablate.config import Config
from ablate.run.launching import launch_all
from ablate.store.folders import Store

STUDY = (
    "+sweep=norm_placement",
    "preset=smoke",
    "data=fixture",
    "wandb.mode=disabled",
    "cost_probe=false",
    "train.updates=4000",
)
SHORT = (
    "+sweep=norm_placement",
    "preset=smoke",
    "data=fixture",
    "wandb.mode=disabled",
    "cost_probe=false",
    "train.updates=150",
)


def start(root: Path, *words: str, workers: int = 2) -> subprocess.Popen:
    command = [sys.executable, "-m", "ablate", *words, f"root={root}", f"workers={workers}"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # shells start background jobs without it
    )  # fmt: skip


def rows(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def at_work(root: Path, process: subprocess.Popen, workers: int) -> list[Path]:
    """The folders of the runs in the making, once that many of them are under way."""
    while True:
        folders = [path.parent for path in root.glob("runs/*/curve.csv") if rows(path) > 60]
        if len(folders) >= workers:
            return folders
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


WAYS = {  # who gets the signal: the command alone, or, as from a terminal, its whole group
    "SIGTERM": (signal.SIGTERM, os.kill, 143),
    "Ctrl-C": (signal.SIGINT, os.killpg, 130),
    "SIGHUP": (signal.SIGHUP, os.killpg, 129),
}
AGAIN = [way for way in WAYS if way != "SIGHUP"]  # a second SIGHUP is nobody's impatience


@pytest.mark.parametrize("workers", sometimes([1, 2], 2))
@pytest.mark.parametrize("way", sometimes(WAYS, "Ctrl-C"))
def test_a_signal_leaves_checkpoints_and_says_how_to_go_on(tmp_path: Path, way: str, workers: int) -> None:
    number, send, code = WAYS[way]
    process = start(tmp_path, *STUDY, workers=workers)
    folders = at_work(tmp_path, process, workers)
    send(process.pid, number)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert "to continue: python -m ablate +sweep=norm_placement" in out
    assert all((folder / "checkpoint.pt").exists() for folder in folders)
    assert all(rows(folder / "curve.csv") < 4000 for folder in folders)


@pytest.mark.long
@pytest.mark.parametrize("way", AGAIN)
def test_a_second_signal_ends_at_once(tmp_path: Path, way: str) -> None:
    number, send, code = WAYS[way]
    process = start(tmp_path, *STUDY)
    folders = at_work(tmp_path, process, 2)
    workers = [int((folder / "running").read_text().split()[0]) for folder in folders]
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)  # they will leave no checkpoint
    send(process.pid, number)
    while b"stopping" not in os.read(process.stderr.fileno(), 1000):  # type: ignore[union-attr]
        pass
    send(process.pid, number)
    assert process.wait(SOON) == code
    assert eventually(lambda: not any(map(alive, workers)))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.mark.long
def test_two_commands_train_no_run_twice(tmp_path: Path) -> None:
    """Each update is a row of the curve, so what was trained twice would have rows twice, or in disorder."""
    processes = [start(tmp_path, *SHORT) for _ in range(2)]
    for process in processes:
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
        assert "Traceback" not in err
    results = list(tmp_path.glob("runs/*/result.json"))
    assert len(results) == len(fixture_plan(*SHORT[:1], *SHORT[4:]).runs)
    for path in results:
        updates = [int(line.split(",")[0]) for line in path.with_name("curve.csv").read_text().splitlines()[1:]]
        assert updates == list(range(1, 151))


@pytest.mark.long
def test_a_run_that_another_command_is_at_keeps_its_files(tmp_path: Path) -> None:
    spec = fixture_plan("+sweep=norm_placement").runs[0]
    store, folder = Store(tmp_path), Store(tmp_path).run(spec.id)
    store.freeze([spec])
    folder.mark_active()
    folder.append("notes.txt", ["of the one that is at it"])
    with folder.lock():
        assert folder.is_locked()
        assert not folder.worker_died()
        assert store.freeze([spec]) == [spec.id]
        assert folder.lines("notes.txt")
        assert folder.file("running").exists()
    assert not folder.is_locked()
    assert folder.worker_died()
    store.freeze([spec])
    assert not folder.file("notes.txt").exists()


def test_two_ways_to_score_one_run_are_both_kept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    plans = [fixture_plan("+sweep=norm_placement", f"evaluation.beam={beam}") for beam in (2, 3)]
    for planned in plans:
        store.freeze(planned.runs[:1])
    task = store.run(plans[0].runs[0].id).task()
    assert task is not None
    assert {config["evaluation"]["beam"] for config in task.evaluations.values()} == {2, 3}


@pytest.mark.long
def test_what_is_edited_while_a_study_runs_changes_none_of_its_runs(tmp_path: Path) -> None:
    here = Path(__file__).resolve().parents[1]
    for part in ("ablate", "conf", "hydra_plugins"):
        shutil.copytree(here / part, tmp_path / "code" / part, ignore=shutil.ignore_patterns("__pycache__"))
    root, sweep = tmp_path / "store", tmp_path / "code" / "conf" / "sweep" / "norm_placement.yaml"
    process = subprocess.Popen(
        [sys.executable, "-m", "ablate", *SHORT, f"root={root}", "workers=1"], cwd=tmp_path / "code", text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "code")}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    at_work(root, process, 1)
    sweep.write_text(sweep.read_text().replace("model.norm_placement: post", "model.activation: gelu"))
    for name in ("config.py", "training/loop.py"):
        (tmp_path / "code" / "ablate" / name).write_text("raise SystemExit('edited')\n")
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    plan = fixture_plan(*SHORT[:1], *SHORT[4:], "first_seed=100")
    assert all(Store(root).run(spec.id).done(spec) for spec in plan.runs)
    assert len(list(root.glob("runs/*/result.json"))) == len(plan.runs)


@given(run=st.from_regex("[0-9a-f]{12}", fullmatch=True))
@example(run="7027e0362055")  # as a number it would be infinite
@example(run="000000000012")
def test_a_worker_is_told_the_id_of_its_run_and_no_number(run: str) -> None:
    told: list[str] = []

    def launch(jobs: list[list[str]]) -> None:
        told.extend(OverridesParser.create().parse_overrides([word])[0].value() for word in jobs[0][:1])

    plan = SimpleNamespace(runs=[SimpleNamespace(id=run, config=Config())], config=Config())
    launch_all(plan, Store(Path("/nowhere")), [run], launch, None)  # type: ignore[arg-type]
    assert told == [run]
