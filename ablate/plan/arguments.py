"""Check the command line before Hydra composes anything, so that the message for a mistake names the choices."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from ablate.config import CONTROL, NAME, BadInput, check_key
from ablate.plan.quoting import GROUPS, literal, quoted

OPEN = ("hydra.launcher.", "hydra.job.", "hydra.sweep.", "study.")  # keys under these are checked elsewhere
OPEN_GROUPS = ("hydra/launcher", "hydra/job_logging", "hydra/hydra_logging")
LONGEST = 8192  # characters of an override
LARGEST = 2**63  # larger whole numbers do not fit into 64 bits
SURROGATE = re.compile("[\ud800-\udfff]")  # Python's stand-ins for bytes that are not text in the system's encoding


def override_keys(arguments: Sequence[str]) -> list[str]:
    """The keys that the command line sets. Raises BadInput for an invalid argument."""
    return [checked(given, parsed) for given, parsed in zip(arguments, parse(arguments))]


def choices(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """(group, name) of each file of conf/ that the command line selects."""
    parsed = parse(arguments)
    return [(str(each.key_or_group), str(each.value())) for each in parsed if each.key_or_group in GROUPS]


def value_of(arguments: Sequence[str], key: str) -> Any:
    """What the last argument for a key sets it to; None if there is none."""
    values = [each.value() for each in parse(arguments) if each.key_or_group == key]
    return values[-1] if values else None


def parse(arguments: Sequence[str]) -> list[Override]:
    """Each argument parsed by Hydra's grammar. Raises BadInput that shows the argument as it was typed."""
    parsed = []
    for argument in arguments:
        if len(argument) > LONGEST:
            raise BadInput(f"{argument[:60]} ... has {len(argument):,} characters; it may have {LONGEST:,}")
        if SURROGATE.search(argument):
            encoding = sys.getfilesystemencoding()
            raise BadInput(f"{argument[:60]!a} is not text in {encoding}; if it is UTF-8, set PYTHONUTF8=1")
        if CONTROL.search(argument):
            raise BadInput(f"{argument[:60]!a} contains a line break or another control character")
        override = literal(argument)
        try:
            parsed += OverridesParser.create().parse_overrides([override])
            check_value(parsed[-1].value(), argument)
        except HydraException as error:
            why = " ".join(str(error).split()).partition(" See https")[0]
            raise BadInput(f"{argument[:60]} cannot be read as KEY=VALUE: {why}{advice(argument)}") from None
        except (ValueError, OverflowError, RecursionError):  # too many digits, or brackets within brackets
            raise BadInput(f"{argument[:60]} ... contains a number or a nesting that is too large") from None
    return parsed


def advice(argument: str) -> str:
    """How to write an argument whose value is probably text."""
    key, equals, value = argument.partition("=")
    if not equals or not key.lstrip("+").startswith(OPEN) or value[:1] in ("'", '"', "[", "{"):
        return ""
    return f"; as text it is {shlex.quote(f'{key}={quoted(value)}')}"


def check_value(value: Any, given: str) -> None:
    """Raise BadInput for whole numbers of more than 64 bits, at any depth."""
    inner = [*value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    for each in inner:
        check_value(each, given)
    if isinstance(value, int) and abs(value) >= LARGEST:
        raise BadInput(f"{given[:60]} contains a number that is too large")


def checked(given: str, parsed: Override) -> str:
    """The key of an argument. Raises BadInput for an invalid argument."""
    key = str(parsed.key_or_group or "")
    if not key:
        raise BadInput(f"{given} has no key; an override has the form KEY=VALUE")
    if parsed.is_delete() and key.split("/")[0].split(".")[0] != "hydra":
        raise BadInput(f"{given}: keys cannot be deleted; set it with {key}=VALUE")
    if parsed.package is not None:
        raise BadInput(f"{given}: the package of {key} cannot be changed, so leave out @ and what follows it")
    if parsed.is_sweep_override():
        raise BadInput(f"{given}: give one value; to compare several, write a study (conf/sweep/NAME.yaml)")
    if key.replace("/", ".").split(".")[0] == "hydra" and not key.startswith(OPEN) and key not in OPEN_GROUPS:
        raise BadInput(
            f"{given}: {key} cannot be set, since a command is always a study; {', '.join(OPEN_GROUPS)} and keys under "
            "hydra.launcher can be set"
        )
    if key == "run":
        raise BadInput(f"{given}: run is set by ablate itself, for its workers")
    if key in GROUPS:
        name = parsed.value()
        if not (isinstance(name, str) and NAME.fullmatch(name)):
            raise BadInput(f"{given}: {key} takes the name of one file in conf/{key}/, without .yaml")
    elif not key.startswith(OPEN) and key not in OPEN_GROUPS:
        check_key(key, given)
    return key
