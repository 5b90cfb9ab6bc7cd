"""A whole study on a file system without flock: killed, given again, beside another one."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from flockless import ERRORS
from test_requests import SHORT, STUDY, at_work, start
from waiting import PATIENCE

from ablate.system.locks import MARKER


def markers(root: Path) -> list[Path]:
    return list(root.rglob(f"*{MARKER}"))


@pytest.mark.long
def test_a_study_that_was_killed_goes_on_and_says_what_is_not_guaranteed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ERRORS["ENOSYS"](monkeypatch)
    killed = start(tmp_path, *SHORT)
    at_work(tmp_path, killed, 2)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert markers(tmp_path)
    out, err = (again := start(tmp_path, *SHORT)).communicate(timeout=PATIENCE)
    assert again.returncode == 0, err
    assert str(tmp_path / "runs") in out
    assert "no file locks" in out
    assert not markers(tmp_path)


@pytest.mark.long
def test_two_commands_train_no_run_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ERRORS["ENOLCK"](monkeypatch)
    for process in [start(tmp_path, *SHORT) for _ in range(2)]:
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
    for path in tmp_path.glob("runs/*/curve.csv"):
        assert [int(row.split(",")[0]) for row in path.read_text().splitlines()[1:]] == list(range(1, 151))
    assert not markers(tmp_path)


@pytest.mark.long
def test_a_signal_leaves_checkpoints_and_no_marker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ERRORS["EOPNOTSUPP"](monkeypatch)
    process = start(tmp_path, *STUDY)
    folders = at_work(tmp_path, process, 2)
    process.terminate()
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143, err
    assert all((folder / "checkpoint.pt").exists() for folder in folders)
    assert not markers(tmp_path)
