"""The command `python -m ablate.publish`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ablate.config import WandbConfig
from ablate.publish.publishing import publish
from ablate.store.plugin_files import listed, load
from ablate.system.command_line import CommandLine, truth
from ablate.system.places import expanded
from ablate.system.signals import command


@command
def main(arguments: Sequence[str]) -> int:
    """Returns 0, or 2 for bad input."""
    line = CommandLine(
        "ablate.publish",
        "Create or update a saved workspace view and a report in W&B for each setting of a study, from its records, "
        "and print their addresses.",
    )
    line.name("NAME", "a study")
    line.key("setting", "SETTING", "one setting (all of the study that are not smoke)")
    line.key("root", "DIR", "the folder that has experiments/ and reports/ (the current one)", default=".")
    line.key("project", "NAME", "project in W&B (WANDB_PROJECT, or else ablate)")
    line.key("entity", "NAME", "user or team in W&B (WANDB_ENTITY, or else the key's own)")
    line.key("dry_run", "true", "true prints both as JSON, needs no key and sends nothing", type=truth, default=False)
    line.key("plugins", "FILE.py", "Python files that add metrics, with commas between", default="")
    return line.run(arguments, work)


def work(given: argparse.Namespace) -> int:
    load(listed(given.plugins))
    wandb = WandbConfig(project=given.project, entity=given.entity)
    return publish(expanded(given.root, "root"), given.name, given.setting, wandb, given.dry_run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
