"""Tables of sentence pairs in one file, packed or not: text with separators, json, parquet and tmx."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ablate.config import BadInput, DataConfig
from ablate.data.raw import Pairs, Say
from ablate.data.sources.columns import Table, pairs_of
from ablate.data.sources.delimited import read_delimited
from ablate.data.sources.encodings import lines_of, read_bytes, read_text, without_packing


def read_table(path: Path, data: DataConfig, say: Say) -> Pairs:
    """The pairs in the columns that `data` names, one for each row. Raises BadInput for a file that cannot be read."""
    kind = format_of(path)
    assert kind is not None
    return pairs_of(FORMATS[kind](path, kind, data, say), data, say)


def format_of(path: Path) -> str | None:
    """The member of FORMATS that a file's name ends in; None if it ends in none."""
    ending = Path(without_packing(path.name)).suffix.removeprefix(".").lower()
    return ending if ending in FORMATS else None


def _json(path: Path, kind: str, data: DataConfig, say: Say) -> Table:
    """Rows that are objects {column: text} or lists of texts; either one on each line, or all in one list."""
    text = read_text(path)
    try:
        rows = None if kind in ("jsonl", "ndjson") else json.loads(text)
    except (ValueError, RecursionError) as error:
        rows = None  # many .json files have a row on each line
        if re.match(r"\s*\[\s*[{\[]?\s*\n", text):  # this file is one list
            raise BadInput(f"{path} cannot be read as json ({error})") from None
    rows = list(_lines(path, text)) if rows is None else _rows(path, rows)
    if all(isinstance(row, list) for row in rows):
        width = max(map(len, rows), default=0)
        names = [str(place + 1) for place in range(width)]
        return Table(str(path), names, lambda place: [row[place] if place < len(row) else None for row in rows], False)
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise BadInput(f"{path} cannot be read as {kind}: row {number:,} is not an object of columns")
    flat = [dict(_flat(row)) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    if not names:
        raise BadInput(f"{path} is empty")
    return Table(str(path), names, lambda place: [row.get(names[place]) for row in flat])


def _lines(path: Path, text: str) -> Iterator[Any]:
    for number, line in enumerate(lines_of(text), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise BadInput(f"{path} cannot be read as json: line {number:,} is not JSON ({error})") from None
            if not isinstance(row, dict | list):
                raise BadInput(f"{path} cannot be read as json: line {number:,} is not an object of columns")
            yield row


def _rows(path: Path, whole: Any) -> list[Any]:
    """The rows of a json document: a list, by itself or in an object; or an object of whole columns."""
    if isinstance(whole, list):
        return whole
    if isinstance(whole, dict):
        lists = [value for value in whole.values() if isinstance(value, list) and value]
        if len(lists) == 1 and isinstance(lists[0][0], dict | list):
            return lists[0]
        # pandas writes a column as {row: value}
        columns = {name: list(value.values()) if isinstance(value, dict) else value for name, value in whole.items()}
        lengths = {len(column) if isinstance(column, list) else None for column in columns.values()}
        if len(columns) > 1 and len(lengths) == 1 and None not in lengths:
            return [dict(zip(columns, row)) for row in zip(*columns.values())]
        return [whole]
    raise BadInput(f"{path} cannot be read as json: it has no list of rows")


def _flat(row: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if isinstance(value, dict) and above.count(".") < 5:
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _parquet(path: Path, kind: str, data: DataConfig, say: Say) -> Table:
    from pyarrow import parquet, types

    content = read_bytes(path)
    if not content:
        raise BadInput(f"{path} is empty")
    try:
        table = parquet.read_table(io.BytesIO(content))
        while any(types.is_struct(field.type) for field in table.schema):
            table = table.flatten()
    except Exception as error:  # pyarrow raises its own errors, OSError and others
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise BadInput(f"{path} cannot be read as parquet: {reason[:300]}") from error

    def column(place: int) -> list[Any]:
        try:
            return list(table.column(place).to_pylist())
        except UnicodeDecodeError:
            name = table.column_names[place]
            raise BadInput(f"{path} cannot be read as parquet: column {name} is not UTF-8") from None

    return Table(str(path), list(table.column_names), column)


def _tmx(path: Path, kind: str, data: DataConfig, say: Say) -> Table:
    """Translation memories, https://www.gala-global.org/tmx-14b: a unit has a variant for each language."""
    rows: list[dict[str, str]] = []
    try:
        for _, unit in ElementTree.iterparse(io.BytesIO(read_bytes(path))):
            if unit.tag.rpartition("}")[2] == "tu":
                rows.append({})
                for variant in unit.iterfind("{*}tuv"):
                    language = variant.get("{http://www.w3.org/XML/1998/namespace}lang") or variant.get("lang") or ""
                    segments = ("".join(segment.itertext()) for segment in variant.iterfind("{*}seg"))
                    rows[-1].setdefault(language, "".join(segments))
                unit.clear()
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise BadInput(f"{path} cannot be read as tmx: {error}") from None
    names = list(dict.fromkeys(language for row in rows for language in row))
    if not names:
        raise BadInput(f"{path} is empty")
    return Table(str(path), names, lambda place: [row.get(names[place]) for row in rows])


FORMATS: dict[str, Callable[[Path, str, DataConfig, Say], Table]] = {
    "csv": read_delimited,
    "tsv": read_delimited,
    "jsonl": _json,
    "parquet": _parquet,
    "json": _json,
    "ndjson": _json,
    "tmx": _tmx,
    "tab": read_delimited,
    "txt": read_delimited,
}
