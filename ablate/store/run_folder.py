"""The folder of a training. A file of a run is complete if and only if it has its final name."""

from __future__ import annotations

import hashlib
import os
import socket
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from filelock import BaseFileLock

from ablate.config import Config
from ablate.store.ids import RunSpec
from ablate.store.schema import Damaged, EvaluationResult, Task, TrainingResult, sealed, unsealed
from ablate.system import locks
from ablate.system.atomic import write_atomic

ASIDE = "damaged-"  # prefix of a file that was renamed because it is damaged
CURVES = ("curve.csv", "validation.csv")
DYING = 3.0  # seconds for which a killed worker may still hold its run's lock


@dataclass(frozen=True)
class RunFolder:
    """`runs/<id of a training>/`.

    run.json          what to train and how to evaluate it, written before training starts
    curve.csv         a row an update, appended during training
    validation.csv    a row a validation
    diagnostics.jsonl an object a measurement
    weights.pt        the weights that the checkpoint rule kept
    result.json       how training ended
    evaluation-<id>.json  scores, translations and losses on the test set
    .lock             locked by the worker of the run; released when the worker dies (see ablate/system/locks.py)
    running           the process of the worker; if the lock is free, the worker crashed
    checkpoint.pt     the state from which an interrupted run continues; deleted at the end
    failure.txt       the traceback of a run that failed
    notes.txt         lines that the command shows to the user
    """

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    def file(self, name: str) -> Path:
        return self.path / name

    def evaluation_file(self, evaluation: str) -> Path:
        return self.file(f"evaluation-{evaluation}.json")

    def task(self) -> Task | None:
        """run.json; None if it is missing or damaged, as for the other files below."""
        return read(self.file("run.json"), Task)

    def result(self) -> TrainingResult | None:
        return read(self.file("result.json"), TrainingResult)

    def scores(self, evaluation: str) -> EvaluationResult | None:
        return read(self.evaluation_file(evaluation), EvaluationResult)

    def write(self, name: str, value: Task | TrainingResult | EvaluationResult) -> None:
        write_atomic(self.file(name), sealed(value))

    def write_file(self, name: str, content: bytes) -> None:
        write_atomic(self.file(name), content)

    def append(self, name: str, lines: Iterable[str]) -> None:
        with self.file(name).open("a", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))

    def lines(self, name: str) -> list[str]:
        """The complete lines of a file that may still be written to."""
        try:
            text = self.file(name).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return []
        return text[: text.rfind("\n") + 1].splitlines()

    def trained(self, config: Config) -> TrainingResult | None:
        """The result, if training has ended, with diagnostics if the configuration asks for them."""
        result = self.result()
        return result if result is not None and (result.diagnostics or not config.diagnostics.times) else None

    def done(self, spec: RunSpec) -> bool:
        """Whether the run is trained and, if it has weights to translate with, evaluated."""
        return self.evaluated(self.trained(spec.config), spec)

    def evaluated(self, result: TrainingResult | None, spec: RunSpec) -> bool:
        """Whether nothing is missing but what `trained` found."""
        return result is not None and (not result.scorable or self.scores(spec.evaluation) is not None)

    def lock(self, timeout: float = -1) -> BaseFileLock:
        """The lock that a process holds while it works on the run. Acquiring it may raise filelock.Timeout."""
        return locks.lock(self.file(".lock"), timeout)

    def is_locked(self, patience: float = 0) -> bool:
        """Whether a process works on the run, and still does after `patience` seconds."""
        return locks.is_held(self.file(".lock"), patience)

    def curves(self) -> dict[str, str]:
        """The hashes of the curve files, which result.json keeps so that later damage is noticed."""
        return {name: hashlib.sha256(self.file(name).read_bytes()).hexdigest() for name in CURVES}

    def curves_are_whole(self) -> bool:
        """Whether the curves of a trained run are as training wrote them."""
        result = self.result()
        try:
            return result is None or result.curves in (None, self.curves())
        except FileNotFoundError:
            return False

    def weights_are_whole(self) -> bool:
        try:
            with zipfile.ZipFile(self.file("weights.pt")) as archive:  # torch does not notice a flipped bit
                return archive.testzip() is None
        except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
            return False

    def set_damaged_aside(self, spec: RunSpec, weights_needed: bool = False) -> None:
        """Rename results that cannot be read, or whose weights are damaged and needed, so that they are made again."""
        evaluation = self.evaluation_file(spec.evaluation).name
        for name, value in (("result.json", self.result()), (evaluation, self.scores(spec.evaluation))):
            if value is None and self.file(name).exists():
                self.set_aside(name, "was damaged")
        result = self.result()
        to_evaluate = result is not None and result.scorable and self.scores(spec.evaluation) is None
        if result is not None and (to_evaluate or weights_needed) and not self.weights_are_whole():
            self.set_aside("result.json", "belongs to weights that are needed, and damaged or missing")
        if self.result() is None:
            self.delete_evaluations()

    def delete_evaluations(self) -> None:
        """Delete the scores of weights that are replaced: on a GPU the new weights differ in the last bits."""
        for path in self.path.glob("evaluation-*.json"):
            path.unlink()

    def set_aside(self, name: str, why: str) -> None:
        """Rename a file and note it for the user."""
        self.file(name).replace(self.file(ASIDE + name))
        self.append("notes.txt", [f"{name} {why}: it is kept as {ASIDE}{name}, and made again"])

    def mark_active(self) -> None:
        """Mark the run as active in this process. A mark without a lock means that the process crashed."""
        write_atomic(self.file("running"), f"{os.getpid()} {os.getppid()} {socket.gethostname()}")

    def clear_active(self) -> None:
        self.file("running").unlink(missing_ok=True)

    def worker_died(self) -> bool:
        if not self.file("running").exists():
            return False
        return not self.is_locked(DYING if locks.has_flock(self.path) else locks.SILENCE)

    def worker(self) -> int | None:
        """The process that works on the run, if it is a child of this one."""
        try:
            process, parent, host = self.file("running").read_text(encoding="utf-8").split()
        except (OSError, ValueError):
            return None
        return int(process) if (int(parent), host) == (os.getpid(), socket.gethostname()) else None

    def failure(self) -> str | None:
        """The last line of a failed run's traceback."""
        lines = self.lines("failure.txt")
        return lines[-1] if lines else None


T = TypeVar("T", Task, TrainingResult, EvaluationResult)


def read(path: Path, kind: type[T]) -> T | None:
    """A file of a run; None if it is missing or damaged."""
    try:
        return unsealed(path.read_bytes(), kind)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, Damaged):
        return None
