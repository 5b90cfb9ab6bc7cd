"""The command `python -m ablate.merge`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ablate.merge.joining import merge
from ablate.store.folders import Store
from ablate.system.command_line import CommandLine
from ablate.system.places import expanded
from ablate.system.signals import command


@command
def main(arguments: Sequence[str]) -> int:
    """Returns 0; 1 if some runs could not be copied; 2 for bad input."""
    line = CommandLine(
        "ablate.merge",
        "Copy the runs of another store into this one. Finished runs of this store are never changed. A run that the "
        "two stores have with different results is a conflict: it is named, and the exit code is 1.",
    )
    line.name("FOLDER", "the other store, or its runs/")
    line.key("root", "DIR", "this store (the current folder)", default=".")
    return line.run(arguments, work)


def work(given: argparse.Namespace) -> int:
    return int(bool(merge(expanded(given.name, "FOLDER"), Store(expanded(given.root, "root").resolve()))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
