"""Measure the costs of a study's cells when its runs are done, and keep them beside its records as cost.json.

A probe of a few seconds in its own process (`ablate.training.probe`) measures them. It runs on the machine of the
command, whose device is idle by then, and not through the launcher: a launcher's workers still hold the memory of
earlier runs, share their machine with other workers, and may have to wait in a queue.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec
import torch

from ablate.config import Config
from ablate.plan.composition import Plan
from ablate.plan.runs import named_teachers
from ablate.plugins import sources_used
from ablate.records.collect import write_json
from ablate.store.folders import Store
from ablate.store.ids import digest
from ablate.store.plain import config_to_plain
from ablate.store.plugin_files import loaded
from ablate.store.record_schema import CostRecord
from ablate.training.machine import device_name

NAME = "cost.json"
MEANING = 2  # raised when the probe measures something else than before
PATIENCE = 900  # seconds that a probe may take


def measure(plan: Plan, store: Store, device: torch.device | None, say: Callable[[str], None]) -> None:
    """Probe the study's cells, unless the same cells were probed with the same version of torch on the same device.

    `device` is None if a launcher trains on other machines. An error is reported in one line, and the records then
    have no costs.
    """
    if device is None:
        return say("costs are not measured: the launcher trains the runs on other machines")
    requests = {cell.name: request_of(plan, cell.name) for cell in plan.cells if plan.configs[cell.name].train.updates}
    keys = {cell: digest(request) for cell, request in requests.items()}
    path = store.records(plan.study.name, plan.setting) / NAME
    here = {"device": device.type, "device_name": device_name(device), "torch": str(torch.__version__)}
    mark = digest({"cells": keys, "meaning": MEANING, **here})
    if not requests or mark_of(path) == mark:
        return
    path.unlink(missing_ok=True)  # it has the costs of other cells, or of another machine
    results = [result for spec in plan.runs if (result := store.run(spec.id).result()) is not None]
    trained_on = {str(result.provenance["device"]) for result in results}
    if trained_on != {device.type}:
        there = " and ".join(sorted(trained_on)) or "nothing"
        return say(f"costs are not measured: the runs were trained on {there}, and this machine has {device.type}")
    alike = {key: requests[cell] for cell, key in keys.items()}  # cells of the same cost are measured once
    try:
        measured = probed(alike, device)
        cells = {cell: measured["cells"][key] for cell, key in keys.items()}
        write_json(path, msgspec.convert({"mark": mark, **measured, "cells": cells}, CostRecord))
    except (OSError, subprocess.SubprocessError, ValueError, LookupError) as error:
        say(f"costs could not be measured, so the report has none: {reason(error)}")


def request_of(plan: Plan, cell: str) -> dict[str, Any]:
    """The probe's input for a cell: all that the cost of an update depends on, so neither learning rate nor seed."""
    config = plan.configs[cell]
    named = named_teachers(plan.study, next(each for each in plan.cells if each.name == cell), config)
    teachers = [plan.configs[teacher] for teacher in named]
    costly = replace(Config(), model=config.model, precision=config.precision)
    train = replace(costly.train, batch_tokens=config.train.batch_tokens, objective=config.train.objective,
                    teacher=config.train.teacher)  # fmt: skip
    costly = replace(costly, train=train, optim=replace(costly.optim, kind=config.optim.kind))
    sources = [
        sources_used(model=costly.model, optim=costly.optim, train=costly.train),
        *(sources_used(model=teacher.model) for teacher in teachers),
    ]
    return {
        "config": config_to_plain(costly),
        "corpus": plan.corpora[config.data],
        "teachers": [asdict(teacher.model) for teacher in teachers],
        **({"sources": sources} if any(sources) else {}),
    }


def probed(cells: dict[str, dict[str, Any]], device: torch.device) -> dict[str, Any]:
    """The probe's output. Raises the errors of running a process and of reading JSON."""
    requests = json.dumps({"device": device.type, "plugins": [*loaded()], "cells": cells})
    command = [sys.executable, "-m", "ablate.training.probe"]
    text: dict[str, Any] = {"encoding": "utf-8", "errors": "replace"}
    done = subprocess.run(command, input=requests, capture_output=True, timeout=PATIENCE, check=True, **text)
    found = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(found, dict)
    return found


def mark_of(path: Path) -> str | None:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["mark"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def reason(error: Exception) -> str:
    """The last line of the process's standard error, or of the error itself."""
    output = error.stderr if isinstance(error, subprocess.CalledProcessError) else None
    lines = (output or str(error) or type(error).__name__).strip().splitlines()
    return lines[-1][:200] if lines else type(error).__name__
