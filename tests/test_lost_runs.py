"""Without flock, a worker that stood still may lose its run to another: it notices before it writes anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from corpora import fixture_plan
from filelock import BaseFileLock, FileLock, SoftFileLease
from flockless import ERRORS
from waiting import PATIENCE

from ablate.store import held
from ablate.store.folders import Store
from ablate.store.run_folder import RunFolder
from ablate.system import locks
from ablate.training.member import run_member

SMALL = ("+sweep=norm_placement", "seeds=1", "train.updates=60", "train.validations=4")


def taken_over(path: Path) -> SoftFileLease:
    """Another process's hold of a run whose holder was stopped for too long: its marker takes the first one's place."""
    marker = locks.marker(path / ".lock")
    marker.unlink()
    other = SoftFileLease(marker, lease_duration=locks.SILENCE, heartbeat_interval=locks.BEAT)
    other.acquire(timeout=PATIENCE)
    return other


def test_a_marker_that_another_process_took_over_is_lost(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ERRORS["ENOSYS"](monkeypatch)
    lock = RunFolder(tmp_path).lock()
    with lock:
        assert not locks.is_lost(lock)
        with taken_over(tmp_path) as other:
            assert locks.is_lost(lock)
            assert not locks.is_lost(other)
        assert locks.is_lost(lock)  # gone altogether


def test_a_lock_of_the_system_is_never_lost(tmp_path: Path) -> None:
    lock = RunFolder(tmp_path).lock()
    assert isinstance(lock, FileLock)
    with lock:
        (tmp_path / ".lock").unlink()
        assert not locks.is_lost(lock)


WRITES: dict[str, Callable[[str], bool]] = {
    "the first lines of its curve": lambda name: name == "curve.csv",
    "a validation": lambda name: name == "validation.csv",
    "a measurement": lambda name: name == "diagnostics.jsonl",
    "its checkpoint": lambda name: name == "checkpoint.pt",
    "its weights": lambda name: name == "weights.pt",
    "its result": lambda name: name == "result.json",
    "its scores": lambda name: name.startswith("evaluation-"),
}


@pytest.mark.parametrize("what", WRITES)
def test_a_worker_that_lost_its_run_writes_nothing_and_waits_for_the_other(
    what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The other process holds the run for a while, as if it trained it, and lets it go untouched."""
    ERRORS["ENOSYS"](monkeypatch)
    monkeypatch.setattr("ablate.training.resume.SHARE", float("inf"))  # a checkpoint at each pause
    store, plan = Store(tmp_path), fixture_plan(*SMALL)
    (run, *_) = store.freeze(plan.runs)
    folder, losses, states = store.run(run), [], []
    check, lock = held.HeldRun.check, RunFolder.lock

    def before(name: str) -> None:
        if WRITES[what](name) and not losses:
            losses.append(taken_over(folder.path))
            folder.mark_active()
            states.append(content(folder))

    def locked(self: RunFolder, timeout: float = -1) -> BaseFileLock:
        if losses and losses[0].is_locked:  # the worker has let go of the run, and waits
            states.append(content(folder))
            losses[0].release()
        return lock(self, timeout)

    for method in ("append", "write", "write_file"):
        watched = getattr(held.HeldRun, method)

        def wrapped(self, name, given, watched=watched):
            before(name)
            watched(self, name, given)

        monkeypatch.setattr(held.HeldRun, method, wrapped)
    monkeypatch.setattr(RunFolder, "lock", locked)
    run_member(folder, plan.config.device)
    assert check is held.HeldRun.check
    assert len(losses) == 1
    at_loss, after = states
    assert after == at_loss
    assert folder.done(plan.runs[0])
    assert not folder.file("failure.txt").exists()
    assert not folder.file("running").exists()
    assert [line.split(",")[0] for line in folder.lines("curve.csv")[1:]] == [str(each) for each in range(1, 61)]


def content(folder: RunFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.path.iterdir() if not path.name.endswith(locks.MARKER)}
