"""The costs of a study's cells, kept beside its records as cost.json: measured once its runs are done.

A probe of a few seconds in its own process (`ablate.training.probe`) measures them. It runs on the machine of the
command, whose device is idle by then, and not through the launcher: a launcher's workers still hold the memory of
earlier runs, share their machine with other workers, and may have to wait in a queue.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ablate.config import Config
from ablate.plan.composition import Plan
from ablate.store.folders import Store
from ablate.store.ids import digest
from ablate.store.plain import config_to_plain
from ablate.system.atomic import write_atomic
from ablate.training.machine import device_name

NAME = "cost.json"
MEANING = 1  # raised when the probe measures something else than before
PATIENCE = 900  # seconds that a probe may take on any machine


def measure(plan: Plan, store: Store, device: torch.device | None, say: Callable[[str], None]) -> None:
    """Probe the study's cells, unless the same cells were probed with the same version of torch on the same device.

    `device` is None where a launcher trains on other machines. An error is reported in one line, and the records then
    have no costs.
    """
    if device is None:
        return say("costs are not measured: the launcher trains the runs on other machines than this one")
    configs = {cell.name: plan.configs[cell.name] for cell in plan.cells if plan.configs[cell.name].train.updates}
    keys = {cell: cost_key(config) for cell, config in configs.items()}
    path = store.root / "experiments" / plan.study.name / plan.setting / NAME
    here = {"device": device.type, "device_name": device_name(device), "torch": str(torch.__version__)}
    mark = digest({"cells": keys, "corpus": plan.corpus, "meaning": MEANING, **here})
    if not configs or mark_of(path) == mark:
        return
    path.unlink(missing_ok=True)  # it holds the costs of other cells, or of another machine
    trained_on = devices(plan, store)
    if trained_on != {device.type}:
        there = " and ".join(sorted(trained_on)) or "nothing"
        return say(f"costs are not measured: the runs were trained on {there}, and this machine has {device.type}")
    alike = {key: configs[cell] for cell, key in keys.items()}  # cells with the same cost are measured once
    try:
        measured = probed(alike, plan.corpus, device)
        cells = {cell: measured["cells"][key] for cell, key in keys.items()}
        record = {"mark": mark, **measured, "cells": cells}
        write_atomic(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    except (OSError, subprocess.SubprocessError, ValueError, LookupError) as error:
        say(f"costs could not be measured, so the report has none: {reason(error)}")


def cost_key(config: Config) -> str:
    """Hash of what determines the cost of an update: model, batch size and precision, but neither rate nor seed."""
    model = asdict(config.model)
    return digest({"model": model, "batch_tokens": config.train.batch_tokens, "precision": config.precision})


def probed(configs: dict[str, Config], corpus: str, device: torch.device) -> dict[str, Any]:
    """The result of the probe. Raises the errors of running a process and of reading JSON."""
    asked = {
        "corpus": corpus,
        "device": device.type,
        "cells": {name: config_to_plain(config) for name, config in configs.items()},
    }
    command = [sys.executable, "-m", "ablate.training.probe"]
    done = subprocess.run(
        command,
        input=json.dumps(asked),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=PATIENCE,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(found, dict)
    return found


def mark_of(path: Path) -> str | None:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["mark"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def devices(plan: Plan, store: Store) -> set[str]:
    """The kinds of device that the study's runs were trained on."""
    results = [store.run(spec.id).result() for spec in plan.runs]
    return {result["provenance"]["device"] for result in results if result is not None}


def reason(error: Exception) -> str:
    """The last line of the process's standard error, or of the error itself."""
    output = error.stderr if isinstance(error, subprocess.CalledProcessError) else None
    lines = (output or str(error) or type(error).__name__).strip().splitlines()
    return lines[-1][:200] if lines else type(error).__name__
