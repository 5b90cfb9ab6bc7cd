"""What is on disk: a folder for each run. A run is done when its result has been renamed into place, whatever any
process believes."""

from __future__ import annotations

import hashlib
import json
import math
import os
import socket
import tempfile
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, Timeout

from ablate.config import BadInput, Config
from ablate.store.ids import RunSpec, evaluation_id
from ablate.store.plain import config_to_plain
from ablate.store.plugin_files import described
from ablate.system import locks
from ablate.system.atomic import sweep, write_atomic

RESULT_COLUMNS = {  # of results.csv with their types, before a column for each factor
    "study": "str",
    "setting": "str",
    "variant": "str",
    "seed": "Int64",
    "run_id": "str",
    "status": "str",
    "learned": "Int64",
    "test_bleu": "float64",
    "test_bleu_greedy": "float64",
    "test_bleu_lower": "float64",
    "test_chrf": "float64",
    "test_loss": "float64",
    "validation_loss": "float64",
    "parameters": "Int64",
    "flops_per_token": "float64",
    "peak_memory": "Int64",
    "tokens_per_second": "float64",
    "seconds": "float64",
}
ALSO = ("diverged_at", "best_update", "best_validation_loss", "updates", "batch_real_share", "micro_batches")
BY_LAYER = ("parameter_counts", "diagnostics", "final_dead_units")  # kept in a file apart, since layers may be many
RECORD_KEYS = (*RESULT_COLUMNS, *ALSO, *BY_LAYER, "provenance", "corpus", "config")  # of a run's record, beside factors


SEAL = "sha256"  # the key of a JSON file's own hash
ASIDE = "damaged-"  # begins the name of a file that was set aside
CURVES = ("curve.csv", "validation.csv")
DYING = 3.0  # seconds that a worker which is being ended may still hold its run


