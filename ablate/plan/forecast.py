"""Estimate what a plan will take: parameters, operations, time, workers. Nothing is trained for this."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median

import joblib
import torch

from ablate.config import Config
from ablate.data.cache import cached_metadata
from ablate.model.flops import parameter_count
from ablate.plan.composition import Plan
from ablate.store.folders import Store
from ablate.training.machine import GIBIBYTE, memory_limit

CORE = 6e10  # operations per second of one CPU core on small models, used until a run has been measured
LAYER = 2.5e-3  # seconds per layer and update on one core, however small the layer: likewise
GPU_SHARE = 4 * GIBIBYTE  # memory reserved for each run that shares a GPU
WORKER = GIBIBYTE // 2  # memory of a worker, however small its model: torch and other libraries
ALIKE = 6  # runs that a forecast is based on
OPERATIONS = 6  # of training, per parameter and token.  Kaplan et al. 2020, arXiv:2001.08361


@dataclass(frozen=True)
class CellForecast:
    cell: str
    parameters: int
    runs: int
    done: int
    seconds: float | None  # of training one run; None where nothing is known of this device


@dataclass(frozen=True)
class Forecast:
    cells: list[CellForecast]
    workers: int
    seconds: float | None  # from now to the last run's end


def forecast(plan: Plan, store: Store, device: torch.device) -> Forecast:
    measured = measured_speeds(store, device)
    known = cached_metadata(plan.corpus) or {}
    vocabulary = known.get("vocabulary_size", plan.config.data.vocabulary_size)
    cells = []
    for cell in plan.cells:
        config = plan.configs[cell.name]
        specs = [spec for spec in plan.runs if spec.cell == cell.name]
        done = sum(store.run(spec.id).done(config) for spec in specs)
        parameters = parameter_count(config.model, vocabulary)
        operations = OPERATIONS * parameters * config.train.updates * config.train.batch_tokens
        speed = speed_of_like(measured, config.model.layers, parameters)
        seconds = operations / speed if speed else None
        if seconds is None and device.type == "cpu":
            seconds = operations / CORE + 2 * config.model.layers * config.train.updates * LAYER
        cells.append(CellForecast(cell.name, parameters, len(specs), done, seconds))
    todo = [cell.seconds for cell in cells for _ in range(cell.runs - cell.done)]
    count = workers(plan.config, device, len(todo))
    total = None if None in todo else schedule([seconds for seconds in todo if seconds is not None], count)
    return Forecast(cells, count, total)


def workers(config: Config, device: torch.device, runs: int) -> int:
    """How many runs train side by side: one per core, as far as memory allows, and never more than there are runs."""
    if config.workers != "auto":
        return max(1, min(int(config.workers), runs))
    cores = joblib.cpu_count()  # cores that this process may use, by its affinity and its container's quota
    memory = memory_limit()
    if memory is not None:
        cores = min(cores, max(1, memory // WORKER))
    if device.type == "cuda":
        cores = min(cores, max(1, torch.cuda.mem_get_info(device)[0] // GPU_SHARE))
    return max(1, min(cores, runs))


def schedule(seconds: list[float], count: int) -> float:
    """When the last of these jobs ends, if each in turn goes to the first free worker."""
    free = [0.0] * count
    for each in seconds:
        first = free.index(min(free))
        free[first] += each
    return max(free)


def measured_speeds(store: Store, device: torch.device) -> list[tuple[int, int, float]]:
    """(layers, parameters, operations per second) of each run in the store that was trained on this kind of device."""
    speeds = []
    for path in store.root.glob("runs/*/result.json"):
        folder = store.run(path.parent.name)
        result, frozen = folder.result(), folder.read("run.json")
        if result is None or frozen is None:  # damaged
            continue
        if result["provenance"]["device"] == device.type and result["tokens_per_second"]:
            speed = OPERATIONS * result["parameters"] * result["tokens_per_second"]
            speeds.append((frozen["config"]["model"]["layers"], result["parameters"], speed))
    return speeds


def speed_of_like(measured: list[tuple[int, int, float]], layers: int, parameters: int) -> float | None:
    """Median speed of the runs most similar in depth and size, since deep and narrow models are mostly overhead."""

    def distance(run: tuple[int, int, float]) -> float:
        return abs(math.log(run[0] / layers)) + abs(math.log(run[1] / parameters))

    like = sorted(measured, key=distance)[:ALIKE]
    return median(speed for _, _, speed in like) if like else None
