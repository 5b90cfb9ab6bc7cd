"""Find the two columns of a table that hold the sides of a pair."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any

from ablate.config import BadInput, DataConfig
from ablate.data.raw import Pairs, Say
from ablate.data.sources.advice import ROLES, position, suggestion, wanted

if TYPE_CHECKING:
    from datasets import Dataset

WHOLE = "translation"  # the usual name of a column that holds both sides
SAMPLE = 50  # rows that are inspected to tell text from numbers
# values that are not sentences: numbers, addresses, licences
NO_TEXT = re.compile(r"[\d\s.,:+-]*|https?://\S*|[\w-]+(\.[\w-]+)+|CC[ -]BY.*", re.ASCII)
HALF = re.compile("[\ud800-\udfff]")  # half of a surrogate pair, which JSON can hold
CODE = re.compile(r"[a-z]{2,3}([-_]\w{2,4})?", re.ASCII)  # of languages


@dataclass(frozen=True)
class Table:
    """Columns with their names. A dot leads into a struct ("translation.en"). Names may be empty or repeated."""

    where: str  # the name of the table in messages
    names: list[str]
    column: Callable[[int], list[Any]]  # the values of the column with this index in `names`
    header: bool = True  # whether the table has names; otherwise they are "1", "2", ...


def table_of(dataset: Dataset, where: str) -> Table:
    """A Hugging Face `Dataset` as a table."""
    flat = dataset.flatten()
    names = list(flat.column_names)
    # indexing by name alone would read row by row
    return Table(where, names, lambda place: list(flat.select_columns([names[place]])[:][names[place]]))


def pairs_of(table: Table, data: DataConfig, say: Say) -> Pairs:
    """The table's pairs, in its order. A missing text is an empty side. BadInput names an override that would help.

    The sides are in one column of {language: text} or in two columns, which `data` names or the languages identify.
    A column is found by its name, then by its name in another case, then by its number, which counts from 1.
    """
    places = _places(table, data)
    values = [table.column(place) for place in places]
    if not values[0]:
        raise BadInput(f"{table.where} is empty")
    named = [wanted(data, side) for side in ROLES]
    taken = [table.names[place] for place in places]
    if not table.header or any(name not in (given, given.rpartition(".")[2]) for name, given in zip(named, taken)):
        sides = zip(places, values, (data.source, data.target))
        say(
            f"{table.where}{'' if table.header else ' has no header'}: taking "
            + " and ".join(f"column {_shown(table, place, some)} as {language}" for place, some, language in sides)
        )
    source, target = (_texts(some, _name(table, place), table.where) for some, place in zip(values, places))
    return list(zip(source, target))


def shown(names: list[str]) -> str:
    """Names from a file, shortened for a message of one line."""
    short = [" ".join(name.split())[:60] for name in names[:20]]
    return ", ".join(short) + (f" and {len(names) - 20} more" if len(names) > 20 else "") or "none"


def _places(table: Table, data: DataConfig) -> tuple[int, int]:
    """The indices of the source's and the target's column."""
    named = [wanted(data, side) for side in ROLES]
    for prefix in _prefixes(table, data):
        inner = [name.removeprefix(prefix) if name.startswith(prefix) else "" for name in table.names]
        source, target = (None if prefix and name.isdecimal() else position(inner, name) for name in named)
        if source is not None and target is not None:
            if source == target:
                raise BadInput(f"{table.where}: both sides are the column {_name(table, source)}")
            return source, target
    if data.column is not None:
        raise BadInput(
            f"data.column={data.column} of {table.where} does not hold {' and '.join(named)}; {_advice(table, data)}"
        )
    missing = next((name for name in named if position(table.names, name) is None), named[0])
    what = "more than one" if missing in table.names else "no"
    if not table.header:
        raise BadInput(f"{table.where} has no header that names {missing}; {_advice(table, data)}")
    raise BadInput(f"{table.where} has {what} column {missing}; {_advice(table, data)}")


def _prefixes(table: Table, data: DataConfig) -> list[str]:
    """Prefixes that both names may have, in order of preference."""
    if data.column is not None:
        return [f"{data.column}."]
    structs = list(dict.fromkeys(f"{name.rpartition('.')[0]}." for name in table.names if "." in name))
    structs.sort(key=lambda prefix: prefix != f"{WHOLE}.")
    plain_first = data.source_column is not None or data.target_column is not None
    return ["", *structs] if plain_first else [*structs, ""]


def _advice(table: Table, data: DataConfig) -> str:
    """The columns of the table, and what to set to read them."""
    texts = [place for place in range(len(table.names)) if _is_text(table, place)]
    columns = f"its columns are {_described(table)}"
    clause = suggestion(table.names, texts, data)
    if clause:
        return f"{columns}: {clause}"
    if len(texts) < len(ROLES):
        return (
            f"{columns}, of which {len(texts)} may hold sentences, and pairs need two columns of them, which are named "
            "by data.source_column= and data.target_column=. Of Tatoeba take the export Sentence pairs"
        )
    return f"{columns}: set data.source_column= and data.target_column= to two of them, or to their numbers"


def _described(table: Table) -> str:
    """The columns by name, structs with their parts; without a header, each column's number and first text."""
    if not table.header:
        return shown([_shown(table, place, table.column(place)) for place in range(len(table.names))])
    names = [_name(table, place) for place in range(len(table.names))]
    described = []
    for parent, inner in groupby(names, lambda name: name.rpartition(".")[0]):
        parts = [name.removeprefix(f"{parent}.") for name in inner]
        described += [f"{parent} ({', '.join(sorted(parts))})"] if parent else parts
    return shown(described)


def _name(table: Table, place: int) -> str:
    return table.names[place] or f"{place + 1} (without a name)"


def _shown(table: Table, place: int, values: list[Any]) -> str:
    """A column's name and the beginning of its first text."""
    first = next((" ".join(value.split()) for value in values if isinstance(value, str) and value.strip()), "empty")
    return f"{_name(table, place)} ({first[:30]}{'...' if len(first) > 30 else ''})"


def _is_text(table: Table, place: int) -> bool:
    """Whether a column may be a side: most of its first values are text, and not numbers, addresses or codes."""
    values = [value for value in islice(table.column(place), SAMPLE) if value not in (None, "")]
    texts = [value for value in values if isinstance(value, str) and not NO_TEXT.fullmatch(value.strip())]
    if all(CODE.fullmatch(text) for text in texts) and 3 * len(set(texts)) <= max(3, len(texts)):
        return False
    return 2 * len(texts) > len(values)


def _texts(values: list[Any], name: str, where: str) -> list[str]:
    for row, value in enumerate(values, start=1):
        if not (value is None or isinstance(value, str)):
            raise BadInput(f"column {name} of {where} is not text: row {row:,} has a {type(value).__name__}")
        if value and not value.isascii() and HALF.search(value):
            raise BadInput(f"column {name} of {where} is not text: row {row:,} has half of a surrogate pair")
    return [value or "" for value in values]
