"""Seconds of a training step at each level of depth, width, length and batch. Levels take turns in one process."""

from __future__ import annotations

import time

import torch

from ablate.benchmark.subjects.own import Answer, Asked, Measure, config_of, serve
from ablate.data.batches import Batch
from ablate.data.vocabulary import START
from ablate.training import machine
from ablate.training.loop import TrainState, step
from ablate.training.member import initial_state


def prepare(asked: Asked) -> Measure:
    """`levels`: axis -> level -> {model, rows, length}."""
    machine.keep_freed_memory()
    machine.use_one_thread()
    device, size = torch.device(asked["device"]), asked["vocabulary_size"]
    cells: dict[tuple[str, str], tuple[TrainState, Batch]] = {}
    for axis, levels in asked["levels"].items():
        for level, how in levels.items():
            config = config_of({**asked, "model": {**asked["model"], **how["model"]}})
            cells[axis, level] = initial_state(config, size, 0, device), batch_of(how["rows"], how["length"], size)
    for state, batch in cells.values():
        step(state, batch)

    def measure() -> Answer:
        found: dict[str, dict[str, list[float]]] = {axis: {} for axis in asked["levels"]}
        for number in range(asked["rounds"]):
            for axis, level in list(cells)[:: -1 if number % 2 else 1]:
                found[axis].setdefault(level, []).append(seconds_of(*cells[axis, level], asked["updates_a_turn"]))
        return {"seconds": found}

    return measure


def batch_of(rows: int, length: int, vocabulary_size: int) -> Batch:
    """Random tokens, all of them real."""
    generator = torch.Generator().manual_seed(0)
    source = torch.randint(4, vocabulary_size, (rows, length), generator=generator)
    target = torch.randint(4, vocabulary_size, (rows, length + 1), generator=generator)
    target[:, 0] = START
    return Batch(source, target)


def seconds_of(state: TrainState, batch: Batch, updates: int) -> float:
    began = time.perf_counter()
    for _ in range(updates):
        step(state, batch)
    return (time.perf_counter() - began) / updates


if __name__ == "__main__":
    serve(prepare)
