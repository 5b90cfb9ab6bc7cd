"""How fast the runs of a store were trained: an index, so that a forecast need not read every result.

`runs/.speeds.jsonl` has a line for each run, appended when its training ends. Only forecasts read it, so a line that is
lost, damaged or out of date does no harm. If the file is missing, it is made from the results in the store.
"""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.structs import asdict

from ablate.store.folders import Store
from ablate.store.schema import Damaged, TrainingResult, decoded
from ablate.system.atomic import write_atomic

NAME = ".speeds.jsonl"
ALIKE = 6  # runs that a forecast averages, and that the index therefore keeps of each kind
MOST = 512  # lines that the index keeps
LARGEST = 128 * 1024  # bytes above which lines that no forecast needs are dropped


class Speed(Struct, frozen=True):
    device: str  # kind of device: cpu, cuda, mps
    layers: Annotated[int, Meta(gt=0)]
    parameters: Annotated[int, Meta(gt=0)]
    tokens_per_second: Annotated[float, Meta(gt=0)]

    @staticmethod
    def of(config: dict[str, Any], result: TrainingResult) -> Speed | None:
        """From a run's configuration and result; None if no speed was measured."""
        tokens = result.tokens_per_second
        if not tokens:
            return None
        return Speed(str(result.provenance["device"]), config["model"]["layers"], result.parameters, tokens)

    def line(self) -> str:
        return json.dumps(asdict(self)) + "\n"


def record(runs: Path, config: dict[str, Any], result: TrainingResult) -> None:
    """Add a run that has just been trained to the index of the folder `runs`. Never raises OSError.

    Several processes may call this at once: each line is appended by a single write.
    """
    speed, path = Speed.of(config, result), runs / NAME
    if speed is None:
        return
    with contextlib.suppress(OSError):
        with path.open("ab", buffering=0) as file:
            file.write(speed.line().encode())
        if path.stat().st_size > LARGEST:
            write(path, needed(read(path)))


def speeds(store: Store) -> list[Speed]:
    """The speeds of the runs in the store, the latest of each kind. Reads the results only if there is no index."""
    path = store.root / "runs" / NAME
    if path.exists():
        return read(path)
    if not path.parent.is_dir():
        return []
    found = needed(measured(store))
    with contextlib.suppress(OSError):  # the store may be read-only
        write(path, found)
    return found


def forget(store: Store) -> None:
    """Delete the index, so that the next forecast makes it anew from the results."""
    (store.root / "runs" / NAME).unlink(missing_ok=True)


def measured(store: Store) -> Iterator[Speed]:
    for path in sorted(store.root.glob("runs/*/result.json")):
        folder = store.run(path.parent.name)
        result, task = folder.result(), folder.task()
        if result is not None and task is not None and (speed := Speed.of(task.config, result)):
            yield speed


def needed(found: Iterable[Speed]) -> list[Speed]:
    """The speeds that forecasts use: the last ALIKE runs of each kind, and at most MOST in all."""
    kinds: dict[tuple[str, int, int], list[Speed]] = defaultdict(list)
    for speed in found:
        kind = kinds.pop((speed.device, speed.layers, speed.parameters), [])
        kinds[speed.device, speed.layers, speed.parameters] = [*kind, speed][-ALIKE:]  # the latest kind comes last
    return [speed for kind in kinds.values() for speed in kind][-MOST:]


def read(path: Path) -> list[Speed]:
    """The speeds in an index, without damaged lines."""
    found = []
    with contextlib.suppress(OSError):
        for line in path.read_bytes().decode(errors="replace").splitlines():
            with contextlib.suppress(Damaged):
                found.append(decoded(line, Speed))
    return found


def write(path: Path, found: Iterable[Speed]) -> None:
    write_atomic(path, "".join(speed.line() for speed in found))
