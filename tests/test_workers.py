"""As many workers as this process may use cores, and its container has memory for."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
import torch
from joblib.externals.loky.backend import context

from ablate.config import Config
from ablate.plan.forecast import WORKER, workers
from ablate.training import machine

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 64 cores that nobody shares."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)), raising=False)
    monkeypatch.setattr(context, "_cpu_count_cgroup", lambda cores: cores)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 64, raising=False)
    monkeypatch.delenv("LOKY_MAX_CPU_COUNT", raising=False)
    monkeypatch.setattr(machine, "MEMORY_LIMITS", ())
    monkeypatch.setattr(os, "sysconf", lambda name: 2**20)  # pages of 1 MiB, and as many: 1 TiB


def test_a_core_each_and_no_more_than_there_are_runs() -> None:
    assert workers(Config(), CPU, 100) == 64
    assert workers(Config(), CPU, 3) == 3
    assert workers(Config(workers=5), CPU, 100) == 5


def test_affinity_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 5}, raising=False)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 2, raising=False)
    assert workers(Config(), CPU, 100) == 2


QUOTAS = {  # of 100 ms, in what a container's kernel calls them
    "version 2": {"cpu.max": "{quota} 100000"},
    "version 1": {"cpu/cpu.cfs_quota_us": "{quota}", "cpu/cpu.cfs_period_us": "100000"},
}


@pytest.mark.parametrize("version", QUOTAS)
@pytest.mark.parametrize(("quota", "cores"), [(100_000, 1), (300_000, 3), (50_000, 1)])
def test_a_containers_quota_counts(
    version: str, quota: int, cores: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """joblib reads fixed paths, so they are led to files that are made here."""
    monkeypatch.undo()
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)), raising=False)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 64, raising=False)
    monkeypatch.setattr(machine, "MEMORY_LIMITS", ())
    for name, text in QUOTAS[version].items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text.format(quota=quota))

    def led(path: str) -> str:
        return str(path).replace("/sys/fs/cgroup", str(tmp_path))

    exists = os.path.exists
    monkeypatch.setattr(context, "open", lambda path: io.StringIO(Path(led(path)).read_text()), raising=False)
    monkeypatch.setattr(os.path, "exists", lambda path: exists(led(path)))
    assert min(workers(Config(), CPU, 100), 64) == cores


@pytest.mark.parametrize(("text", "runs"), [(str(5 * WORKER + 7), 5), ("1000", 1), ("max", 64), (str(2**63), 64)])
def test_a_containers_memory_counts(text: str, runs: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "limit").write_text(text)
    monkeypatch.setattr(machine, "MEMORY_LIMITS", (str(tmp_path / "none"), str(tmp_path / "limit")))
    assert workers(Config(), CPU, 100) == runs
