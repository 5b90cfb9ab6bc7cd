"""The command line, looked at before Hydra composes anything from it, so that a slip is answered with the choices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from ablate.config import BadInput, Config

GROUPS = ("data", "preset", "sweep")  # files of conf/ that are chosen by name
OPEN = ("study", "hydra")  # what lies under these keys is for others to judge


def override_keys(arguments: Sequence[str]) -> list[str]:
    """The keys that the command line sets. Raises BadInput where one makes no sense; Hydra's own for bad grammar."""
    keys = []
    for parsed in OverridesParser.create().parse_overrides(list(arguments)):
        given, key = str(parsed.input_line), str(parsed.key_or_group or "")
        if not key:
            raise BadInput(f"{given} has no key; an override is KEY=VALUE")
        if parsed.is_sweep_override():
            raise BadInput(f"{given}: give one value; to compare several, write a study (conf/sweep/NAME.yaml)")
        if key == "hydra.mode":
            raise BadInput(f"{given}: a command is always a study, so hydra.mode stays as it is")
        if key in GROUPS:
            if not isinstance(parsed.value(), str) and not parsed.is_delete():
                raise BadInput(f"{given}: {key} takes the name of a file in conf/{key}/")
        elif "/" not in key and key.split(".")[0] not in OPEN:
            check_key(key, given)
        keys.append(key)
    return keys


def check_key(key: str, given: str) -> None:
    """Raise BadInput where the configuration has no such key."""
    section: Any = Config()
    for depth, part in enumerate(key.split(".")):
        known = [item.name for item in fields(section)] if is_dataclass(section) else []
        if part not in known:
            above = ".".join(key.split(".")[:depth])
            where = f"{above} has {', '.join(known)}" if known else f"{above} is a value"
            raise BadInput(f"{given}: there is no key {key}; {where if above else 'there are ' + ', '.join(known)}")
        section = getattr(section, part)
