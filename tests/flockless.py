"""File systems with and without flock(2), to be simulated in this process and in those that it starts."""

from __future__ import annotations

import errno
import fcntl
import os
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

SITE = Path(__file__).with_name("no_flock")


def refusing(number: int) -> Callable[[pytest.MonkeyPatch], None]:
    """What makes flock fail with this error."""

    def refuse(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NO_FLOCK", str(number))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(SITE), os.environ.get("PYTHONPATH", "")]))
        monkeypatch.setattr(fcntl, "flock", fcntl.flock)  # to be restored
        runpy.run_path(str(SITE / "sitecustomize.py"))

    return refuse


ERRORS = {name: refusing(getattr(errno, name)) for name in ("ENOSYS", "ENOLCK", "EOPNOTSUPP", "EINVAL")}
LOCKS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {"flock": lambda monkeypatch: None, **ERRORS}
BOTH = {name: LOCKS[name] for name in ("flock", "ENOSYS")}  # where one error stands for all
