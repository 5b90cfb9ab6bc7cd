"""Parse Hydra's command line, and start Hydra."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.utils import _run_hydra, get_args_parser
from omegaconf import DictConfig

from ablate.config import BadInput
from ablate.plan.quoting import literal

USELESS = {  # options of Hydra's that cannot be used with studies
    "experimental_rerun": "the file that it reads can run code",
    "config_path": "the configuration is ablate's; --config-dir adds files to it",
    "config_name": "the configuration is ablate's; --config-dir adds files to it",
}


def command_line(arguments: Sequence[str]) -> argparse.Namespace:
    """Hydra's options, with the arguments KEY=VALUE as `overrides`, unchanged. Raises BadInput."""
    parser = hydra_parser()
    parser.exit_on_error = False
    try:
        given, unknown = parser.parse_known_args(list(arguments))
    except argparse.ArgumentError as error:
        raise BadInput(f"{error}; --help shows the options") from None
    for argument in unknown:
        raise BadInput(f"{argument} is neither an option nor KEY=VALUE; overrides come before the options, see --help")
    for name, why in USELESS.items():
        if vars(given)[name] is not None:
            raise BadInput(f"--{name.replace('_', '-')} cannot be used: {why}")
    shown = [given.run, given.multirun, given.cfg is not None, given.info is not None, given.shell_completion]
    if sum(map(bool, shown)) > 1 or (given.resolve and given.cfg is None):
        raise BadInput(
            "one of --run, --multirun, --cfg, --info and --shell-completion at a time; --resolve needs --cfg"
        )
    return given


def run(given: argparse.Namespace, task: Callable[[DictConfig], None], conf: Path) -> None:
    """Start Hydra, as `hydra.main` does, on a command line whose overrides are quoted first."""
    given.overrides = [literal(argument) for argument in given.overrides]
    version.setbase("1.3")
    _run_hydra(given, hydra_parser(), task, config_path=str(conf), config_name="config")


def hydra_parser() -> argparse.ArgumentParser:
    """Hydra's parser of options, also for Python 3.14 and later.

    There argparse checks each help text when it is added, and one of Hydra's is not a string.
    """

    def add_argument(self: argparse.ArgumentParser, *names: str, **options: Any) -> argparse.Action:
        if not isinstance(options.get("help", ""), str):
            options["help"] = "Install or uninstall shell completion"
        return original(self, *names, **options)

    original = argparse.ArgumentParser.add_argument
    argparse.ArgumentParser.add_argument = add_argument  # type: ignore[assignment, method-assign]
    try:
        return get_args_parser()
    finally:
        del argparse.ArgumentParser.add_argument  # the inherited method is visible again
