"""Processes that are forked from a server which has imported everything; a fresh interpreter takes seconds for that.

They are like fresh ones in that nothing of the test's own process is in them. Tests of how an interpreter starts (its
encoding, its environment, what it imports) start one themselves.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from waiting import PATIENCE

QUICK = ("wandb.mode=disabled", "cost_probe=false", "workers=1")  # where costs and workers are not the point
FORK = multiprocessing.get_context("forkserver")


@cache
def server() -> None:
    """Start the server, once; it imports `warm`."""
    FORK.set_forkserver_preload(["warm"])
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        forkserver.ensure_running()


def fork(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """A process that calls `target`, in this one's environment and folder, and leads a group of its own."""
    server()
    process = FORK.Process(target=begin, args=(dict(os.environ), Path.cwd(), target, arguments))
    process.start()
    return process


def begin(environment: dict[str, str], cwd: Path, target: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ |= environment
    target(*arguments)


def ended(process: BaseProcess) -> int:
    """The exit code of a forked process."""
    process.join(PATIENCE)
    if process.exitcode is None:
        os.killpg(process.pid or 0, signal.SIGKILL)
        raise TimeoutError(f"{process} did not end")
    return process.exitcode


def ablate(*arguments: str, module: str = "ablate", figures: bool = False) -> subprocess.CompletedProcess[str]:
    """`python -m MODULE ARGUMENTS`, to its end.

    Its reports have no figures, which take longest, unless they are asked for.
    """
    with tempfile.TemporaryDirectory() as folder:
        said = [Path(folder, name) for name in ("out", "err")]
        code = ended(fork(be, module, arguments, *said, figures))
        out, err = (path.read_text(encoding="utf-8") for path in said)
    return subprocess.CompletedProcess([module, *arguments], code, out, err)


def be(module: str, arguments: tuple[str, ...], out: Path, err: Path, figures: bool) -> None:
    speak_to(out, err)
    if not figures:
        from ablate.report import render

        render.FIGURES = {}
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def speak_to(out: Path, err: Path) -> None:
    """Print into these files."""
    for path, descriptor in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
