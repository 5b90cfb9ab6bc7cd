"""Show a study in W&B, in processes of their own, so that W&B cannot stop or slow the study.

The command starts a process, `python -m ablate.tracking`, which reads the run folders of a plan and shows them in W&B.
When the report is built, the command starts another that shows the report. Workers do not know about W&B, and the
command never imports wandb.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.config import WandbConfig, WandbMode
from ablate.store.folders import Store
from ablate.store.ids import digest
from ablate.store.plain import config_to_plain
from ablate.store.plugin_files import described
from ablate.store.schema import to_plain
from ablate.system.atomic import sweep, write_atomic
from ablate.system.signals import kill_group
from ablate.tracking.access import check as check_access
from ablate.tracking.access import entity, environment, project, resolve, tags, unused
from ablate.tracking.variables import check_variables

if TYPE_CHECKING:
    from ablate.plan.composition import Plan

DRAIN = 30.0  # seconds that a command waits at its end for W&B to receive the rest
CUT_DRAIN = 3.0  # seconds that an interrupted command waits; then the process goes on in the background
REPORT_DRAIN = 2.0  # seconds that it waits for the report; then the process goes on in the background
REPORT = "report"  # name and job type of the run that shows a study's report
SAYS = "W&B: "  # prefix of the log's lines that are for the user; the command shows the last one


def check(wandb: WandbConfig) -> None:
    """Raise BadInput if W&B cannot be used as configured, before anything is trained."""
    check_access(wandb)
    if resolve(wandb.mode) is not WandbMode.disabled:
        check_variables()


def notice(wandb: WandbConfig) -> str | None:
    """A line about W&B that the user should see before training, if there is one."""
    return None if resolve(wandb.mode) is WandbMode.disabled else unused()


def start(plan: Plan, store: Store, wandb: WandbConfig) -> Tracker:
    """Start to show the plan's runs. An error becomes a line for the user and is not raised."""
    mode = resolve(wandb.mode)
    if mode is WandbMode.disabled:
        return Tracker(None)
    try:
        return spawn(store, [plan.study.name, plan.setting], describe(plan, store, wandb, mode))
    except Exception as error:
        return Tracker(None, problem=f"{SAYS}not tracked: {error}")


def start_report(plan: Plan, store: Store, report: Path) -> Tracker:
    """Start to show the report in the folder `report` as a run of its own, unless W&B has it already."""
    mode = resolve(plan.config.wandb.mode)
    if mode is WandbMode.disabled:
        return Tracker(None)
    try:
        from ablate.tracking.report_run import Showing

        description = describe_report(plan, store, report, mode)
        if Showing(description).is_shown():
            return Tracker(None)
        tracker = spawn(store, [plan.study.name, plan.setting, REPORT], description)
        tracker.drain, tracker.outlives = REPORT_DRAIN, True
        return tracker
    except Exception as error:
        return Tracker(None, problem=f"{SAYS}report not shown: {error}")


def spawn(store: Store, name: list[str], description: dict[str, Any]) -> Tracker:
    """Start the process that shows the runs or the report in `description`. It ends when its standard input ends."""
    folder = store.root / "runs" / "wandb"
    path = folder / f"{digest(name)}.json"
    sweep(folder)
    write_atomic(path, json.dumps(description))
    log = folder / "tracking.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ablate.tracking", str(path)],
            stdin=subprocess.PIPE,  # a line, or its end, means that no more runs will come
            stdout=output,
            stderr=output,
            env=environment(folder) | {"WANDB_ERROR_REPORTING": "false"},
            start_new_session=True,  # so that Ctrl-C does not reach this process
        )
        return Tracker(process, log, output.tell())


class Tracker:
    """The tracking process, or None and perhaps a `problem` that kept it from starting.

    It writes to `log` from byte `begin` on.
    """

    def __init__(
        self, process: subprocess.Popen[bytes] | None, log: Path = Path(), begin: int = 0, problem: str | None = None
    ) -> None:
        self.process, self.log, self.begin, self.problem = process, log, begin, problem
        self.drain, self.outlives = DRAIN, False  # seconds to wait at the end; whether the process may run longer

    def hurry(self) -> None:
        """Wait only briefly at the end, because the command was interrupted."""
        self.drain, self.outlives = CUT_DRAIN, True

    def finish(self) -> str | None:
        """Wait up to `drain` seconds for W&B to receive the rest. Returns a line for the user, if there is one."""
        process = self.process
        if process is None:
            return self.problem
        try:
            process.communicate(b"end\n", self.drain)  # no error if the process has ended already
        except subprocess.TimeoutExpired:
            if self.outlives:
                return f"{SAYS}the rest is being sent in the background; see {self.log}"
            return f"{SAYS}did not receive everything within {self.drain:g} s, the study is complete; see {self.log}"
        finally:
            if not self.outlives and process.poll() is None:
                kill_group(process.pid)  # with wandb's service, which is in the same group
                process.wait()
        if process.returncode != 0:
            return f"{SAYS}tracking ended with an error, which does not affect the study; see {self.log}"
        return self._last_message()

    def _last_message(self) -> str | None:
        try:
            with self.log.open("rb") as file:
                file.seek(self.begin)  # earlier commands wrote what comes before
                lines = file.read().decode(errors="replace").splitlines()
        except OSError as error:
            return f"{SAYS}{error}"
        return next((line for line in reversed(lines) if line.startswith(SAYS)), None)


def describe(plan: Plan, store: Store, wandb: WandbConfig, mode: WandbMode) -> dict[str, Any]:
    """The input of the tracking process, in plain types."""
    return {
        **describe_place(store, wandb, mode),
        "began": time.time(),
        "cells": [asdict(cell) for cell in plan.cells],
        "plugins": [entry for config in plan.configs.values() for entry in map(to_plain, described(config))],
        "runs": [{**vars(spec), "config": config_to_plain(spec.config) | {"study": None}} for spec in plan.runs],
    }


def describe_report(plan: Plan, store: Store, report: Path, mode: WandbMode) -> dict[str, Any]:
    return {
        **describe_place(store, plan.config.wandb, mode),
        "report": str(report),
        "study": plan.study.name,
        "setting": plan.setting,
        "question": plan.study.question,
        "tags": [plan.study.name, plan.config.preset, plan.config.data.label, REPORT],
        "claims": {claim.id: claim.sentence for claim in plan.study.claims},
    }


def describe_place(store: Store, wandb: WandbConfig, mode: WandbMode) -> dict[str, Any]:
    where = {"root": str(store.root), "mode": mode.name, "project": project(wandb), "entity": entity(wandb)}
    return where | {"also_tagged": tags()}


def wandb_id(study: str, setting: str, run_id: str) -> str:
    """The id in W&B. It depends only on group and run, so that W&B has each run once. `run_id` may be REPORT."""
    return digest([study, setting, run_id])
