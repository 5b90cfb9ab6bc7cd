"""The measurements besides throughput: another checkout, the hardware's limit, growth, the store, a whole study."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ablate.benchmark.measurements import StoreCost
from ablate.benchmark.processes import CHECKOUT, Failed, Subject, answer_of, together, with_path
from ablate.benchmark.throughput import Say
from ablate.benchmark.workload import Workload, prepared, recipe
from ablate.config import BadInput

MEMBERS = {False: (1, 2, 4), True: (1, 2)}  # by whether the benchmark is quick
STORES = {False: (10, 1_000, 10_000), True: (10,)}
FAKED = ("+sweep=norm_placement", "data=fixture", "preset=smoke", "across={train.updates:[10,20,30,40,50]}")
CELLS = 10  # of FAKED: two variants at five levels
PLANS = {False: 3, True: 1}  # times that planning is timed
LAPTOP = ("+sweep=norm_placement", "preset=laptop")


def against(work: Workload, other: Path, overrides: Sequence[str], rounds: int, say: Say) -> dict[str, Any]:
    """Lone runs of one thread, A B A B: this ablate and that of another checkout. Raises BadInput, Failed."""
    fingerprint = prepared(recipe(overrides, work.quick), other)
    ours = Subject("own", work.asked("training"))
    theirs = Subject("own", work.asked("training") | {"corpus": fingerprint}, checkout=other)
    rates: dict[str, list[float]] = {"ours": [], "theirs": []}
    commit = None
    for number in range(rounds):
        for name, subject in (("ours", ours), ("theirs", theirs)):
            answer = answer_of(subject)
            if Path(answer["ablate"]).resolve().parents[1] != subject.checkout.resolve():
                raise Failed(f"another ablate was imported than that of {name}")
            rates[name].append(answer["tokens"] / answer["seconds"])
            commit = answer["commit"] if name == "theirs" else commit
        say(
            f"against, round {number + 1} of {rounds}: {rates['ours'][-1]:,.0f} tokens a second beside "
            f"{rates['theirs'][-1]:,.0f}"
        )
    return {**rates, "commit": commit}


def check_checkout(folder: Path) -> None:
    if not (folder / "ablate" / "__init__.py").is_file():
        raise BadInput(f"against={folder} is no checkout of ablate: it must be a folder that has ablate/__init__.py")


def limit(work: Workload, rounds: int) -> dict[str, Any]:
    return answer_of(Subject("attainable", work.asked("limit", rounds=rounds, quick=work.quick)))


def gpu(work: Workload, rounds: int) -> dict[str, Any]:
    """The same training in bf16 on a GPU, with its limits: products, memory traffic."""
    asked = work.asked("limit", rounds=rounds, quick=work.quick, device="cuda", precision="bf16")
    found = answer_of(Subject("attainable", asked))
    one = answer_of(Subject("own", work.asked("training", device="cuda", precision="bf16")))
    best = [max(products.values()) for products in found["products"]]
    floor = [max(found["operations"] / peak, found["bytes"] / found["bandwidth"]) for peak in best]
    return {
        **found,
        "floor": floor,
        "tokens_a_second": one["tokens"] / one["seconds"],
        "training_memory": one["memory"],
    }


def growth(work: Workload, rounds: int, say: Say) -> dict[str, dict[str, list[float]]]:
    """Axis -> level -> seconds by round: of an update, or of so many runs side by side."""
    asked = work.asked(
        "growth", levels=levels(work), rounds=rounds, updates_a_turn=1 if work.quick else 3,
        vocabulary_size=work.vocabulary_size,
    )  # fmt: skip
    found: dict[str, dict[str, list[float]]] = answer_of(Subject("growing_cost", asked))["seconds"]
    say("growth: depth, width, length and batch are measured")
    counts = MEMBERS[work.quick]
    members: dict[str, list[float]] = {str(count): [] for count in counts}
    for number in range(rounds):
        for count in counts[:: -1 if number % 2 else 1]:
            answers = together([Subject("own", work.asked("training"))] * count)
            members[str(count)].append(max(answer["seconds"] for answer in answers))
        say(f"growth: members side by side, round {number + 1} of {rounds}")
    return {"members": members, **found}


def levels(work: Workload) -> dict[str, dict[str, Any]]:
    """Each axis doubles from level to level; the others stay at the workload's model, 32 pairs and 16 tokens."""
    few = work.quick

    def cell(rows: int = 32, length: int = 16, **model: int) -> dict[str, Any]:
        return {"model": model, "rows": rows, "length": length}

    return {
        "depth": {str(n): cell(layers=n) for n in ((1, 2, 3) if few else (1, 2, 4, 8))},
        "width": {str(n): cell(d_model=n) for n in ((8, 16, 32) if few else (64, 128, 256, 512))},
        "length": {str(n): cell(length=n) for n in ((2, 4, 8) if few else (8, 16, 32, 64, 128))},
        "batch": {str(n): cell(rows=n) for n in ((2, 4, 8) if few else (8, 16, 32, 64, 128))},
    }


def store(quick: bool, say: Say) -> list[StoreCost]:
    """Planning and collecting a study whose runs are all in the store. Raises BadInput, Failed."""
    prepared(FAKED[1:3], CHECKOUT)
    found = []
    for count in STORES[quick]:
        with tempfile.TemporaryDirectory() as root:
            overrides = [*FAKED, f"seeds={max(1, count // CELLS)}", f"root={root}"]
            answer = answer_of(Subject("filled_store", {"overrides": overrides, "root": root}))
            plans = [seconds_of([*overrides, "dry_run=true"]) for _ in range(PLANS[quick])]
        found.append(StoreCost(runs=answer["runs"], planning=plans, collecting=[answer["seconds"]]))
        say(f"store of {count:,} runs: planning {min(plans):.2f} s, collecting {answer['seconds']:.2f} s")
    return found


def whole_study() -> float:
    """Seconds of a study from command to report, in an empty store; its corpus is prepared before."""
    prepared(["preset=laptop"], CHECKOUT)
    with tempfile.TemporaryDirectory() as root:
        return seconds_of([*LAPTOP, f"root={root}"])


def seconds_of(overrides: Sequence[str]) -> float:
    """Of a whole command. Raises Failed."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "ablate", *overrides],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env=os.environ | with_path(CHECKOUT),
    )
    if done.returncode:
        raise Failed((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][:200])
    return time.perf_counter() - began
