"""What a command leaves out of the environment in which it was started."""

from __future__ import annotations

import os

# Variables by which OpenMP ties a process to cores, as soon as torch is imported. Clusters and shells set them for
# programs of many threads; runs have one thread each, and all of them would share the first core.
BINDING = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")


def settle() -> None:
    """Let this process and its children draw without a window, and use every core. Call it before torch is imported."""
    os.environ["MPLBACKEND"] = "agg"  # notebooks name one that only they can import
    for name in BINDING:
        os.environ.pop(name, None)
