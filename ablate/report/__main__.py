"""The command `python -m ablate.report`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ablate.plugins import settle
from ablate.store.plugin_files import listed, load
from ablate.system.command_line import CommandLine
from ablate.system.places import expanded
from ablate.system.signals import command


@command
def main(arguments: Sequence[str]) -> int:
    """Returns 0; 1 if reports differ from their records or some records cannot be read; 2 for bad input."""
    line = CommandLine("ablate.report", "Rebuild reports from the records and print their folders. Nothing is trained.")
    line.name("NAME", "a study; without one, every study that has records", nargs="*")
    either = line.add_mutually_exclusive_group()
    line.key("compare", "A,B", "compare these settings of a study", either)
    line.key("root", "DIR", "the folder that has experiments/ and reports/ (the current one)", default=".")
    line.key("plugins", "FILE.py", "Python files that add metrics and figures, separated by commas", default="")
    line.flag("verify", "write nothing: recompute every number of the reports, name differences (exit 1)", either)
    line.flag("noise", "write nothing: print how much runs vary over seeds, and what 5, 10 and 20 seeds detect", either)
    return line.run(arguments, work)


def work(given: argparse.Namespace) -> int:
    from ablate.report.rebuilding import check, rebuild, show_noise  # here, so that --help need not wait for matplotlib

    load(listed(given.plugins))
    settle()
    root = expanded(given.root, "root")
    read_only = {"verify": lambda: check(root, given.name), "noise": lambda: show_noise(root)}
    chosen = [action for flag, action in read_only.items() if getattr(given, flag)]
    return chosen[0]() if chosen else rebuild(root, given.name, given.compare)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
