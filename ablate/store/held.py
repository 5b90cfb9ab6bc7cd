"""A run folder that can be written to only while this process holds the run's lock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from filelock import BaseFileLock

from ablate.store.run_folder import RunFolder
from ablate.store.schema import EvaluationResult, Task, TrainingResult
from ablate.system.locks import is_lost


class Lost(Exception):
    """Another process has taken over the run, because this one was inactive for too long."""


@dataclass(frozen=True)
class HeldRun(RunFolder):
    """A run folder under `lock`. Every write checks it first, and raises Lost where another process has taken it over.

    It happens only on file systems without flock, to a process that was stopped or whose machine was suspended.
    """

    lock_held: BaseFileLock

    def check(self) -> None:
        if is_lost(self.lock_held):
            raise Lost(self.id)

    def append(self, name: str, lines: Iterable[str]) -> None:
        self.check()
        super().append(name, lines)

    def write(self, name: str, value: Task | TrainingResult | EvaluationResult) -> None:
        self.check()
        super().write(name, value)

    def write_file(self, name: str, content: bytes) -> None:
        self.check()
        super().write_file(name, content)
