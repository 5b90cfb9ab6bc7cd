"""The command `python -m ablate.tracking`: the process that shows runs or a report in W&B. ablate itself starts it."""

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
        "Show the runs of a plan, or a report, in W&B. ablate starts this process itself, and ends it by a line on "
        "standard input, or by closing that.",
    )
    line.name("PATH", "a JSON file that describes the runs or the report", type=Path)
    line.key("problem", "REASON", "why W&B's server cannot be used; then everything is kept offline", default="")
    return line.run(arguments, work)


def work(given: argparse.Namespace) -> int:
    show(given.name, given.problem)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
