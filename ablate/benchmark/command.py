"""What the command does, part after part, and the record that it leaves."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from msgspec import structs

from ablate.benchmark import PARTS, jobs
from ablate.benchmark.measurements import Measurements, write
from ablate.benchmark.processes import Failed
from ablate.benchmark.surroundings import IDLE, busy_cores, machine, portable, versions
from ablate.benchmark.throughput import ENGINES, PEERS, in_turn, training_turns, translation_turns
from ablate.benchmark.workload import Workload, workload
from ablate.config import BadInput
from ablate.system.places import expanded

NEEDED = {"torch.nn.Transformer": "torch", "transformers' Marian": "transformers", "JoeyNMT": "joeynmt"}
PEER_PACKAGES = ("transformers", "accelerate", "ctranslate2")
INSTALL = 'pip install -e ".[benchmark]"'
JOEY = (
    "JoeyNMT is not installed and is left out: its metadata asks for protobuf<3.21, which W&B excludes, so install it "
    "by itself: pip install --no-deps joeynmt==2.3.0"
)

Job = Callable[[], Any]


@dataclass(frozen=True)
class Request:
    overrides: Sequence[str]
    parts: Sequence[str]
    peers: bool
    rounds: int
    updates: int
    against: Path | None
    study: bool
    quick: bool
    root: Path


def run(given: argparse.Namespace, root: Path) -> int:
    """Do what the command line asks for. Raises BadInput."""
    if given.page:
        from ablate.benchmark.page import rebuild

        print(rebuild(root))
        return 0
    parts = [part for part in given.parts.split(",") if part]
    for part in parts:
        if part not in PARTS:
            raise BadInput(f"parts={part} is unknown; there are {', '.join(PARTS)}")
    rounds = given.rounds if given.rounds is not None else 2 if given.quick else 3
    for key, value in (("rounds", rounds), ("updates", given.updates)):
        if value < 1:
            raise BadInput(f"{key}={value} must be at least 1")
    against = None if given.against is None else expanded(given.against, "against").resolve()
    overrides = [f"data={given.data}", *given.name]
    return measure(
        Request(overrides, parts, given.peers == "all", rounds, given.updates, against, given.study, given.quick, root)
    )


def measure(asked: Request) -> int:
    """Measure part after part; after each, write the record and the page. Raises BadInput."""
    if asked.against is not None:
        jobs.check_checkout(asked.against)
    frameworks, engines = contestants(asked)
    record = begun(asked)
    say(f"{record.workload.corpus}, {record.workload.vocabulary_size:,} tokens of vocabulary; {asked.rounds} rounds")
    if "JoeyNMT" not in frameworks and frameworks:
        record = structs.replace(record, failures={"JoeyNMT": JOEY})
    began = time.perf_counter()
    for part, job in chosen(asked, record.workload, frameworks, engines).items():
        say(f"{part} ...")
        try:
            record = structs.replace(record, **{part: job()})
        except Failed as error:
            record = structs.replace(record, failures={**record.failures, part: str(error)})
            say(f"{part} could not be measured: {error}")
        record = structs.replace(record, seconds=time.perf_counter() - began)
        path = write(asked.root, record)
        page = page_of(asked.root)
    say(f"{path}\n{page}")
    return 1 if set(record.failures) - {"JoeyNMT"} else 0


def page_of(root: Path) -> str:
    """Rebuild the page. Returns its path, or what it needs: machines with a GPU often have only what training needs."""
    try:
        from ablate.benchmark.page import rebuild
    except ModuleNotFoundError as error:
        return f"the page needs {error.name}, which is not installed here; python -m ablate.benchmark --page makes it"
    return str(rebuild(root))


def begun(asked: Request) -> Measurements:
    """The record before anything is measured."""
    busy = busy_cores()
    if busy is not None and busy > IDLE:
        say(f"other processes keep {busy} cores busy: what is measured beside them is not comparable")
    return Measurements(
        command=shlex.join(["python", "-m", "ablate.benchmark", *portable(sys.argv[1:])]),
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=0.0,
        machine=machine(),
        versions=versions(),
        busy=busy,
        rounds=asked.rounds,
        workload=workload(asked.overrides, asked.quick, asked.updates),
    )


def chosen(asked: Request, work: Workload, frameworks: Sequence[str], engines: Sequence[str]) -> dict[str, Job]:
    """Field of the record -> what measures it."""
    rounds, other = asked.rounds, asked.against
    known: dict[str, Job] = {
        "training": lambda: in_turn("training", training_turns(work, frameworks), work, rounds, say),
        "translation": lambda: in_turn("translation", translation_turns(work, frameworks, engines), work, rounds, say),
        "limit": lambda: jobs.limit(work, rounds),
        "growth": lambda: jobs.growth(work, rounds, say),
        "store": lambda: jobs.store(asked.quick, say),
        "gpu": lambda: jobs.gpu(work, rounds),
    }
    found = {part: known[part] for part in asked.parts if part != "gpu" or has_gpu()}
    if other is not None:
        found["against"] = lambda: jobs.against(work, other, asked.overrides, rounds, say)
    if asked.study:
        found["study_seconds"] = jobs.whole_study
    if not found:
        raise BadInput("nothing to measure: give parts=, against= or --study")
    return found


def contestants(asked: Request) -> tuple[list[str], list[str]]:
    """The peers to measure. Raises BadInput where packages of the extra are missing; JoeyNMT may be."""
    if not asked.peers or not {"training", "translation"} & set(asked.parts):
        return [], []
    missing = [name for name in PEER_PACKAGES if find_spec(name) is None]
    if missing:
        raise BadInput(
            f"{', '.join(missing)} not installed, which peers need: {INSTALL}; or measure ablate alone with peers=none"
        )
    frameworks = [peer for peer in PEERS if find_spec(NEEDED[peer]) is not None]
    if "JoeyNMT" not in frameworks:
        say(JOEY)
    return frameworks, [*ENGINES]


def has_gpu() -> bool:
    if not torch.cuda.is_available():
        say("gpu: there is none here, so this part is left out")
        return False
    return True


def say(line: str) -> None:
    print(line, flush=True)
