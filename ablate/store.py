"""What is on disk: a folder for each run. A run is done when its result has been renamed into place, whatever any
process believes."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate.config import BadInput, Config
from ablate.plain import config_to_plain
from ablate.study import RunSpec, evaluation_id

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


def write_atomic(path: Path, content: str | bytes) -> None:
    """Put a file in place whole or not at all, and on the disk before it bears its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def strict(value: Any) -> Any:
    """The value with None for every number that JSON does not have: nan and the infinities."""
    if isinstance(value, dict):
        return {key: strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


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
    running           the process of the worker that is at it
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
        """A JSON file of the folder; None where there is none."""
        try:
            return json.loads(self.file(name).read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, name: str, value: Any) -> None:
        write_atomic(self.file(name), json.dumps(strict(value), allow_nan=False))

    def append(self, name: str, lines: Iterable[str]) -> None:
        with self.file(name).open("a") as file:
            file.write("".join(f"{line}\n" for line in lines))

    def lines(self, name: str) -> list[str]:
        """The complete lines of a file that may still be written to."""
        try:
            text = self.file(name).read_text()
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

    def enter(self) -> None:
        """Say that a worker is at it: what is still said after the worker's death is how that is known."""
        self.file("running").write_text(str(os.getpid()))

    def left(self) -> None:
        self.file("running").unlink(missing_ok=True)

    def under_way(self) -> bool:
        return self.file("running").exists()

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
            if not folder.done(spec.config):
                run = {"corpus": spec.corpus, "seed": spec.seed, "config": config_to_plain(spec.config)}
                folder.write("run.json", run)
                for name in ("failure.txt", "notes.txt", "running"):
                    folder.file(name).unlink(missing_ok=True)  # of an earlier try
                todo.append(spec.id)
        return todo

    def check_writable(self) -> None:
        """Raise BadInput now rather than fail after an hour."""
        try:
            for name in ("runs", "experiments", "reports"):
                write_atomic(self.root / name / ".writable", "")
                (self.root / name / ".writable").unlink()
        except OSError as error:
            raise BadInput(
                f"root={self.root} cannot be written to: {error.strerror}; name another with root=DIR"
            ) from None
