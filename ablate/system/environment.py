"""Environment variables that would disturb a command."""

from __future__ import annotations

import atexit
import gc
import os

# These variables make OpenMP bind a process to cores when torch is imported. Clusters and shells set them for programs
# of many threads. Runs have one thread each, so all of them would share the first core.
BINDING = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")


def collect_rarely() -> None:
    """Look for garbage less often, and not at the end.

    Importing torch and pandas makes millions of objects, all of which stay: looking through them again and again takes
    a sixth of the time of a short command.
    """
    gc.set_threshold(100_000, 50, 50)
    atexit.register(gc.freeze)  # the interpreter collects once more when it ends, and skips what is frozen


def clean_environment() -> None:
    """Let this process and its children draw without a window and use every core. Call it before importing torch."""
    os.environ["MPLBACKEND"] = "agg"  # notebooks set a backend that only they can import
    for name in BINDING:
        os.environ.pop(name, None)
