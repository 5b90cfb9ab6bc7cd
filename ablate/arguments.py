"""The command line, looked at before Hydra composes anything from it, so that a slip is answered with the choices."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from ablate.config import CONTROL, NAME, BadInput, check_key
from ablate.places import expanded

GROUPS = ("data", "preset", "sweep")  # files of conf/ that are chosen by name
OPEN = ("hydra.launcher.", "hydra.job.", "hydra.sweep.", "study.")  # what lies under these is for others to judge
OPEN_GROUPS = ("hydra/launcher", "hydra/job_logging", "hydra/hydra_logging")
LONGEST = 8192  # characters of an override
LARGEST = 2**63  # whole numbers beyond it fit no machine's
USELESS = {  # options of Hydra's that no study can be run with
    "experimental_rerun": "what it reads can run code",
    "config_path": "the configuration is ablate's; --config-dir adds files to it",
    "config_name": "the configuration is ablate's; --config-dir adds files to it",
}


def command_line(arguments: Sequence[str]) -> tuple[list[str], list[Path]]:
    """The overrides among the arguments, and the folders of configuration that the user adds. Raises BadInput."""
    parser = get_args_parser()
    parser.exit_on_error = False
    try:
        given, unknown = parser.parse_known_args(list(arguments))
    except argparse.ArgumentError as error:
        raise BadInput(f"{error}; --help shows the options") from None
    for argument in unknown:
        raise BadInput(f"{argument} is not understood: an override is KEY=VALUE, before the options; see --help")
    for name, why in USELESS.items():
        if vars(given)[name] is not None:
            raise BadInput(f"--{name.replace('_', '-')} has no place here: {why}")
    shown = [given.run, given.multirun, given.cfg is not None, given.info is not None, given.shell_completion]
    if sum(map(bool, shown)) > 1 or (given.resolve and given.cfg is None):
        raise BadInput(
            "one of --run, --multirun, --cfg, --info and --shell-completion at a time; --resolve needs --cfg"
        )
    return given.overrides, [expanded(given.config_dir, "--config-dir")] if given.config_dir is not None else []


def override_keys(arguments: Sequence[str]) -> list[str]:
    """The keys that the command line sets. Raises BadInput where one makes no sense."""
    return [checked(parsed) for parsed in parse(arguments)]


def choices(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """(group, name) of each file of conf/ that the command line chooses."""
    parsed = parse(arguments)
    return [(str(each.key_or_group), str(each.value())) for each in parsed if each.key_or_group in GROUPS]


def parse(arguments: Sequence[str]) -> list[Override]:
    parsed = []
    for argument in arguments:
        if len(argument) > LONGEST:
            raise BadInput(f"{argument[:60]} ... has {len(argument):,} characters; it may have {LONGEST:,}")
        if CONTROL.search(argument):
            raise BadInput(f"{argument[:60]!a} holds a line's end, or another character that is no text")
        try:
            parsed += OverridesParser.create().parse_overrides([argument])
            check_value(parsed[-1].value(), argument)
        except HydraException as error:
            why = " ".join(str(error).split()).partition(" See https")[0]
            raise BadInput(f"{argument[:60]} is no KEY=VALUE that can be read: {why}") from None
        except (ValueError, OverflowError, RecursionError):  # too many digits, or brackets within brackets
            raise BadInput(f"{argument[:60]} ... holds a number or a nesting that is too large") from None
    return parsed


def check_value(value: Any, given: str) -> None:
    """Raise BadInput for numbers that no machine holds, however deep they lie."""
    inner = [*value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    for each in inner:
        check_value(each, given)
    if isinstance(value, int) and abs(value) >= LARGEST:
        raise BadInput(f"{given[:60]} holds a number that is too large")


def checked(parsed: Override) -> str:
    given, key = str(parsed.input_line), str(parsed.key_or_group or "")
    if not key:
        raise BadInput(f"{given} has no key; an override is KEY=VALUE")
    if parsed.is_delete() and key.split("/")[0].split(".")[0] != "hydra":
        raise BadInput(f"{given}: every key has a value, so none can be taken away; set it with {key}=VALUE")
    if parsed.package is not None:
        raise BadInput(f"{given}: {key} goes where it belongs, so nothing can stand behind an @")
    if parsed.is_sweep_override():
        raise BadInput(f"{given}: give one value; to compare several, write a study (conf/sweep/NAME.yaml)")
    if key.replace("/", ".").split(".")[0] == "hydra" and not key.startswith(OPEN) and key not in OPEN_GROUPS:
        raise BadInput(
            f"{given}: {key} stays as it is, for a command is always a study; {', '.join(OPEN_GROUPS)} and what lies "
            "under hydra.launcher can be set"
        )
    if key == "run":
        raise BadInput(f"{given}: run is how ablate tells its workers what to train; a command is a study")
    if key in GROUPS:
        name = parsed.value()
        if not (isinstance(name, str) and NAME.fullmatch(name)):
            raise BadInput(f"{given}: {key} takes the name of a file in conf/{key}/, without .yaml")
    elif not key.startswith(OPEN) and key not in OPEN_GROUPS:
        check_key(key, given)
    return key
