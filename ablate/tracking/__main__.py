"""The command `python -m ablate.tracking`: the process that shows runs or a report in W&B. Only ablate starts it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ablate.system.command_line import CommandLine
from ablate.tracking.process import show


def main(arguments: Sequence[str]) -> int:
    line = CommandLine(
        "ablate.tracking",
        "Show in W&B what a description says: the runs of a plan, or a report. ablate starts this process itself. A "
        "line on standard input, or its end, says that no more runs will come.",
    )
    line.name("PATH", "the description, a JSON file", type=Path)
    line.key("problem", "REASON", "why W&B's server cannot be used: everything is kept offline", default="")
    return line.run(arguments, work)


def work(given: argparse.Namespace) -> int:
    show(given.name, given.problem)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
