"""Runs subjects, each in a process of its own: one after another, or several that begin to measure together."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from ablate.benchmark.subjects import __path__ as subjects

TUNED = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**30), "MALLOC_TOP_PAD_": str(64 * 2**20)}  # of glibc
CHECKOUT = Path(__file__).resolve().parents[2]
READY = "READY"

Answer = dict[str, Any]


class Failed(Exception):
    """A subject ended without an answer. The message is the last line that it wrote on standard error."""


@dataclass(frozen=True)
class Subject:
    """A program of `ablate/benchmark/subjects/`, and what it is asked."""

    program: str
    asked: dict[str, Any]
    tuned: bool = False  # whether glibc's malloc keeps freed memory; ablate sees to that itself
    checkout: Path = CHECKOUT  # whose ablate it imports


def answer_of(subject: Subject) -> Answer:
    return together([subject])[0]


def together(subjects: Sequence[Subject]) -> list[Answer]:
    """Start them all, let them begin to measure when all are warm, and return their answers. Raises Failed."""
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(started(subject)) for subject in subjects]
        for child in running:
            child.wait_until_ready()
        for child in running:
            child.say("go")
        return [child.answer() for child in running]


@dataclass
class Child:
    process: subprocess.Popen[str]
    errors: IO[str]
    lines: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended, and `answer` will tell why
            self.process.stdin.write(f"{line}\n")
            self.process.stdin.flush()

    def wait_until_ready(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == READY:
                return
        raise Failed(self.reason())

    def answer(self) -> Answer:
        assert self.process.stdout is not None
        lines = self.process.stdout.read().splitlines()
        if self.process.wait() != 0 or not lines:
            raise Failed(self.reason())
        return dict(json.loads(lines[-1]))

    def reason(self) -> str:
        self.process.wait()
        self.errors.seek(0)
        lines = [line for line in self.errors.read().splitlines() if line.strip()]
        return lines[-1].strip()[:200] if lines else f"it ended with exit code {self.process.returncode}"


@contextlib.contextmanager
def started(subject: Subject) -> Iterator[Child]:
    script = Path(subjects[0]) / f"{subject.program}.py"
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        process = subprocess.Popen(
            [sys.executable, "-P", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
            errors="replace",
            env=environment(subject),
        )
        child = Child(process, errors)
        try:
            child.say(json.dumps(subject.asked))
            yield child
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    assert pipe is not None
                    pipe.close()


def environment(subject: Subject) -> dict[str, str]:
    """That of this process, without any setting of malloc or of threads, so that each subject is as installed."""
    cleared = {
        name: value
        for name, value in os.environ.items()
        if name not in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") and not name.startswith("MALLOC_")
    }
    quiet = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    return {**cleared, **quiet, **(TUNED if subject.tuned else {}), **with_path(subject.checkout)}


def with_path(checkout: Path) -> dict[str, str]:
    """The variable by which `ablate` is that of the checkout, and other packages are found where they were."""
    return {"PYTHONPATH": os.pathsep.join([str(checkout), *filter(None, [os.environ.get("PYTHONPATH")])])}
