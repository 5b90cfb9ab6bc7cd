"""Estimate the parameters, operations, time and workers of a plan, without training anything."""

from __future__ import annotations

import heapq
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
from ablate.store.speeds import ALIKE, Speed, speeds
from ablate.training.machine import GIBIBYTE, core_limit, memory_limit

CORE = 6e10  # operations a second of one CPU core on small models: a guess for stores that have no measured run
LAYER = 2.5e-3  # seconds of a layer in each update on one core, however small it is: a guess for the same case
GPU_SHARE = 4 * GIBIBYTE  # memory reserved for each run that shares a GPU
WORKER = GIBIBYTE // 2  # memory of a worker with the smallest model: mostly torch
OPERATIONS = 6  # of training, for each parameter and token.  Kaplan et al. 2020, arXiv:2001.08361


@dataclass(frozen=True)
class CellForecast:
    cell: str
    parameters: int
    runs: int
    done: int
    seconds: float | None  # of training one run; None if no run was measured on this device


@dataclass(frozen=True)
class Forecast:
    cells: list[CellForecast]
    workers: int
    seconds: float | None  # from now to the last run's end
    device: torch.device | None  # None where each worker chooses its own
    trainings: int  # not yet done; cells that differ only in evaluation share their trainings
    evaluations: int  # not yet done, of models that are trained


def forecast(plan: Plan, store: Store, device: torch.device | None) -> Forecast:
    """Estimate for runs on `device`, which is None if a launcher runs them on other machines."""
    measured = [] if device is None else [speed for speed in speeds(store) if speed.device == device.type]
    vocabularies = {
        recipe: (cached_metadata(mark) or {}).get("vocabulary_size", recipe.vocabulary_size)
        for recipe, mark in plan.corpora.items()
    }
    cells = []
    todo: dict[str, float | None] = {}  # training -> seconds
    open_runs: set[str] = set()
    evaluations = 0
    for cell in plan.cells:
        config = plan.configs[cell.name]
        specs = [spec for spec in plan.runs if spec.cell == cell.name]
        parameters = parameter_count(config.model, vocabularies[config.data])
        operations = OPERATIONS * parameters * config.train.updates * config.train.batch_tokens
        speed = speed_of_like(measured, config.model.layers, parameters)
        seconds = operations / speed if speed else None
        if seconds is None and device is not None and device.type == "cpu":
            seconds = operations / CORE + 2 * config.model.layers * config.train.updates * LAYER
        done = 0
        for spec in specs:
            folder = store.run(spec.id)
            result = folder.trained(spec.config)
            is_done = folder.evaluated(result, spec)
            done += is_done
            if result is None:
                todo[spec.id] = seconds
            elif not is_done:
                evaluations += 1
            if not is_done:
                open_runs.add(spec.id)
        cells.append(CellForecast(cell.name, parameters, len(specs), done, seconds))
    count = workers(plan.config, device, len(open_runs))
    known = [seconds for seconds in todo.values() if seconds is not None]
    total = schedule(known, count) if len(known) == len(todo) else None
    return Forecast(cells, count, total, device, len(todo), evaluations)


def workers(config: Config, device: torch.device | None, runs: int) -> int:
    """How many runs to train at a time: one for each core, as far as memory or the GPU's memory allows.

    All of them if the device is not known, because then the launcher sets the limit.
    """
    if config.workers != "auto":
        return max(1, min(int(config.workers), runs))
    if device is None:
        return max(1, runs)
    cores, quota, memory = joblib.cpu_count(), core_limit(), memory_limit()  # joblib knows the process's affinity
    if quota is not None:
        cores = min(cores, max(1, quota))
    if memory is not None:
        cores = min(cores, max(1, memory // WORKER))
    if device.type == "cuda":
        cores = min(cores, max(1, torch.cuda.mem_get_info(device)[0] // GPU_SHARE))
    return max(1, min(cores, runs))


def schedule(seconds: list[float], count: int) -> float:
    """When the last of these jobs ends, if each in turn goes to the first free worker."""
    free = [0.0] * count  # a heap: when each worker is free
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def speed_of_like(measured: list[Speed], layers: int, parameters: int) -> float | None:
    """Operations a second: the median of the runs most like this one in depth and size; None if there is no run.

    A deep and narrow model spends most of its time on overhead, so depth counts as much as size.
    """

    def distance(run: Speed) -> float:
        return abs(math.log(run.layers / layers)) + abs(math.log(run.parameters / parameters))

    latest_first = measured[::-1]
    like = sorted(latest_first, key=distance)[:ALIKE]
    return median(OPERATIONS * run.parameters * run.tokens_per_second for run in like) if like else None
