"""Device, precision, threads and memory of this machine, and the provenance of a result."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import mmap
import os
import platform
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from ablate.config import BadInput, Device, Precision

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # of glibc's mallopt
MADV_HUGEPAGE = 14  # of Linux's madvise
GIBIBYTE = 2**30
GIT = ("git", "-c", "safe.directory=*")  # a checkout may be another user's, as in containers; it is only read
CGROUPS, MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")  # where Linux describes control groups


def choose_device(wanted: Device) -> torch.device:
    """The device to train on. Raises BadInput if the wanted one is not available."""
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if wanted is Device.auto:
        return torch.device("cuda" if there["cuda"] else "cpu")
    if not there[wanted.name]:
        raise BadInput(
            f"device={wanted.name} is not available; this machine has {', '.join(k for k, v in there.items() if v)}"
        )
    return torch.device(wanted.name)


def checked_device(wanted: Device, precision: Precision) -> torch.device:
    """`choose_device`, and raise BadInput where the device does not support the precision."""
    device = choose_device(wanted)
    check_precision(precision, device)
    return device


def check_precision(precision: Precision, device: torch.device) -> None:
    if precision is Precision.bf16 and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise BadInput("precision=bf16 is not supported by this GPU; precision=fp32 is")


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision is Precision.bf16)


def use_one_thread() -> None:
    """Use one thread per run, so that its result does not depend on what else the machine does."""
    torch.set_num_threads(1)


def keep_freed_memory() -> None:
    """Make glibc reuse freed memory. By default it maps new pages for each large tensor, which is slow.

    The next half gibibyte of the heap may lie in huge pages, so that large tensors need few entries of the processor's
    table of addresses.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, GIBIBYTE)
        libc.mallopt(M_TOP_PAD, 64 * 2**20)
        libc.malloc.restype = ctypes.c_void_p
        if heap := libc.malloc(ctypes.c_size_t(GIBIBYTE // 2)):
            start = -(-heap // mmap.PAGESIZE) * mmap.PAGESIZE
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(GIBIBYTE // 2 - mmap.PAGESIZE), MADV_HUGEPAGE)
            libc.free(ctypes.c_void_p(heap))
    except (OSError, AttributeError):  # not glibc
        pass


def reset_peak_memory(device: torch.device) -> None:
    """Start to measure the peak memory of this process anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):  # not Linux, or not allowed: the peak is then that since the start
            Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def peak_memory(device: torch.device) -> int | None:
    """Peak in bytes of memory allocated on a GPU, or of the resident set on a CPU; None if it is not known."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return 1024 * int(status.split("VmHWM:")[1].split()[0])
    except (OSError, IndexError):
        if resource is None:
            return None
        unit = 1 if platform.system() == "Darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def memory_limit() -> int | None:
    """Bytes that this process may use, by its control groups and its machine; None where neither is known."""
    limits = []
    with contextlib.suppress(OSError, ValueError, AttributeError):  # Windows has no sysconf
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for group in control_groups("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with contextlib.suppress(OSError, ValueError):  # not there, or "max"
                limits.append(int((group / name).read_text(encoding="utf-8")))
    return min(limits, default=None)


def core_limit() -> int | None:
    """Cores that this process may keep busy, rounded up, by the quotas of its control groups; None without any."""
    limits = []
    for group in control_groups("cpu"):
        for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
            with contextlib.suppress(OSError, ValueError):  # not there, or "max"
                text = " ".join((group / name).read_text(encoding="utf-8") for name in names)
                quota, period = map(int, text.split())
                if quota > 0:  # -1 is no quota in version 1
                    limits.append(math.ceil(quota / period))
    return min(limits, default=None)


def control_groups(controller: str) -> list[Path]:
    """Folders of this process's control group and of all above it, each of which may set a limit. Some may not exist.

    Lines of /proc/self/cgroup are NUMBER:CONTROLLERS:PATH. Version 2 has one line, without controllers. Version 1 has a
    line and a folder for each set of controllers. In a container PATH may be the host's, of which only the top exists.
    """
    folders = [CGROUPS, CGROUPS / controller]
    with contextlib.suppress(OSError, ValueError):  # not Linux
        for line in MEMBERSHIP.read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers or controller in controllers.split(","):
                top = CGROUPS / controller if controllers else CGROUPS
                group = top / path.strip("/")
                folders += [each for each in (group, *group.parents) if each.is_relative_to(top)]
    return folders


def work_of_others() -> Callable[[], float | None]:
    """Returns a function that gives the number of cores which other processes kept busy since; None if not known."""
    began, own, all_before = time.perf_counter(), time.process_time(), work_of_all()

    def since() -> float | None:
        all_after = work_of_all()
        if all_before is None or all_after is None:
            return None
        work = all_after - all_before - (time.process_time() - own)
        return round(max(0.0, work / (time.perf_counter() - began)), 2)

    return since


def work_of_all() -> float | None:
    """Seconds for which cores were busy since the machine started, including those of other guests (`steal`)."""
    try:
        user, nice, system, _, _, irq, softirq, steal = map(
            int, Path("/proc/stat").read_text(encoding="utf-8").split()[1:9]
        )
    except (OSError, ValueError):
        return None
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def provenance(device: torch.device, precision: Precision) -> dict[str, Any]:
    """Provenance of a result: code, versions, device, time."""
    return {
        **commit(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "platform": f"{platform.system()} {platform.machine()}",
        "device": device.type,
        "device_name": device_name(device),
        "precision": precision.name,
        "threads": torch.get_num_threads(),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()


@functools.cache
def commit() -> dict[str, Any]:
    """Commit of the code, and whether the tree was dirty; None if the code is not in a git checkout."""
    folder = Path(__file__).resolve().parents[1]

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                [*GIT, *words], cwd=folder, capture_output=True, encoding="utf-8", errors="replace", timeout=10
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # Only changes of code and configuration count as dirty: rewritten reports do not change how runs train.
    top = git("rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != folder.parent:  # installed inside another repository
        return {"commit": None, "dirty": None}
    changed = git(
        "status", "--porcelain", "--", *(str(folder.parent / part) for part in ("ablate", "conf", "hydra_plugins"))
    )
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if changed is None else bool(changed)}


def processor() -> str:
    """Name of the CPU."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
