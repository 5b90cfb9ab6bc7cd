"""A launcher that takes runs to other machines: their device is found there, not where the command was given."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from short import sometimes
from waiting import PATIENCE

CLUSTER = str(Path(__file__).with_name("cluster"))
SMALL = ["preset=smoke", "data=fixture", "seeds=1", "train.updates=4", "wandb.mode=disabled"]
ABSENT = next(
    name for name, here in (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available())) if not here
)


def ablate(root: Path, *arguments: str, node: str = "cpu") -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": CLUSTER, "NODE_DEVICE": node}
    command = [sys.executable, "-m", "ablate", *SMALL, f"root={root}", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)


@pytest.mark.parametrize("launcher", sometimes(["basic", "joblib"], "joblib"))
def test_a_device_that_is_not_here_is_refused_where_runs_are_trained_here(launcher: str, tmp_path: Path) -> None:
    refused = ablate(tmp_path, f"hydra/launcher={launcher}", f"device={ABSENT}", "dry_run=true")
    assert refused.returncode == 2
    assert f"device={ABSENT} is not available" in refused.stderr


@pytest.mark.parametrize("wanted", sometimes([ABSENT, "auto"], ABSENT))
def test_a_plan_for_other_machines_knows_no_device_and_no_time(wanted: str, tmp_path: Path) -> None:
    planned = ablate(tmp_path, "hydra/launcher=cluster", f"device={wanted}", "dry_run=true")
    assert planned.returncode == 0, planned.stderr
    assert "1 run to train, on devices that the launcher's workers choose; the time is unknown" in (planned.stdout)
    assert planned.stdout.splitlines()[-2].split()[-1] == "unknown"


@pytest.mark.long
def test_a_worker_finds_its_own_device(tmp_path: Path) -> None:
    done = ablate(tmp_path, "hydra/launcher=cluster", f"device={ABSENT}", node=ABSENT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"asked for {ABSENT}" in done.stdout
    assert "costs are not measured" in done.stdout
    assert list(tmp_path.glob("runs/*/evaluation-*.json"))


@pytest.mark.long
def test_auto_is_resolved_by_the_worker(tmp_path: Path) -> None:
    done = ablate(tmp_path, "hydra/launcher=cluster", "device=auto", node=ABSENT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "asked for auto" in done.stdout


@pytest.mark.long
def test_a_machine_without_the_device_fails_its_run_by_name(tmp_path: Path) -> None:
    failed = ablate(tmp_path, "hydra/launcher=cluster", f"device={ABSENT}", node="cpu")
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert f"device={ABSENT} is not there; this machine has cpu" in failed.stdout
