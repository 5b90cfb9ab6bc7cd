"""The work of the tracking process: follow runs, or show a report, until the command that started it ends."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

from ablate.system.output import accept_any_text
from ablate.system.signals import kill_group
from ablate.tracking import DRAIN
from ablate.tracking.follower import Follower
from ablate.tracking.place import Unreachable
from ablate.tracking.report_run import Showing


def show(path: Path, problem: str = "") -> None:
    """Show what the file at `path` describes; offline if a `problem` keeps it from W&B's server."""
    accept_any_text()
    if hasattr(os, "nice"):
        os.nice(10)  # training comes first
    ended = threading.Event()
    threading.Thread(target=watch_standard_input, args=(ended,), daemon=True).start()
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        if "report" in description:
            Showing(description, problem).show()
        else:
            Follower(description, problem).follow(ended)
    except Unreachable as error:  # wandb releases a run that it began online only when its process ends
        os.environ.pop("WANDB_SERVICE", None)
        reason = str(error) or "unreachable"
        os.execv(sys.executable, [sys.executable, "-m", "ablate.tracking", str(path), f"problem={reason}"])


def watch_standard_input(ended: threading.Event) -> None:
    """Set `ended` when the command has no more runs. Kill this process if wandb still hangs long after that."""
    sys.stdin.readline()
    ended.set()
    time.sleep(2 * DRAIN)
    kill_group(os.getpgrp() if hasattr(os, "getpgrp") else os.getpid())
