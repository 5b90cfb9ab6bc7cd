"""Workers that die: their neighbours end well, and so does a run that died but once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from waiting import PATIENCE


def study(root: Path) -> list[str]:
    command = ["+sweep=ffn_ratio", "preset=smoke", "data=fixture", f"root={root}", "wandb.mode=disabled", "workers=2"]
    return [sys.executable, "-m", "ablate", *command, "train.updates=100", "cost_probe=false"]


def planned(root: Path) -> str:
    """The id of a run of the study, of none in particular."""
    from corpora import fixture_plan

    return fixture_plan("+sweep=ffn_ratio", "train.updates=100", "first_seed=100", f"root={root}").runs[3].id


def kill_worker(root: Path, run: str, deaths: int, process: subprocess.Popen) -> int:
    """SIGKILL whoever is at this run, so many times; how often it could be done before the command ended."""
    killed: set[str] = set()
    mark = root / "runs" / run / "running"
    while process.poll() is None and len(killed) < deaths:
        try:
            pid = mark.read_text().split()[0]
            if pid and pid not in killed:
                os.kill(int(pid), signal.SIGKILL)
                killed.add(pid)
        except (FileNotFoundError, ProcessLookupError):
            pass
        time.sleep(0.01)
    return len(killed)


@pytest.mark.long
@pytest.mark.parametrize(("deaths", "code"), [(1, 0), (2, 1)])
def test_a_worker_that_dies_takes_no_other_run_with_it(tmp_path: Path, deaths: int, code: int) -> None:
    run = planned(tmp_path)
    process = subprocess.Popen(study(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert kill_worker(tmp_path, run, deaths, process) == deaths
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, err
    results = pd.read_csv(next(tmp_path.glob("reports/ffn_ratio/*/results.csv")), index_col="run_id")
    failed = set(results.index[results["status"] == "failed"])
    assert failed == ({run} if code else set())
    if code:
        assert f"runs/{run}" in out
        assert subprocess.run(study(tmp_path), capture_output=True, timeout=PATIENCE).returncode == 0


@pytest.mark.long  # test_requests.py has the quick ones
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_study_says_how_to_go_on_and_goes_on(tmp_path: Path, number: int, code: int) -> None:
    process = subprocess.Popen(
        study(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # shells start background jobs without it
    )  # fmt: skip
    while process.poll() is None and not list(tmp_path.glob("runs/*/evaluation-*.json")):
        time.sleep(0.02)
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, err
    assert "Traceback" not in err
    line = next(line for line in out.splitlines() if line.startswith("interrupted: "))
    assert "python -m ablate +sweep=ffn_ratio preset=smoke" in line
    finished = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/evaluation-*.json")}
    assert finished
    assert subprocess.run(study(tmp_path), capture_output=True, timeout=PATIENCE).returncode == 0
    assert all(path.stat().st_mtime_ns == time_of for path, time_of in finished.items())
