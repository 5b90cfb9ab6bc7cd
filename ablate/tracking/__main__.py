"""The process that follows run folders, or shows a report.

A line on its standard input, or the end of it, says that no more will come.
"""

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


def main(path: str, problem: str = "") -> None:
    """Show what the file at `path` describes; with a `problem` that keeps it from W&B's server, offline."""
    accept_any_text()
    if hasattr(os, "nice"):
        os.nice(10)  # workers come first
    ended = threading.Event()
    threading.Thread(target=watch_the_lifeline, args=(ended,), daemon=True).start()
    try:
        description = json.loads(Path(path).read_text(encoding="utf-8"))
        if "report" in description:
            Showing(description, problem).show()
        else:
            Follower(description, problem).follow(ended)
    except Unreachable as error:  # wandb lets go of a run that it began online only with the process
        os.environ.pop("WANDB_SERVICE", None)
        os.execv(sys.executable, [sys.executable, "-m", "ablate.tracking", path, str(error) or "unreachable"])


def watch_the_lifeline(ended: threading.Event) -> None:
    """Pass the end on; and where wandb hangs and nobody is left to see it, end the process all the same."""
    sys.stdin.readline()
    ended.set()
    time.sleep(2 * DRAIN)
    kill_group(os.getpgrp() if hasattr(os, "getpgrp") else os.getpid())


if __name__ == "__main__":
    main(*sys.argv[1:])
