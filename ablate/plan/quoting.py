"""Pass text through Hydra's grammar and OmegaConf unchanged: they read `7027e0362055` as a number, `null` as None."""

from __future__ import annotations

import re
from dataclasses import is_dataclass
from enum import Enum
from typing import Any, Optional, get_type_hints

from hydra.core.override_parser.types import Quote, QuotedString

from ablate.config import BadInput, Config
from ablate.store.plain import escaped
from ablate.store.plugin_files import listed

GROUPS = ("data", "preset", "sweep")  # files of conf/ that are chosen by name
TEXT_LISTS = ("plugins",)  # keys that hold a list of texts; one text alone is a list of one
REPLACED = "across"  # a mapping that replaces the file's; only with ++ does Hydra accept other keys than the file's
STUDY_TEXT = ("name", "question", "baseline", "metric")  # keys of a study that hold text
BARE = re.compile(r"(?!(?:null|true|false|inf|nan)\Z)[a-z_/][a-z0-9_/.-]*", re.ASCII | re.IGNORECASE)  # needs no quotes
QUOTED = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""", re.DOTALL)  # text in quotes, as in Hydra's grammar
MISSING = "???"  # OmegaConf has no way to write it as text


def quoted(value: Any) -> str:
    """A value as the right side of an override, which Hydra and OmegaConf read as the same value.

    Raises BadInput for the text `???`.
    """
    if value is None:
        return "null"
    if isinstance(value, Enum):
        return value.name
    if not isinstance(value, str):
        return str(value)
    if value == MISSING:
        raise BadInput(f"{MISSING} means a missing value to OmegaConf; write ./{MISSING} for a file of that name")
    return value if BARE.fullmatch(value) else QuotedString(escaped(value), Quote.double).with_quotes()


def literal(argument: str) -> str:
    """An argument KEY=VALUE, with VALUE quoted if KEY holds text, so that Hydra reads it as it was typed.

    A value in quotes is not changed, nor `null` if the key may be null. A second call changes nothing. Raises BadInput
    for the text `???`.
    """
    key, equals, value = argument.partition("=")
    name = key.lstrip("+")
    if name in TEXT_LISTS and equals and value != "null" and '"' not in value and "'" not in value:
        return f"{key}=[{','.join(map(quoted, listed(value)))}]"
    if name == REPLACED and equals:
        return f"++{name}={value}"
    if not equals or name not in TEXT_KEYS or QUOTED.fullmatch(value) or (value == "null" and TEXT_KEYS[name]):
        return argument
    try:
        return f"{key}={quoted(value)}"
    except BadInput as error:
        raise BadInput(f"{argument}: {error}") from None


def typed(override: str) -> str:
    """The shortest argument that `literal` turns into this override, for people to read and to type."""
    key, _, value = override.partition("=")
    if key == f"++{REPLACED}":
        return f"{REPLACED}={value}"
    found = QUOTED.fullmatch(value)
    if found is None:
        return override
    text = re.sub(r'(\\+)(?="|$)', lambda run: run[1][: len(run[1]) // 2], found[1][1:-1])
    argument = f"{key}=" + re.sub(r"(\\+)\$\{", lambda run: run[1][: len(run[1]) // 2] + "${", text)
    return argument if literal(argument) == override else override


def text_keys(section: type = Config, above: str = "") -> dict[str, bool]:
    """Every dotted key of the configuration that holds text, and whether it may be null."""
    found: dict[str, bool] = {}
    for name, kind in get_type_hints(section).items():
        if is_dataclass(kind):
            found |= text_keys(kind, f"{above}{name}.")  # type: ignore[arg-type]
        elif kind in (str, Optional[str]):
            found[above + name] = kind is not str
    return found


TEXT_KEYS = text_keys() | dict.fromkeys((*GROUPS, *(f"study.{name}" for name in STUDY_TEXT)), False)
