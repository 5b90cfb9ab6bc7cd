"""Which columns of a table hold the two sides of a pair."""

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

WHOLE = "translation"  # what a column that holds both sides is usually called
SAMPLE = 50  # rows that are looked at to tell text from numbers
NO_TEXT = re.compile(
    r"[\d\s.,:+-]*|https?://\S*|[\w-]+(\.[\w-]+)+|CC[ -]BY.*", re.ASCII
)  # numbers, addresses, licences
HALF = re.compile("[\ud800-\udfff]")  # a surrogate, of which JSON can hold one without the other
CODE = re.compile(r"[a-z]{2,3}([-_]\w{2,4})?", re.ASCII)  # of languages


@dataclass(frozen=True)
class Table:
    """Columns by their names, in which a dot leads into a struct ("translation.en"); "" and twins are allowed."""

    where: str  # what messages call it
    names: list[str]
    column: Callable[[int], list[Any]]  # the values of the column at a place of `names`
    header: bool = True  # whether the names come from the table; otherwise they are "1", "2", ...


def table_of(dataset: Dataset, where: str) -> Table:
    """A Hugging Face `Dataset` as a table."""
    flat = dataset.flatten()
    names = list(flat.column_names)
    # a column by its name would be read row by row
    return Table(where, names, lambda place: list(flat.select_columns([names[place]])[:][names[place]]))


def pairs_of(table: Table, data: DataConfig, say: Say) -> Pairs:
    """The table's pairs, in its order; what has no text is an empty side. BadInput names the override that helps.

    The sides lie in one column of {language: text}, or in two: `data` names either, or they are found by the languages.
    A column is found by its name, then by its name in another case, then by its number from 1.
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
    """Names that others chose, for a message of one line."""
    short = [" ".join(name.split())[:60] for name in names[:20]]
    return ", ".join(short) + (f" and {len(names) - 20} more" if len(names) > 20 else "") or "none"


def _places(table: Table, data: DataConfig) -> tuple[int, int]:
    """The places of the source's and the target's column."""
    named = [wanted(data, side) for side in ROLES]
    for prefix in _prefixes(table, data):
        inner = [name.removeprefix(prefix) if name.startswith(prefix) else "" for name in table.names]
        source, target = (None if prefix and name.isdecimal() else position(inner, name) for name in named)
        if source is not None and target is not None:
            if source == target:
                raise BadInput(f"{table.where}: column {_name(table, source)} is taken for both sides")
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
    """What may stand before both names, in the order of preference."""
    if data.column is not None:
        return [f"{data.column}."]
    structs = list(dict.fromkeys(f"{name.rpartition('.')[0]}." for name in table.names if "." in name))
    structs.sort(key=lambda prefix: prefix != f"{WHOLE}.")
    plain_first = data.source_column is not None or data.target_column is not None
    return ["", *structs] if plain_first else [*structs, ""]


def _advice(table: Table, data: DataConfig) -> str:
    """Its columns, and what to set to read them."""
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
    """The columns by name, with the parts of those that are structs; without a header, their number and first text."""
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
    """A column's name with the beginning of its first text."""
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
            raise BadInput(f"column {name} of {where} is no text: row {row:,} holds a {type(value).__name__}")
        if value and not value.isascii() and HALF.search(value):
            raise BadInput(f"column {name} of {where} is no text: row {row:,} holds half a character")
    return [value or "" for value in values]
