"""Which cases of a matrix the short suite runs; `pytest -m long` runs the others.

The short suite tries every law, and every member of a table in at least one case.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

import pytest


def case(*values: Any, short: bool) -> Any:
    return pytest.param(*values, marks=[] if short else pytest.mark.long)


def sometimes(cases: Iterable[Any], *always: Any) -> list[Any]:
    """Cases, of which only those named in `always` are short."""
    return [case(each, short=each in always) for each in cases]


def some_of(cases: Iterable[Any], every: int = 3) -> list[Any]:
    """Cases that are alike, of which every so many is short."""
    return [case(each, short=number % every == 0) for number, each in enumerate(cases)]


def each_once(*tables: Iterable[Any]) -> list[Any]:
    """The product of tables, of which only so many cases are short that every member of every table is in one."""
    columns = [list(table) for table in tables]
    rows = range(max(map(len, columns)))
    short = {tuple(number % len(column) for column in columns) for number in rows}
    return [
        case(*(member for _, member in cell), short=tuple(place for place, _ in cell) in short)
        for cell in product(*map(enumerate, columns))
    ]
