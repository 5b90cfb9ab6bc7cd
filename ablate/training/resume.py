"""Checkpoints from which an interrupted run resumes. They are written during training and deleted when it is done.

A checkpoint holds everything that later updates depend on, so that a resumed run ends with the same weights as one that
was never interrupted, bit for bit on a CPU. Batches need no state: they are a pure function of the update's number.
"""

from __future__ import annotations

import hashlib
import io
import time
from typing import Any

import torch

from ablate.store.ids import digest
from ablate.store.run_folder import RunFolder
from ablate.store.schema import Task
from ablate.training.checkpoints import Checkpoint
from ablate.training.loop import TrainState
from ablate.training.meter import Meter

NAME = "checkpoint.pt"
SHARE = 0.01  # largest share of training time that is spent on writing checkpoints
APPENDED = ("curve.csv", "validation.csv", "diagnostics.jsonl")


class Damaged(Exception):
    """A checkpoint that is incomplete or belongs to another run."""


class Resume:
    """Saves and restores one run. `task` is its run.json.

    A checkpoint belongs to a run if it has the run's id (which covers everything that determines training), its number
    of measurements and the hash of its corpus. The folder and the rest of the command may change between the two.
    """

    def __init__(
        self,
        folder: RunFolder,
        task: Task,
        corpus_hash: str | None,
        state: TrainState,
        kept: Checkpoint,
        meter: Meter,
    ) -> None:
        self.folder, self.mark = folder, digest([folder.id, task.config["diagnostics"], corpus_hash])
        self.state, self.kept, self.meter = state, kept, meter
        self.cost, self.saved = 0.0, time.perf_counter()

    def save(self, losses: list[float], now: bool = False) -> None:
        """Write the state, after a flush. Without `now`, skip this where it would take more than SHARE of the time."""
        began = time.perf_counter()
        if began - self.saved < self.cost / SHARE and not now:
            return
        lengths = {name: self.folder.file(name).stat().st_size for name in APPENDED if self.folder.file(name).exists()}
        value = {
            "mark": self.mark,
            "update": self.state.update,
            "micro_batches": self.state.micro_batches,
            "model": self.state.model.state_dict(),
            "optimizer": self.state.optimizer.state_dict(),
            "streams": self.state.streams.state(),
            "kept": self.kept.state(),
            "meter": self.meter.state(),
            "losses": list(losses),
            "lengths": lengths,
        }
        self.folder.write_file(NAME, sealed(packed(value)))
        self.saved = time.perf_counter()
        self.cost = self.saved - began

    def load(self) -> list[float] | None:
        """Restore the checkpoint and return the validation losses so far; None if there is no checkpoint.

        The run's files are truncated to their lengths at the checkpoint. After Damaged is raised the state is invalid.
        """
        path = self.folder.file(NAME)
        if not path.exists():
            return None
        try:
            content = io.BytesIO(unsealed(path.read_bytes()))
            value = torch.load(content, map_location="cpu", weights_only=True)
            if value["mark"] != self.mark:
                raise ValueError("it is of another run")
            lengths = {name: int(length) for name, length in value["lengths"].items()}
            if not set(lengths) <= set(APPENDED):
                raise ValueError("it names files that do not belong to a run")
            if any(self.folder.file(name).stat().st_size < length for name, length in lengths.items()):
                raise ValueError("the run's curves are shorter than at the checkpoint")
            self.restore(value)
        except Exception as error:  # zip, pickle and torch raise errors of many types
            raise Damaged(" ".join(str(error).split())[:120] or type(error).__name__) from error
        for name, length in lengths.items():
            with self.folder.file(name).open("rb+") as file:
                file.truncate(length)
        return [float(loss) for loss in value["losses"]]

    def restore(self, value: dict[str, Any]) -> None:
        self.state.model.load_state_dict(value["model"])
        self.state.optimizer.load_state_dict(value["optimizer"])
        self.state.streams.restore(value["streams"])
        self.kept.restore(value["kept"])
        self.meter.restore(value["meter"])
        self.state.update = int(value["update"])
        self.state.micro_batches = int(value["micro_batches"])

    def set_aside(self, error: Damaged) -> None:
        self.folder.set_aside(NAME, f"cannot be used ({error})")

    def finish(self) -> None:
        self.folder.file(NAME).unlink(missing_ok=True)


def packed(value: Any) -> bytes:
    """The bytes that torch.save writes."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def sealed(content: bytes) -> bytes:
    """The content followed by its hash, because torch does not notice a flipped bit in a tensor."""
    return content + hashlib.sha256(content).digest()


def unsealed(content: bytes) -> bytes:
    """The content without its hash. Raises ValueError if the hash does not match."""
    size = hashlib.sha256().digest_size
    if hashlib.sha256(content[:-size]).digest() != content[-size:]:
        raise ValueError("its hash is wrong")
    return content[:-size]
