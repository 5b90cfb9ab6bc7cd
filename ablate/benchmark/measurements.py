"""What a command of the benchmark found, as it lies in `experiments/benchmark/`: a JSON file a command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ablate.benchmark.workload import Workload
from ablate.config import BadInput
from ablate.system.atomic import write_atomic

FOLDER = Path("experiments") / "benchmark"
VERSION = 1
NAMES = {"installed": "as installed", "tuned": "tuned"}


class Rates(Struct, frozen=True, kw_only=True):
    """A subject's rates by round: target tokens or sentences a second. Empty where it could not be measured."""

    subject: str
    batches: str = "ours"  # whose: ours, own
    malloc: str = "tuned"  # installed, tuned
    processes: int = 1
    threads: int = 1  # of all processes together
    rates: list[float] = []
    failure: str | None = None
    note: str | None = None

    @property
    def name(self) -> str:
        if self.subject.startswith(("ablate", "CTranslate2")):
            return self.subject
        whose = "its own" if self.batches == "own" else "ablate's"
        return f"{self.subject}, {whose} batches, malloc {NAMES[self.malloc]}"


class StoreCost(Struct, frozen=True, kw_only=True):
    runs: int
    planning: list[float]  # seconds of whole commands
    collecting: list[float]  # seconds


class Measurements(Struct, frozen=True, kw_only=True, omit_defaults=True):
    version: int = VERSION
    command: str
    started_at: str
    seconds: float
    machine: dict[str, Any]
    versions: dict[str, str]
    busy: float | None = None  # cores that other processes kept busy just before
    rounds: int
    workload: Workload
    training: list[Rates] = []
    translation: list[Rates] = []
    against: dict[str, Any] | None = None
    limit: dict[str, Any] | None = None
    gpu: dict[str, Any] | None = None
    growth: dict[str, dict[str, list[float]]] = {}  # axis -> level -> seconds by round
    store: list[StoreCost] = []
    study_seconds: float | None = None
    failures: dict[str, str] = {}  # part -> why it was not measured


def write(root: Path, found: Measurements) -> Path:
    stamp = found.started_at.replace(":", "").replace("+0000", "")
    path = root / FOLDER / f"{stamp}{'-quick' if found.workload.quick else ''}.json"
    plain = msgspec.to_builtins(found)
    write_atomic(path, json.dumps(rounded(plain), indent=1, ensure_ascii=False) + "\n")
    return path


def rounded(value: Any) -> Any:
    """Floats of five digits: the measurements have no more."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list | tuple) else value


def read_all(root: Path) -> list[tuple[str, Measurements]]:
    """File name and content of every record, the oldest first; quick ones only where there are no others.

    Raises BadInput for a file that cannot be read.
    """
    found = []
    for path in sorted((root / FOLDER).glob("*.json")):
        try:
            found.append((path.name, msgspec.json.decode(path.read_bytes(), type=Measurements)))
        except msgspec.MsgspecError as error:
            raise BadInput(f"{path} is no record of the benchmark: {error}") from None
    full = [(name, each) for name, each in found if not each.workload.quick]
    return full or found
