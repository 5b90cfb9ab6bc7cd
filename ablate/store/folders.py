"""A folder for each training. A file is complete when it has been renamed into place, whatever any process believes."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TypeVar

from filelock import BaseFileLock, Timeout

from ablate.config import BadInput, Config
from ablate.store.ids import MEANING, RunSpec
from ablate.store.plain import config_to_plain
from ablate.store.plugin_files import described
from ablate.store.schema import VERSION, Damaged, EvaluationResult, Task, TrainingResult, sealed, unsealed
from ablate.system import locks
from ablate.system.atomic import sweep, write_atomic

WRITTEN = ("runs", "experiments", "reports")  # folders of a store
ASIDE = "damaged-"  # begins the name of a file that was set aside
CURVES = ("curve.csv", "validation.csv")
DYING = 3.0  # seconds for which a worker that is being ended may still hold its run's lock


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
    running           the process of the worker; without a lock it means that the worker died
    checkpoint.pt     the state from which an interrupted run continues; deleted at its end
    failure.txt       the traceback of a run that failed
    notes.txt         what the user should know of how it went, a line each
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
        """run.json; None where it is missing or damaged, as for the other files below."""
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

    def trained(self, config: Config) -> bool:
        """Whether training has ended, with diagnostics where the configuration asks for them."""
        result = self.result()
        return result is not None and bool(result.diagnostics or not config.diagnostics.times)

    def done(self, spec: RunSpec) -> bool:
        """Whether the run is trained and, where there is anything to translate with, evaluated."""
        result = self.result()
        if result is None or not self.trained(spec.config):
            return False
        return not result.scorable or self.scores(spec.evaluation) is not None

    def lock(self, timeout: float = -1) -> BaseFileLock:
        """One process at a time works on a run, over all commands that share the store. Raises filelock.Timeout."""
        return locks.lock(self.file(".lock"), timeout)

    def is_locked(self, patience: float = 0) -> bool:
        """Whether a process works on the run, and still does after so many seconds."""
        return locks.is_held(self.file(".lock"), patience)

    def curves(self) -> dict[str, str]:
        """The hashes of the curves, which result.json keeps because curves are read long after they were written."""
        return {name: hashlib.sha256(self.file(name).read_bytes()).hexdigest() for name in CURVES}

    def curves_are_whole(self) -> bool:
        """Whether the curves of a trained run are as training left them, as far as that is known."""
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
        """Move results that cannot be read, or whose weights are needed and damaged, so that they are made again."""
        evaluation = self.evaluation_file(spec.evaluation).name
        for name, value in (("result.json", self.result()), (evaluation, self.scores(spec.evaluation))):
            if value is None and self.file(name).exists():
                self.set_aside(name, "was damaged")
        result = self.result()
        to_evaluate = result is not None and result.scorable and self.scores(spec.evaluation) is None
        if result is not None and (to_evaluate or weights_needed) and not self.weights_are_whole():
            self.set_aside("result.json", "is of weights that are damaged or missing, and they are needed")
        if self.result() is None:
            self.delete_evaluations()

    def delete_evaluations(self) -> None:
        """Delete what was measured with weights that are replaced: on a GPU new ones differ in the last bits."""
        for path in self.path.glob("evaluation-*.json"):
            path.unlink()

    def set_aside(self, name: str, why: str) -> None:
        """Rename a file and note it for the user."""
        self.file(name).replace(self.file(ASIDE + name))
        self.append("notes.txt", [f"{name} {why}: it is kept as {ASIDE}{name}, and made again"])

    def mark_active(self) -> None:
        """Write down that this process works on the run. A mark without a lock means that the process died."""
        write_atomic(self.file("running"), f"{os.getpid()} {os.getppid()} {socket.gethostname()}")

    def clear_active(self) -> None:
        self.file("running").unlink(missing_ok=True)

    def worker_died(self) -> bool:
        if not self.file("running").exists():
            return False
        return not self.is_locked(DYING if locks.has_flock(self.path) else locks.SILENCE)

    def worker(self) -> int | None:
        """The process that works on the run, where that is a child of this one."""
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
    """A file of a run; None where it is missing or damaged."""
    try:
        return unsealed(path.read_bytes(), kind)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, Damaged):
        return None


@dataclass(frozen=True)
class Store:
    """The folder that a command works in: `runs/`, and for others `experiments/` and `reports/`."""

    root: Path

    def run(self, run_id: str) -> RunFolder:
        return RunFolder(self.root / "runs" / run_id)

    def records(self, study: str, setting: str) -> Path:
        """The folder of a setting's records."""
        return self.root / "experiments" / study / setting

    def done(self, spec: RunSpec) -> bool:
        return self.run(spec.id).done(spec)

    def freeze(self, specs: Iterable[RunSpec]) -> list[str]:
        """Write down what each run that is not done is to train, so that no later edit changes it.

        Returns the ids of the trainings on which there is work to do, parents before those that learn from them.
        """
        specs = list(specs)
        for spec in specs:
            sweep(self.run(spec.id).path)
        todo = [spec for spec in specs if not self.done(spec)]
        needed = {parent for spec in todo for parent in spec.parents}
        for spec in specs:
            folder = self.run(spec.id)
            if spec in todo or spec.id in needed or folder.task() is None:
                folder.path.mkdir(parents=True, exist_ok=True)
                with locks.lock(folder.file(".freezing")):
                    self._freeze(folder, spec, spec.id in needed)
        return in_order([spec for spec in specs if not self.done(spec)])

    def _freeze(self, folder: RunFolder, spec: RunSpec, weights_needed: bool) -> None:
        """Another command may be training the same run and evaluate it in another way: both evaluations are kept."""
        config = config_to_plain(spec.config)
        earlier = folder.task()
        evaluations = dict(earlier.evaluations) if earlier else {}
        evaluations[spec.evaluation] = config
        try:
            with folder.lock(0):
                for name in ("failure.txt", "notes.txt", "running"):
                    folder.file(name).unlink(missing_ok=True)  # of an earlier try
                folder.set_damaged_aside(spec, weights_needed)
        except Timeout:
            config = earlier.config if earlier else config
        task = Task(
            version=VERSION,
            meaning=MEANING,
            seed=spec.seed,
            corpus=spec.corpus,
            config=config,
            parents=list(spec.parents),
            evaluations=evaluations,
            plugins=described(spec.config, paths=True),
        )
        folder.write("run.json", task)

    def check_writable(self) -> None:
        """Raise BadInput now rather than fail after an hour."""
        for path in (self.root, *(self.root / name for name in WRITTEN)):
            if os.path.lexists(path) and not path.is_dir():
                raise BadInput(f"{path} is not a folder: move it away, or name another root with root=DIR")
        try:
            for name in WRITTEN:
                (self.root / name).mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=self.root / name) as file:  # without a name, where the system can
                    file.write(b"?")
        except OSError as error:
            raise BadInput(
                f"root={self.root} cannot be written to: {error.strerror}; name another with root=DIR"
            ) from None


def in_order(specs: Iterable[RunSpec]) -> list[str]:
    """The ids of trainings, each once, parents before those that learn from them."""
    parents = {spec.id: spec.parents for spec in specs}
    return [run for run in TopologicalSorter(parents).static_order() if run in parents]
