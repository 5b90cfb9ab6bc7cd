"""What the command does, part after part, and the record that it leaves."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ablate.benchmark import jobs
from ablate.benchmark.measurements import Measurements, write
from ablate.benchmark.page import rebuild
from ablate.benchmark.processes import Failed
from ablate.benchmark.throughput import ENGINES, PEERS, cores, in_turn, training_turns, translation_turns
from ablate.benchmark.workload import workload
from ablate.config import BadInput

NEEDED = {"torch.nn.Transformer": "torch", "transformers' Marian": "transformers", "JoeyNMT": "joeynmt"}
LIBRARIES = ("torch", "numpy", "tokenizers", "transformers", "accelerate", "ctranslate2", "joeynmt")
PATHS = ("data.path", "root", "against")  # keys whose values are paths
PEER_PACKAGES = ("transformers", "accelerate", "ctranslate2")
LOOK, IDLE = 2.0, 0.1  # seconds, and cores that an idle machine may keep busy
INSTALL = 'pip install -e ".[benchmark]"'
JOEY = (
    "JoeyNMT is not installed and is left out: its metadata asks for protobuf<3.21, which W&B excludes, so install it "
    "by itself: pip install --no-deps joeynmt==2.3.0"
)


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


def measure(asked: Request) -> int:
    """Measure, write the record and the page. Raises BadInput."""
    if asked.against is not None:
        jobs.check_checkout(asked.against)
    frameworks, engines = contestants(asked)
    from ablate.training.machine import device_name, memory_limit

    busy = busy_cores()
    began, started = time.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")
    work = workload(asked.overrides, asked.quick, asked.updates)
    say(f"{work.corpus}, {work.vocabulary_size:,} tokens of vocabulary; {asked.rounds} rounds")
    rounds = asked.rounds
    todo: dict[str, Callable[[], Any]] = {
        "training": lambda: in_turn("training", training_turns(work, frameworks), work, rounds, say),
        "translation": lambda: in_turn("translation", translation_turns(work, frameworks, engines), work, rounds, say),
        "limit": lambda: jobs.limit(work, rounds),
        "growth": lambda: jobs.growth(work, rounds, say),
        "store": lambda: jobs.store(asked.quick, say),
        "gpu": lambda: jobs.gpu(work, rounds),
    }
    chosen = {part: todo[part] for part in asked.parts if part != "gpu" or has_gpu()}
    if asked.against is not None:
        other = asked.against
        chosen["against"] = lambda: jobs.against(work, other, asked.overrides, rounds, say)
    if asked.study:
        chosen["study_seconds"] = jobs.whole_study

    found: dict[str, Any] = {}
    failures: dict[str, str] = {}
    for part, job in chosen.items():
        say(f"{part} ...")
        try:
            found[part] = job()
        except Failed as error:
            failures[part] = str(error)
            say(f"{part} could not be measured: {error}")
    import torch

    record = Measurements(
        command=shlex.join(["python", "-m", "ablate.benchmark", *portable(sys.argv[1:])]),
        started_at=started,
        seconds=time.perf_counter() - began,
        machine={
            "processor": device_name(torch.device("cpu")),
            "cores": cores(),
            "memory": memory_limit(),
            "platform": f"{platform.system()} {platform.machine()}",
        },
        versions=versions(),
        busy=busy,
        rounds=rounds,
        workload=work,
        failures=failures,
        **found,
    )
    say(str(write(asked.root, record)))
    say(str(rebuild(asked.root)))
    return 1 if failures else 0


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


def busy_cores() -> float | None:
    """Cores that other processes keep busy now. Measurements are worth little if there are any."""
    from ablate.training.machine import work_of_others

    others = work_of_others()
    time.sleep(LOOK)
    busy = others()
    if busy is not None and busy > IDLE:
        say(f"other processes keep {busy} cores busy: measurements beside them are not comparable")
    return busy


def has_gpu() -> bool:
    import torch

    if not torch.cuda.is_available():
        say("gpu: there is none here, so this part is left out")
        return False
    return True


def versions() -> dict[str, str]:
    """Of the libraries that are installed, and the commit of ablate."""
    from ablate.training.machine import commit

    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        if find_spec(name) is not None:
            found[name] = importlib.metadata.version(name)
    known = commit()
    return {**found, "ablate": f"{known['commit'] or 'no commit'}{', changed' if known['dirty'] else ''}"}


def portable(arguments: Sequence[str]) -> list[str]:
    """The command line without paths of this machine."""
    shown: list[str] = []
    for each in arguments:
        key, equals, _ = each.partition("=")
        if shown and shown[-1] in [f"--{path}" for path in PATHS]:
            shown.append("...")
        else:
            shown.append(f"{key}=..." if equals and key.removeprefix("--") in PATHS else each)
    return shown


def say(line: str) -> None:
    print(line, flush=True)
