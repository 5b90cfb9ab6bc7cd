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


def no_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "CGROUPS", Path("/nowhere"))
    monkeypatch.setattr(machine, "MEMBERSHIP", Path("/nowhere/cgroup"))


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 64 cores that nobody shares."""
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)), raising=False)
    monkeypatch.setattr(context, "_cpu_count_cgroup", lambda cores: cores)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 64, raising=False)
    monkeypatch.delenv("LOKY_MAX_CPU_COUNT", raising=False)
    no_groups(monkeypatch)
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
    no_groups(monkeypatch)
    for name, text in QUOTAS[version].items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text.format(quota=quota))

    def led(path: str) -> str:
        return str(path).replace("/sys/fs/cgroup", str(tmp_path))

    exists = os.path.exists
    monkeypatch.setattr(context, "open", lambda path: io.StringIO(Path(led(path)).read_text()), raising=False)
    monkeypatch.setattr(os.path, "exists", lambda path: exists(led(path)))
    assert min(workers(Config(), CPU, 100), 64) == cores


LAYOUTS = {  # /proc/self/cgroup, and by what controller the folder below which the groups lie
    "version 2": ("0::{path}", {"memory": "", "cpu": ""}),
    "version 1": ("9:memory:{path}\n4:cpu,cpuacct:{path}\n0::/elsewhere", {"memory": "memory", "cpu": "cpu"}),
    "none": (None, {"memory": "", "cpu": ""}),
    "neither": ("gibberish", {"memory": "", "cpu": ""}),
}
GROUPS = {  # the path of the process's group, and the groups that limit it where they can be seen
    "/": ["."],
    "/job": [".", "job"],
    "/slurm/uid_1/job_2/step_0": [".", "slurm", "slurm/uid_1", "slurm/uid_1/job_2", "slurm/uid_1/job_2/step_0"],
}
CASES = [(layout, path, group) for layout in LAYOUTS for path, groups in GROUPS.items() for group in groups
         if layout in ("version 2", "version 1") or group == "."]  # fmt: skip


def limited(monkeypatch: pytest.MonkeyPatch, root: Path, layout: str, path: str) -> dict[str, Path]:
    """The folder of each controller, in a process whose group is `path`."""
    membership, folders = LAYOUTS[layout]
    monkeypatch.setattr(machine, "CGROUPS", root / "groups")
    monkeypatch.setattr(machine, "MEMBERSHIP", root / "cgroup")
    if membership is not None:
        (root / "cgroup").write_text(membership.format(path=path) + "\n")
    return {controller: root / "groups" / folder for controller, folder in folders.items()}


def put(group: Path, name: str, text: str) -> None:
    group.mkdir(parents=True, exist_ok=True)
    (group / name).write_text(text + "\n")


@pytest.mark.parametrize(("layout", "path", "group"), CASES)
def test_the_lowest_limit_of_all_groups_above_counts(
    layout: str, path: str, group: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    top = limited(monkeypatch, tmp_path, layout, path)
    old = layout == "version 1"
    for each in GROUPS[path]:
        put(top["memory"] / each, "memory.limit_in_bytes" if old else "memory.max", str(2**63) if old else "max")
        put(top["cpu"] / each, "cpu.cfs_quota_us" if old else "cpu.max", "-1" if old else "max 100000")
        put(top["cpu"] / each, "cpu.cfs_period_us", "100000")
    assert machine.core_limit() is None
    assert workers(Config(), CPU, 100) == 64
    put(top["memory"] / group, "memory.limit_in_bytes" if old else "memory.max", str(5 * WORKER + 7))
    assert machine.memory_limit() == 5 * WORKER + 7
    assert workers(Config(), CPU, 100) == 5
    put(top["cpu"] / group, "cpu.cfs_quota_us" if old else "cpu.max", "250000" if old else "250000 100000")
    assert machine.core_limit() == 3
    assert workers(Config(), CPU, 100) == 3


@pytest.mark.parametrize("layout", LAYOUTS)
def test_limits_of_groups_elsewhere_do_not_count(layout: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    top = limited(monkeypatch, tmp_path, layout, "/job")
    for name, text in (("memory.max", "1000"), ("memory.limit_in_bytes", "1000"), ("cpu.max", "1000 1000")):
        put(top["memory"] / "other", name, text)
        put(top["memory"] / "job" / "below", name, text)
    assert workers(Config(), CPU, 100) == 64


@pytest.mark.parametrize(("text", "runs"), [(str(5 * WORKER + 7), 5), ("1000", 1), ("max", 64), (str(2**63), 64)])
def test_a_containers_memory_counts(text: str, runs: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put(limited(monkeypatch, tmp_path, "version 2", "/host/path")["memory"], "memory.max", text)
    assert workers(Config(), CPU, 100) == runs
