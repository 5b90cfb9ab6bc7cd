"""Advice for error messages: overrides that make a file readable, quoted for the shell and for Hydra."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from ablate.config import DataConfig
from ablate.data.sources.languages import language_in, words_in

ROLES = {  # words in names of columns and files that name no language
    "source": {"source", "src", "input", "original", "premise", "anchor", "question"},
    "target": {"target", "tgt", "trg", "output", "translation", "translated", "hypothesis", "positive", "answer"},
}
SPECIAL = {"null", "true", "false", "nan", "inf", "yes", "no", "on", "off"}  # not strings to YAML or Hydra


def override(key: str, value: str) -> str:
    """KEY=VALUE quoted for a shell, so that Hydra reads the value as a string."""
    plain = r"[1-9]\d{0,8}|0|[^\W\d][\w.-]*|[~./\w][\w./-]*/[\w./-]*"
    if re.fullmatch(plain, value, re.ASCII) and value.lower() not in SPECIAL:
        return f"{key}={value}"
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', value)
    trailing = len(escaped) - len(escaped.rstrip("\\"))
    quoted = f'{key}="{escaped}{trailing * chr(92)}"'
    return shlex.quote(quoted)


def position(names: Sequence[str], wanted: str) -> int | None:
    """The index of the name `wanted`: exactly, else ignoring case and spaces, else as a number that counts from 1."""
    for form in (str, _folded):
        found = [place for place, name in enumerate(names) if form(name) == form(wanted)]
        if found:
            return found[0] if len(found) == 1 else None
    if re.fullmatch(r"[1-9][0-9]{0,5}", wanted) and int(wanted) <= len(names):
        return int(wanted) - 1
    return None


def handle(names: Sequence[str], place: int) -> str:
    """The name of a column if it is unique and can be typed, else its number from 1."""
    name = " ".join(names[place].split())
    plain = name.isprintable() and len(name) <= 60 and "${" not in name and position(names, name) == place
    return name if name and plain else str(place + 1)


def suggestion(names: Sequence[str], texts: Sequence[int], data: DataConfig) -> str:
    """A clause with the overrides that take the two sides from `names`; empty if no choice is clear.

    `texts` are the indices of the names that may be a side. A side that is found already needs no override. A choice
    that no language name supports is worded as a condition, because it may be the wrong way round.
    """
    taken = {side: position(names, wanted(data, side)) for side in ROLES}
    for fits in (_by_language, _by_role, _by_order):
        for side in ROLES:
            if taken[side] is None:
                free = [place for place in texts if place not in taken.values()]
                taken[side] = fits(names, free, data, side, sum(place is None for place in taken.values()))
    missing = [side for side in ROLES if position(names, wanted(data, side)) is None]
    chosen = [place for place in taken.values() if place is not None]
    if len(set(chosen)) < len(taken) or any(position(names, handle(names, place)) != place for place in chosen):
        return ""
    parts = ["data.column=null"] if data.column is not None else []
    condition = []
    for side in missing:
        place = taken[side] or 0
        parts += _overrides(names, place, data, side)
        if language_in(names[place]) is None:
            condition.append(f"{handle(names, place)} is {getattr(data, side)}")
    clause = f"if {' and '.join(condition)}, " if condition else ""
    return f"{clause}take them with {' '.join(parts)}"


def wanted(data: DataConfig, side: str) -> str:
    """The name that a side is looked up by: the column in the configuration, or else the language."""
    return str(getattr(data, f"{side}_column") or getattr(data, side))


def _by_language(names: Sequence[str], free: list[int], data: DataConfig, side: str, missing: int) -> int | None:
    code = language_in(str(getattr(data, side)))
    found = [place for place in free if code is not None and language_in(names[place]) == code]
    return found[0] if len(found) == 1 else None


def _by_role(names: Sequence[str], free: list[int], data: DataConfig, side: str, missing: int) -> int | None:
    found = [place for place in free if ROLES[side].intersection(words_in(names[place]))]
    return found[0] if len(found) == 1 else None


def _by_order(names: Sequence[str], free: list[int], data: DataConfig, side: str, missing: int) -> int | None:
    return free[0] if len(free) == missing else None


def _overrides(names: Sequence[str], place: int, data: DataConfig, side: str) -> list[str]:
    """The override for the column of a side, and for its language if the column names another language."""
    code, column = language_in(names[place]), override(f"data.{side}_column", handle(names, place))
    other = language_in(str(getattr(data, "target" if side == "source" else "source")))
    if code in (None, other, language_in(str(getattr(data, side)))):
        return [column]
    language = override(f"data.{side}", str(code))
    found = getattr(data, f"{side}_column") is None and position(names, str(code)) == place
    return [language] if found else [language, column]


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()
