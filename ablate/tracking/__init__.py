"""W&B is a view of a study: it can neither stop nor fail nor slow one.

The command starts one process, `python -m ablate.tracking`, which follows the run folders of a plan and shows them in
W&B. Workers know nothing of it, and the command never imports wandb.
"""

from __future__ import annotations

import importlib.util
import json
import netrc
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ablate.config import BadInput, WandbConfig, WandbMode
from ablate.plain import config_to_plain
from ablate.store import Store, write_atomic
from ablate.study import digest

if TYPE_CHECKING:
    from ablate.composition import Plan

DRAIN = 30.0  # seconds that a command waits at its end for W&B to take in what is left
SAYS = "W&B: "  # begins the lines of the log that are for the user; the last one is shown


def check(wandb: WandbConfig) -> None:
    """Raise BadInput where W&B was asked for by name and cannot be had, before anything trains."""
    if wandb.mode in (WandbMode.online, WandbMode.offline) and not installed():
        raise BadInput(f"wandb.mode={wandb.mode.name} needs wandb (pip install wandb), or take wandb.mode=disabled")
    if wandb.mode is WandbMode.online and not has_key():
        raise BadInput(
            f"wandb.mode=online finds no key for {base_url()}: run `wandb login`, set WANDB_API_KEY, or take "
            "wandb.mode=offline"
        )


def start(plan: Plan, store: Store, wandb: WandbConfig) -> Tracker:
    """Follow the plan's runs from now on. Whatever goes wrong here is something to tell, never to raise."""
    mode = resolve(wandb.mode)
    if mode is WandbMode.disabled:
        return Tracker(None)
    try:
        folder = store.root / "runs" / "wandb"
        description = folder / f"{digest([plan.study.name, plan.setting])}.json"
        write_atomic(description, json.dumps(describe(plan, store, wandb, mode)))
        log = folder / "tracking.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "ablate.tracking", str(description)],
                stdin=subprocess.PIPE,  # the lifeline: a line, or its end, says that no more will come
                stdout=output,
                stderr=output,
                env=os.environ | {"WANDB_ERROR_REPORTING": "false"},
                start_new_session=True,  # so that Ctrl-C reaches the study and leaves the view to finish
            )
            return Tracker(process, log, output.tell())
    except Exception as error:
        return Tracker(None, problem=f"{SAYS}not tracked: {error}")


class Tracker:
    """The command's end of the lifeline."""

    def __init__(
        self,
        process: subprocess.Popen[bytes] | None,
        log: Path | None = None,
        begin: int = 0,
        problem: str | None = None,
    ) -> None:
        """What `process` has to say begins at byte `begin` of its log. No process: `problem` says why, if it is one."""
        self.process, self.log, self.begin, self.problem = process, log, begin, problem

    def finish(self, timeout: float = DRAIN) -> str | None:
        """Let W&B take in what is left, for `timeout` seconds at the most; a line for the user, if there is any."""
        if self.process is None:
            return self.problem
        try:
            self._say_that_no_more_will_come()
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return f"{SAYS}did not take in everything within {timeout:g} s, the study has it all; see {self.log}"
        finally:
            self._kill()
        if code != 0:
            return f"{SAYS}tracking broke off, the study did not; see {self.log}"
        return self._said()

    def _say_that_no_more_will_come(self) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(b"end\n")
            self.process.stdin.close()
        except OSError:  # it is gone already, which its exit code tells
            pass

    def _kill(self) -> None:
        """End the process group, if there is anything left of it; wandb's own service ends with it."""
        assert self.process is not None
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _said(self) -> str | None:
        assert self.log is not None
        try:
            lines = self.log.read_bytes()[self.begin :].decode(errors="replace").splitlines()
        except OSError as error:
            return f"{SAYS}{error}"
        return next((line for line in reversed(lines) if line.startswith(SAYS)), None)


def describe(plan: Plan, store: Store, wandb: WandbConfig, mode: WandbMode) -> dict[str, Any]:
    """What the follower needs to know, of plain types only."""
    return {
        "root": str(store.root),
        "began": time.time(),
        "mode": mode.name,
        "project": wandb.project,
        "entity": wandb.entity,
        "cells": [asdict(cell) for cell in plan.cells],
        "runs": [
            {
                "id": spec.id,
                "study": spec.study,
                "setting": spec.setting,
                "cell": spec.cell,
                "seed": spec.seed,
                "config": config_to_plain(spec.config) | {"study": None},
                "corpus": spec.corpus,
            }
            for spec in plan.runs
        ],
    }


def resolve(mode: WandbMode) -> WandbMode:
    """What `auto` comes to on this machine: what WANDB_MODE says; else online with a key, offline without one."""
    if mode is not WandbMode.auto:
        return mode
    wish = os.environ.get("WANDB_MODE")
    if wish == "disabled" or not installed():
        return WandbMode.disabled
    return WandbMode.offline if wish in ("offline", "dryrun") or not has_key() else WandbMode.online


def installed() -> bool:
    """Found without importing it. A folder that only happens to be called wandb, as W&B's own is, has no origin."""
    spec = importlib.util.find_spec("wandb")
    return spec is not None and spec.origin is not None


def has_key() -> bool:
    """Whether wandb would find credentials in the environment or in the netrc file."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    candidates = [os.environ["NETRC"]] if os.environ.get("NETRC") else ["~/.netrc", "~/_netrc"]
    for path in map(os.path.expanduser, candidates):
        try:
            if netrc.netrc(path).authenticators(urlsplit(base_url()).netloc):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def base_url() -> str:
    return os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai"
