"""Locks hold with flock and without; those of the dead are taken over, those of the living are not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import Timeout
from flockless import BOTH, ERRORS, LOCKS
from short import each_once, sometimes
from waiting import PATIENCE

from ablate.report.index import ledger
from ablate.system import locks
from ablate.system.locks import is_held, lock

HOLDER = """
import pathlib, socket, sys, time
from ablate.system import locks
locks.BEAT, locks.SILENCE = 0.1, 2.0
if sys.argv[2] == "elsewhere":
    socket.gethostname = lambda: "elsewhere"
with locks.lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def holder(path: Path, where: str = "here") -> Iterator[subprocess.Popen]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path), where], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "BEAT", 0.1)
    monkeypatch.setattr(locks, "SILENCE", 2.0)


@pytest.mark.parametrize("kind", LOCKS)
def test_a_lock_is_held_by_one_at_a_time_and_leaves_no_marker(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    LOCKS[kind](monkeypatch)
    with lock(tmp_path / "lock"):
        assert is_held(tmp_path / "lock")
        with pytest.raises(Timeout), lock(tmp_path / "lock", timeout=0):
            pass
    assert not is_held(tmp_path / "lock")
    assert [path.name for path in tmp_path.iterdir()] == (["lock"] if kind == "flock" else [])


@pytest.mark.parametrize("kind", ERRORS)
def test_a_folder_without_flock_is_named_with_what_is_not_guaranteed(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "before").mkdir()
    assert locks.caveat(tmp_path / "before") is None
    ERRORS[kind](monkeypatch)
    line = locks.caveat(tmp_path)
    assert line is not None
    assert str(tmp_path) in line
    assert "\n" not in line


@pytest.mark.long
@pytest.mark.parametrize(("kind", "where"), each_once(BOTH, ["here", "elsewhere"]))
def test_the_lock_of_a_killed_process_is_free_and_that_of_a_living_one_is_not(
    kind: str, where: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    BOTH[kind](monkeypatch)
    path = tmp_path / "lock"
    with holder(path, where) as process:
        time.sleep(2 * locks.SILENCE)  # its heartbeat goes on
        assert is_held(path)
        process.kill()
        process.wait()
        with lock(path, timeout=PATIENCE):
            assert is_held(path)
    assert not is_held(path)


@pytest.mark.long
def test_a_lock_whose_host_was_lost_long_ago_is_not_called_held(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ERRORS["ENOLCK"](monkeypatch)
    with holder(tmp_path / "lock", "elsewhere") as process:
        process.kill()
        process.wait()
        assert is_held(tmp_path / "lock")  # for all that is known
        time.sleep(1.5 * locks.SILENCE)
        assert not is_held(tmp_path / "lock")


@pytest.mark.parametrize("kind", BOTH)
def test_a_folder_that_is_not_there_has_no_locks_and_is_not_made(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    BOTH[kind](monkeypatch)
    assert not is_held(tmp_path / "gone" / "lock")
    assert list(tmp_path.iterdir()) == []


WRITER = """
import pathlib, sys
from ablate.system import locks
from ablate.report.index import ledger
locks.BEAT, locks.SILENCE = 0.1, 2.0
ledger(pathlib.Path(sys.argv[1]))
"""


@pytest.mark.long
@pytest.mark.parametrize("kind", sometimes(LOCKS, *BOTH))
def test_the_ledger_waits_for_whoever_rewrites_it_and_leaves_nothing_else(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    LOCKS[kind](monkeypatch)
    (tmp_path / "reports").mkdir()
    with holder(tmp_path / "reports" / ".lock") as process:
        other = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)])
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(4)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert other.wait(PATIENCE) == 0
    ledger(tmp_path)
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["README.md"]
