"""Find the differences between a committed file and the recomputed one: row and column, key, or line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

EXCERPT = 30  # characters of a line on each side of where it begins to differ


@dataclass(frozen=True)
class Difference:
    file: str  # its path from the root
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


def differences(file: str, committed: str, recomputed: str) -> Iterator[Difference]:
    """The differences between two texts of a file, found in the way that its ending needs."""
    if committed != recomputed:
        for what in READERS[file.rpartition(".")[2]](committed, recomputed):
            yield Difference(file, what)


def versus(place: str, committed: object, recomputed: object) -> str:
    return f"{place}: {committed} is written, {recomputed} recomputed"


def in_results(committed: str, recomputed: str) -> Iterator[str]:
    """Compare two tables of runs, by variant and seed."""
    there, found = rows(committed), rows(recomputed)
    for name in there:
        if name not in found:
            yield f"row {name} is not in the records"
    for name, row in found.items():
        if name not in there:
            yield f"row {name} of the records is missing"
            continue
        for column in dict.fromkeys([*row, *there[name]]):
            if (old := there[name].get(column)) != (new := row.get(column)):
                yield versus(f"row {name}, column {column}", shown(old), shown(new))
    if there == found:
        yield "its rows or columns have another order, or are repeated"


def rows(text: str) -> dict[str, dict[str, str]]:
    return {f"{row.get('variant')}/{row.get('seed')}": row for row in csv.DictReader(io.StringIO(text))}


def in_object(committed: str, recomputed: str) -> Iterator[str]:
    """Compare two JSON objects."""
    try:
        there = json.loads(committed)
    except ValueError as error:
        yield f"is not JSON: {error}"
        return
    if there == (found := json.loads(recomputed)):
        yield "has the same values in another form"
    yield from in_value("", there, found)


def in_value(path: str, there: Any, found: Any) -> Iterator[str]:
    if isinstance(there, list) and isinstance(found, list):
        there, found = by_name(there), by_name(found)
    if not (isinstance(there, dict) and isinstance(found, dict)):
        if there != found:
            yield versus(path or "all of it", shown(there), shown(found))
        return
    for key in dict.fromkeys([*found, *there]):
        yield from in_value(f"{path}.{key}".lstrip("."), there.get(key), found.get(key))


def by_name(values: list[Any]) -> dict[str, Any]:
    """The values by their names, or else by their places."""

    def name(place: int, value: Any) -> str:
        names = [value[key] for key in ("variant", "id", "name") if key in value] if isinstance(value, dict) else []
        return f"{names[0] if names else place}"

    return {name(place, value): value for place, value in enumerate(values)}


def in_lines(committed: str, recomputed: str) -> Iterator[str]:
    """Compare two texts, by line numbers of the committed one."""
    there, found = committed.splitlines(), recomputed.splitlines()
    for kind, first, last, new_first, new_last in SequenceMatcher(None, there, found, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        for offset in range(max(last - first, new_last - new_first)):
            old = there[first + offset] if first + offset < last else None
            new = found[new_first + offset] if new_first + offset < new_last else None
            yield versus(f"line {first + offset + 1}", *excerpts(old, new))
    if there == found:
        yield "its line ends differ"


def excerpts(old: str | None, new: str | None) -> tuple[str, str]:
    """Both lines around the place where they begin to differ."""
    if old is None or new is None:
        return tuple("no such line" if text is None else f"“{text[: 2 * EXCERPT]}”" for text in (old, new))  # type: ignore[return-value]
    place = next((i for i, (a, b) in enumerate(zip(old, new)) if a != b), min(len(old), len(new)))
    span = slice(max(0, place - EXCERPT), place + EXCERPT)
    return f"“{old[span]}”", f"“{new[span]}”"


def shown(value: object) -> str:
    return "nothing" if value is None or value == "" else str(value)


READERS: dict[str, Callable[[str, str], Iterator[str]]] = {"csv": in_results, "json": in_object, "md": in_lines}
