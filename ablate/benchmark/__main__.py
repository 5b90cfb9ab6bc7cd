"""The command `python -m ablate.benchmark`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ablate.benchmark import PARTS
from ablate.system.command_line import CommandLine
from ablate.system.places import expanded
from ablate.system.signals import command


@command
def main(arguments: Sequence[str]) -> int:
    """Returns 0; 1 where a part could not be measured; 2 for bad input."""
    line = CommandLine(
        "ablate.benchmark",
        "Measure ablate beside other frameworks, the hardware's limit and earlier versions, and write the record and "
        "the page experiments/benchmark/README.md. Nothing else may run meanwhile. Peers need the extra: "
        'pip install -e ".[benchmark]".',
    )
    line.name("OVERRIDE", "keys of the corpus, such as data.path=FOLDER", nargs="*")
    line.key("data", "NAME", "the corpus, as for a study (multi30k)", default="multi30k")
    line.key("parts", "A,B", f"what to measure, of {', '.join(PARTS)} (all; gpu where there is one)",
             default=",".join(PARTS))  # fmt: skip
    line.key("peers", "all", "all, or none to measure ablate alone", default="all", choices=("all", "none"))
    line.key("rounds", "N", "times that everything is measured, in turns (3; quick: 2)", type=int)
    line.key("updates", "N", "updates after the warm-up in a measurement of training (100)", type=int, default=100)
    line.key("against", "FOLDER", "another checkout of ablate, whose lone run takes turns with this one's")
    line.key("root", "DIR", "the folder that has experiments/ (the current one)", default=".")
    line.flag("study", "also time a whole study of preset=laptop, which takes minutes")
    line.flag("quick", "a few updates of a tiny model, to see that it works; its numbers mean nothing")
    line.flag("page", "measure nothing: rebuild the page from the records")
    return line.run(arguments, work)


def work(given: argparse.Namespace) -> int:
    from ablate.benchmark.command import run  # here, so that --help need not wait for torch

    return run(given, expanded(given.root, "root"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
