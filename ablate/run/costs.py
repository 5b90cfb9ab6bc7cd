"""The costs of a study's cells, kept beside its records as cost.json: measured once its runs are done.

A probe of a few seconds in a process of its own (`ablate.training.probe`) measures them. It runs on the machine that
gave the command, whose device is alone by then, and not through the launcher: a launcher's workers hold what earlier
runs left in memory, share their machine with others, and would have to be waited for.
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
from ablate.plugins import sources_used
from ablate.store.folders import Store
from ablate.store.ids import digest
from ablate.store.plain import config_to_plain
from ablate.store.plugin_files import loaded
from ablate.system.atomic import write_atomic
from ablate.training.machine import device_name

NAME = "cost.json"
MEANING = 1  # raised when the probe comes to measure something else
PATIENCE = 900  # seconds that a probe may take, on whatever machine


def measure(plan: Plan, store: Store, device: torch.device, say: Callable[[str], None]) -> None:
    """Probe the study's cells, unless that was done for the same cells with the same versions on the same device.

    Whatever goes wrong is said in a line, and leaves the records without costs.
    """
    configs = {cell.name: plan.configs[cell.name] for cell in plan.cells if plan.configs[cell.name].train.updates}
    keys = {cell: cost_key(config) for cell, config in configs.items()}
    path = store.root / "experiments" / plan.study.name / plan.setting / NAME
    here = {"device": device.type, "device_name": device_name(device), "torch": str(torch.__version__)}
    mark = digest({"cells": keys, "corpus": plan.corpus, "meaning": MEANING, **here})
    if not configs or mark_of(path) == mark:
        return
    path.unlink(missing_ok=True)  # of other cells, or of another machine
    trained_on = devices(plan, store)
    if trained_on != {device.type}:
        there = " and ".join(sorted(trained_on)) or "nothing"
        return say(f"costs are not measured: the runs were trained on {there}, and this machine has {device.type}")
    alike = {key: configs[cell] for cell, key in keys.items()}  # what costs the same is measured once
    try:
        measured = probed(alike, plan.corpus, device)
        cells = {cell: measured["cells"][key] for cell, key in keys.items()}
        record = {"mark": mark, **measured, "cells": cells}
        write_atomic(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    except (OSError, subprocess.SubprocessError, ValueError, LookupError) as error:
        say(f"costs could not be measured, the report does without: {reason(error)}")


def cost_key(config: Config) -> str:
    """The same for configurations whose updates take the same: model, batches, precision, but neither rate nor seed."""
    costly = {"model": asdict(config.model), "batch_tokens": config.train.batch_tokens, "precision": config.precision}
    return digest(costly | sources_used(model=config.model))


def probed(configs: dict[str, Config], corpus: str, device: torch.device) -> dict[str, Any]:
    """What the probe has to say. Raises what running a process and reading JSON may raise."""
    asked = {
        "corpus": corpus,
        "device": device.type,
        "plugins": [*loaded()],
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
    """The last line of what the process said, or else of the error."""
    said = error.stderr if isinstance(error, subprocess.CalledProcessError) else None
    lines = (said or str(error) or type(error).__name__).strip().splitlines()
    return lines[-1][:200] if lines else type(error).__name__