def strict(value: Any) -> Any:
    """The value with None for every number that JSON does not have: nan and the infinities."""
    if isinstance(value, dict):
        return {key: strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def sealed(value: dict[str, Any]) -> str:
    """As JSON, with the hash of the rest at its end: a flipped bit may leave a number that is as good as another."""
    value = {key: item for key, item in value.items() if key != SEAL}
    text = json.dumps(value, allow_nan=False)
    return json.dumps(value | {SEAL: hashlib.sha256(text.encode()).hexdigest()}, allow_nan=False)


def unsealed(text: str) -> dict[str, Any]:
    """Raises ValueError where it is not whole, or not what was written. What was never sealed is believed."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("it is no object")
    seal = value.pop(SEAL, None)
    if seal not in (None, hashlib.sha256(json.dumps(value).encode()).hexdigest()):
        raise ValueError("its hash is wrong")
    return value


@dataclass(frozen=True)
class RunFolder:
    """`runs/<run id>/`.

    run.json          what to train, frozen before training starts
    curve.csv         a row an update, appended as training goes
    validation.csv    a row a validation
    diagnostics.jsonl an object a measurement
    weights.pt        the weights that the checkpoint rule kept
    result.json       how training ended
    result-<evaluation>.json  scores, hypotheses and losses on the test set
    .lock             locked by the worker that is at it; one that dies loses it (see ablate/system/locks.py)
    running           the process of the worker that is at it, or that died at it
    checkpoint.pt     where a run that is cut short goes on; gone when it is trained
    failure.txt       the traceback of a run that failed
    notes.txt         what the user should know of how it went, a line each
    """

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    def file(self, name: str) -> Path:
        return self.path / name

    def read(self, name: str) -> dict[str, Any] | None:
        """A JSON file of the folder; None where there is none, or a damaged one."""
        try:
            return unsealed(self.file(name).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
            return None

    def write(self, name: str, value: dict[str, Any]) -> None:
        write_atomic(self.file(name), sealed(strict(value)))

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

    def result(self) -> dict[str, Any] | None:
        return self.read("result.json")

    def scores(self, evaluation: str) -> dict[str, Any] | None:
        return self.read(f"result-{evaluation}.json")

    def trained(self, config: Config) -> bool:
        """Trained to its end, and looked into on the way where the configuration asks for that."""
        result = self.result()
        return result is not None and bool(result["diagnostics"] or not config.diagnostics.times)

    def done(self, config: Config) -> bool:
        """Trained, and where there is anything to score, scored."""
        result = self.result()
        if result is None or not self.trained(config):
            return False
        return not result["scorable"] or self.scores(evaluation_id(config)) is not None

    def lock(self, timeout: float = -1) -> BaseFileLock:
        """One process at a time is at a run, over all commands that share the store. Raises filelock.Timeout."""
        return locks.lock(self.file(".lock"), timeout)

    def taken(self, patience: float = 0) -> bool:
        """Whether a process is at it, and still is after so many seconds."""
        return locks.is_held(self.file(".lock"), patience)

    def curves(self) -> dict[str, str]:
        """The hashes of the curves, as result.json keeps them: they are read long after they were written."""
        return {name: hashlib.sha256(self.file(name).read_bytes()).hexdigest() for name in CURVES}

    def curves_are_whole(self) -> bool:
        """Whether those of a run that was trained are as it left them, as far as that is known."""
        try:
            return (self.result() or {}).get("curves") in (None, self.curves())
        except FileNotFoundError:
            return False

    def weights_are_whole(self) -> bool:
        try:
            with zipfile.ZipFile(self.file("weights.pt")) as archive:  # torch reads a flipped bit without a word
                return archive.testzip() is None
        except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
            return False

    def set_aside_what_is_damaged(self, config: Config) -> None:
        """Results that cannot be believed, and one whose weights are to be scored and cannot: they are made anew."""
        scores = f"result-{evaluation_id(config)}.json"
        for name in ("result.json", scores):
            if self.file(name).exists() and self.read(name) is None:
                self.set_aside(name, "was damaged")
        if self.trained(config) and self.read(scores) is None and not self.weights_are_whole():
            self.set_aside("result.json", "is of weights that are damaged or gone, and not scored")
        if self.result() is None:
            for path in self.path.glob("result-*.json"):  # of weights that will not come again bit for bit on a GPU
                path.unlink()

    def set_aside(self, name: str, why: str) -> None:
        """Out of the way, with a line in notes.txt."""
        self.file(name).replace(self.file(ASIDE + name))
        self.append("notes.txt", [f"{name} {why}: it is set aside as {ASIDE}{name}, and made anew"])

    def enter(self) -> None:
        """Say that this process is at it: what is still said after its death is how that is known."""
        write_atomic(self.file("running"), f"{os.getpid()} {os.getppid()} {socket.gethostname()}")

    def left(self) -> None:
        self.file("running").unlink(missing_ok=True)

    def died(self) -> bool:
        """Whether a worker has died at it."""
        if not self.file("running").exists():
            return False
        return not self.taken(DYING if locks.has_flock(self.path) else locks.SILENCE)

    def worker(self) -> int | None:
        """The process at it, where that is a child of this one."""
        try:
            process, parent, host = self.file("running").read_text(encoding="utf-8").split()
        except (OSError, ValueError):
            return None
        return int(process) if (int(parent), host) == (os.getpid(), socket.gethostname()) else None

    def failure(self) -> str | None:
        """The last line of a failed run's traceback."""
        lines = self.lines("failure.txt")
        return lines[-1] if lines else None


@dataclass(frozen=True)
class Store:
    """The folder that a command works in: `runs/` and, for others, `experiments/` and `reports/`."""

    root: Path

    def run(self, run_id: str) -> RunFolder:
        return RunFolder(self.root / "runs" / run_id)

    def freeze(self, specs: Iterable[RunSpec]) -> list[str]:
        """Write down what each run that is not done is to train, so that no later edit changes it. Their ids."""
        todo = []
        for spec in specs:
            folder = self.run(spec.id)
            sweep(folder.path)
            done = folder.done(spec.config)
            if not done or folder.read("run.json") is None:
                folder.path.mkdir(parents=True, exist_ok=True)
                with locks.lock(folder.file(".freezing")):
                    self._freeze(folder, spec)
            if not done:
                todo.append(spec.id)
        return todo

    def _freeze(self, folder: RunFolder, spec: RunSpec) -> None:
        """Another command may want the same run, be at it already, and score it in another way: both ways stay."""
        config = config_to_plain(spec.config)
        earlier = (folder.read("run.json") or {}).get("evaluations", {})
        evaluations = {**earlier, evaluation_id(spec.config): config["evaluation"]}
        try:
            with folder.lock(0):
                for name in ("failure.txt", "notes.txt", "running"):
                    folder.file(name).unlink(missing_ok=True)  # of an earlier try
                folder.set_aside_what_is_damaged(spec.config)
        except Timeout:
            config = (folder.read("run.json") or {}).get("config", config)
        frozen = {"corpus": spec.corpus, "seed": spec.seed, "config": config, "evaluations": evaluations}
        frozen |= described(spec.config, paths=True)
        folder.write("run.json", frozen)

    def check_writable(self) -> None:
        """Raise BadInput now rather than fail after an hour."""
        try:
            for name in ("runs", "experiments", "reports"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=self.root / name) as file:  # where it can be without a name, to be left
                    file.write(b"?")
        except OSError as error:
            raise BadInput(
                f"root={self.root} cannot be written to: {error.strerror}; name another with root=DIR"
            ) from None
