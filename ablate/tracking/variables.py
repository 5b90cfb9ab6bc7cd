"""Check the values of W&B's environment variables with wandb itself, in a process of its own.

Otherwise an invalid value would end the tracking process after training has begun.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ablate.config import BadInput, plain_line
from ablate.tracking.access import environment

UNCHECKED = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")  # credentials, which no message may show
PATIENCE = 60.0  # seconds that importing wandb may take
ASK = "from ablate.tracking.variables import print_problems; print_problems()"


def check_variables() -> None:
    """Raise BadInput that names the first variable whose value wandb refuses, and its allowed values.

    Does nothing if no variable is set, or if wandb cannot be started.
    """
    given = environment(Path())
    if not settings_in(given):
        return
    try:
        done = subprocess.run(
            [sys.executable, "-c", ASK], capture_output=True, encoding="utf-8", timeout=PATIENCE, env=given
        )
    except (OSError, subprocess.SubprocessError):
        return
    problems = [line for line in done.stdout.splitlines() if line.startswith("WANDB_")]
    if problems:
        raise BadInput(problems[0])


def print_problems() -> None:
    """A line for each variable whose value wandb refuses."""
    import wandb

    for name, value in settings_in(os.environ).items():
        try:
            wandb.Settings().update_from_env_vars({name: value})
        except ValueError as error:  # pydantic's ValidationError is one
            details: list[dict[str, str]] = getattr(error, "errors", lambda: [])()
            why = details[0]["msg"] if details else str(error)
            print(plain_line(f"{name}={value} is not accepted by W&B: {why}; change it or unset it"))


def settings_in(variables: Mapping[str, str]) -> dict[str, str]:
    """W&B's variables that are checked."""
    known = {name: value for name, value in sorted(variables.items()) if name.startswith("WANDB_")}
    return {name: value for name, value in known.items() if name not in UNCHECKED}
