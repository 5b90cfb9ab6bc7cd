"""What a record says of where it was measured: machine, versions, whether anything else was running, the command."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import torch

from ablate.training.machine import commit, device_name, memory_limit, work_of_others

LIBRARIES = ("torch", "numpy", "tokenizers", "transformers", "accelerate", "ctranslate2", "joeynmt")
PATHS = ("data.path", "root", "against")  # keys whose values are paths
LOOK = 2.0  # seconds
IDLE = 0.1  # cores that other processes may keep busy on an idle machine


def cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def machine() -> dict[str, Any]:
    return {
        "processor": device_name(torch.device("cpu")),
        "cores": cores(),
        "memory": memory_limit(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def busy_cores() -> float | None:
    """Cores that other processes keep busy now. Measurements are worth little if there are any."""
    others = work_of_others()
    time.sleep(LOOK)
    return others()


def versions() -> dict[str, str]:
    """Of the libraries that are installed, and the commit of ablate."""
    found = {name: version(name) for name in LIBRARIES if find_spec(name) is not None}
    known = commit()
    own = f"{short(known['commit'])}{' and changes' if known['dirty'] else ''}"
    return {"python": platform.python_version(), **found, "ablate": own}


def short(commit: str | None) -> str:
    return "without a commit" if commit is None else commit[:12]


def portable(arguments: Sequence[str]) -> list[str]:
    """The command line without paths of this machine."""
    shown: list[str] = []
    for each in arguments:
        key, equals, _ = each.partition("=")
        if shown and shown[-1] in [f"--{path}" for path in PATHS]:
            shown.append("...")
        else:
            shown.append(f"{key}=..." if equals and key.removeprefix("--") in PATHS else each)
    return shown
