"""The overrides that would read what the configuration does not fit, in the form that a shell and Hydra take."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from ablate.config import DataConfig
from ablate.data.sources.languages import language_in, words_in

ROLES = {  # words that columns and files are called by, for want of a language
    "source": {"source", "src", "input", "original", "premise", "anchor", "question"},
    "target": {"target", "tgt", "trg", "output", "translation", "translated", "hypothesis", "positive", "answer"},
}
SPECIAL = {"null", "true", "false", "nan", "inf", "yes", "no", "on", "off"}  # that YAML or Hydra take for no string


def override(key: str, value: str) -> str:
    """KEY=VALUE as it is typed in a shell, such that Hydra takes the value for a string."""
    plain = r"[1-9]\d{0,8}|0|[^\W\d][\w.-]*|[~./\w][\w./-]*/[\w./-]*"
    if re.fullmatch(plain, value, re.ASCII) and value.lower() not in SPECIAL:
        return f"{key}={value}"
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', value)
    trailing = len(escaped) - len(escaped.rstrip("\\"))
    quoted = f'{key}="{escaped}{trailing * chr(92)}"'
    return shlex.quote(quoted)


def position(names: Sequence[str], wanted: str) -> int | None:
    """Where the name `wanted` is: as it stands, or else but for case and spaces, or else as a number from 1."""
    for form in (str, _folded):
        found = [place for place, name in enumerate(names) if form(name) == form(wanted)]
        if found:
            return found[0] if len(found) == 1 else None
    if re.fullmatch(r"[1-9][0-9]{0,5}", wanted) and int(wanted) <= len(names):
        return int(wanted) - 1
    return None


def handle(names: Sequence[str], place: int) -> str:
    """What to call a column by: its name where that finds it and can be typed, else its number from 1."""
    name = " ".join(names[place].split())
    plain = name.isprintable() and len(name) <= 60 and "${" not in name and position(names, name) == place
    return name if name and plain else str(place + 1)


def suggestion(names: Sequence[str], texts: Sequence[int], data: DataConfig) -> str:
    """A clause that ends with the overrides that take the two sides from `names`; empty where no choice is clear.

    `texts` are the places of those names that may be a side. A side that is found already needs no override. A choice
    that no language supports is put as a condition, because the sides may be the other way round.
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
    """What a side is called by: the column that was named, or the language."""
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
    """The column of a side, and its language where the name says another than the configuration."""
    code, column = language_in(names[place]), override(f"data.{side}_column", handle(names, place))
    other = language_in(str(getattr(data, "target" if side == "source" else "source")))
    if code in (None, other, language_in(str(getattr(data, side)))):
        return [column]
    language = override(f"data.{side}", str(code))
    found = getattr(data, f"{side}_column") is None and position(names, str(code)) == place
    return [language] if found else [language, column]


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()
