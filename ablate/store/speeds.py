"""How fast the runs of a store were trained: an index, so that a forecast need not read every result.

`runs/.speeds.jsonl` has a line a run, appended when its training ends. It serves forecasts and nothing else, so a line
that is lost, damaged or out of date does no harm. Without the file, it is made from the results in the store.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ablate.store.folders import Store
from ablate.store.schema import TrainingResult
from ablate.system.atomic import write_atomic

NAME = ".speeds.jsonl"
ALIKE = 6  # runs that a forecast goes by, and that the index therefore keeps of each kind
MOST = 512  # lines that the index keeps
LARGEST = 128 * 1024  # bytes, at which lines that nobody needs are dropped


@dataclass(frozen=True)
class Speed:
    device: str  # kind of device: cpu, cuda, mps
    layers: int
    parameters: int
    tokens_per_second: float

    @staticmethod
    def of(config: dict[str, Any], result: TrainingResult) -> Speed | None:
        """From a run's configuration and result; None where no speed was measured."""
        tokens = result.tokens_per_second
        if not tokens:
            return None
        return Speed(str(result.provenance["device"]), config["model"]["layers"], result.parameters, tokens)

    @staticmethod
    def read(line: str) -> Speed | None:
        """From a line of the index; None where it is damaged."""
        try:
            found = Speed(**json.loads(line))
            numbers = (found.layers, found.parameters, found.tokens_per_second)
            return found if all(math.isfinite(number) and number > 0 for number in numbers) else None
        except (ValueError, TypeError):
            return None

    def line(self) -> str:
        return json.dumps(asdict(self)) + "\n"


def record(runs: Path, config: dict[str, Any], result: TrainingResult) -> None:
    """Add a run that has just been trained to the index of the folder `runs`. Never raises OSError.

    Several processes may do so at once: a line is one write to the end of the file.
    """
    speed, path = Speed.of(config, result), runs / NAME
    if speed is None:
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(descriptor, speed.line().encode())
        finally:
            os.close(descriptor)
        if path.stat().st_size > LARGEST:
            write(path, needed(read(path)))


def speeds(store: Store) -> list[Speed]:
    """Those of the runs in the store, the latest of each kind; from the results only where there is no index."""
    path = store.root / "runs" / NAME
    if path.exists():
        return read(path)
    if not path.parent.is_dir():
        return []
    found = needed(measured(store))
    with contextlib.suppress(OSError):  # a store that may only be read
        write(path, found)
    return found


def forget(store: Store) -> None:
    """Delete the index, so that the next forecast makes it anew from the results."""
    (store.root / "runs" / NAME).unlink(missing_ok=True)


def measured(store: Store) -> Iterable[Speed]:
    for path in sorted(store.root.glob("runs/*/result.json")):
        folder = store.run(path.parent.name)
        result, task = folder.result(), folder.task()
        if result is not None and task is not None and (speed := Speed.of(task.config, result)):
            yield speed


def needed(found: Iterable[Speed]) -> list[Speed]:
    """Without those that no forecast goes by: of each kind of run the last few, and of all so many."""
    kinds: dict[tuple[str, int, int], list[Speed]] = defaultdict(list)
    for speed in found:
        kind = kinds.pop((speed.device, speed.layers, speed.parameters), [])
        kinds[speed.device, speed.layers, speed.parameters] = [*kind, speed][-ALIKE:]  # the latest kind comes last
    return [speed for kind in kinds.values() for speed in kind][-MOST:]


def read(path: Path) -> list[Speed]:
    try:
        lines = path.read_bytes().decode(errors="replace").splitlines()
    except OSError:
        return []
    return [speed for line in lines if (speed := Speed.read(line)) is not None]


def write(path: Path, found: Iterable[Speed]) -> None:
    write_atomic(path, "".join(speed.line() for speed in found))
