"""Measures what the cells of a study cost to train: `python -m ablate.training.probe` reads and writes JSON.

It is a separate process, so that the memory and threads of the command do not affect it. Cells take turns at a few
real updates on the same batches, so that drift (heat, clock rates, other processes) affects all of them alike. Updates
before the first round do not count. On a CPU it uses one thread, as runs do.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import torch

from ablate.config import Config, ModelConfig
from ablate.data.batches import Batch, Batches
from ablate.data.corpus import Corpus
from ablate.model import build, smallest
from ablate.store.plain import config_from_plain
from ablate.store.plugin_files import load
from ablate.training import machine
from ablate.training.loop import TrainState, step
from ablate.training.member import initial_state

ROUNDS, FEWEST_ROUNDS = 7, 3
MOST_UPDATES = 5  # updates of a cell in a round
BUDGET = 12.0  # seconds for all rounds, unless the fewest take longer


def main() -> None:
    """Reads {device, plugins, cells: {name: {config, corpus, teachers}}}; writes what `probe` returns."""
    asked = json.load(sys.stdin)
    load(asked["plugins"])
    print(json.dumps(probe(asked["cells"], torch.device(asked["device"]))))


def probe(cells: dict[str, dict[str, Any]], device: torch.device) -> dict[str, Any]:
    """Of each cell, by round, the `seconds` and the target `tokens` of an update, and the `memory` that training takes.

    Memory is the most that training adds, in bytes: weights, optimiser state, and activations of the largest batch;
    None if it cannot be measured. `others` is the number of cores that other processes kept busy at the same time.
    """
    machine.use_one_thread()
    machine.keep_freed_memory()
    corpora = {cell["corpus"]: Corpus.load(cell["corpus"]) for cell in cells.values()}
    configs = {name: config_from_plain(cell["config"]) for name, cell in cells.items()}
    batches = {
        (corpus, size): Batches(corpora[corpus].train, size, device)
        for corpus, size in {(cell["corpus"], configs[name].train.batch_tokens) for name, cell in cells.items()}
    }
    turns = {}
    for name, cell in cells.items():
        vocabulary_size = corpora[cell["corpus"]].metadata["vocabulary_size"]
        teachers = [ModelConfig(**model) for model in cell["teachers"]]
        of_corpus = batches[cell["corpus"], configs[name].train.batch_tokens]
        turns[name] = Turns(configs[name], teachers, vocabulary_size, of_corpus, device)
    memory = {name: MEMORY.get(device.type, unknown)(each, device) for name, each in turns.items()}
    for each in turns.values():
        each.take(1)
    updates, rounds = affordable(sum(each.take(1)[0] for each in turns.values()))

    others = machine.work_of_others()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in turns}
    for number in range(rounds):
        for name in list(turns)[:: -1 if number % 2 else 1]:
            taken[name].append(turns[name].take(updates))
    busy = others()
    return {
        "provenance": machine.provenance(device, next(iter(configs.values())).precision),
        "rounds": rounds,
        "updates_a_round": updates,
        "others": busy,
        "cells": {
            name: {
                "seconds": [float(f"{seconds:.4g}") for seconds, _ in measured],
                "tokens": [round(tokens, 1) for _, tokens in measured],
                "memory": memory[name],
            }
            for name, measured in taken.items()
        },
    }


def affordable(seconds: float) -> tuple[int, int]:
    """Number of updates of a cell in a round, and of rounds. `seconds` is the time of one update of every cell."""
    passes = BUDGET / seconds
    rounds = max(FEWEST_ROUNDS, min(ROUNDS, int(passes)))
    return max(1, min(MOST_UPDATES, int(passes / rounds))), rounds


class Turns:
    """The training of one cell, a few updates at a time. Its model is built at first use."""

    def __init__(
        self,
        config: Config,
        teachers: Sequence[ModelConfig],
        vocabulary_size: int,
        batches: Batches,
        device: torch.device,
    ) -> None:
        self.config, self.teachers, self.vocabulary_size = config, teachers, vocabulary_size
        self.batches, self.device = batches, device
        self.state: TrainState | None = None

    def fresh(self, config: Config) -> TrainState:
        """The beginning of a training; teachers are as large as the real ones, but not trained."""
        teachers = [build(teacher, self.vocabulary_size).to(self.device) for teacher in self.teachers]
        return initial_state(config, self.vocabulary_size, 0, self.device, teachers)

    def take(self, updates: int) -> tuple[float, float]:
        """Seconds and target tokens per update, as means over so many updates."""
        if self.state is None:
            self.state = self.fresh(self.config)
        self.wait()
        began, measured = time.perf_counter(), []
        for _ in range(updates):
            if self.state.update == self.config.train.updates:
                self.state.update = 0  # schedules are not defined beyond their last update
            measured.append(step(self.state, self.batches.at(self.state.update, seed=0)))
        self.wait()
        seconds = time.perf_counter() - began
        return seconds / updates, sum(each[2].item() for each in measured) / updates

    def train_largest(self) -> None:
        """Two updates, the second with the optimiser's state in place, on the batch that takes most room."""
        state = self.fresh(self.config)
        for _ in range(2):
            step(state, self.batches.largest())

    def train_tiny(self) -> None:
        """The same with the smallest model of this kind, so that torch's code is loaded before memory is measured."""
        batch = self.batches.largest()
        small = Batch(batch.source[:1], batch.target[:1])
        state = self.fresh(replace(self.config, model=smallest(self.config.model)))
        for _ in range(2):
            step(state, small)

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def of_gpu(turns: Turns, device: torch.device) -> int:
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    turns.train_largest()
    return torch.cuda.max_memory_allocated(device) - before


def of_cpu(turns: Turns, device: torch.device) -> int | None:
    """Growth of the resident set of a new process, forked before this one has trained anything."""
    if sys.platform != "linux":
        return None  # elsewhere a forked process has no known peak, or torch does not survive a fork
    context = get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=grow, args=(turns, device, sender))
    child.start()
    sender.close()
    try:
        return int(receiver.recv())
    except EOFError:  # the process was killed, for example because memory ran out
        return None
    finally:
        child.join()


def grow(turns: Turns, device: torch.device, sender: Connection) -> None:
    turns.train_tiny()
    machine.reset_peak_memory(device)
    before = machine.peak_memory(device)
    turns.train_largest()
    after = machine.peak_memory(device)
    assert before is not None
    assert after is not None
    sender.send(after - before)


def unknown(turns: Turns, device: torch.device) -> None:
    return None


MEMORY: dict[str, Callable[[Turns, torch.device], int | None]] = {"cuda": of_gpu, "cpu": of_cpu}

if __name__ == "__main__":
    main()
