"""Which columns of a table, a Hugging Face `Dataset` wherever it comes from, hold the two sides of a pair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ablate.config import BadInput, DataConfig
from ablate.data.raw import Pairs

if TYPE_CHECKING:
    from datasets import Dataset

WHOLE = "translation"  # what a column that holds both sides is usually called


def pairs_of(table: Dataset, data: DataConfig, where: str) -> Pairs:
    """The table's pairs, in its order; what has no text is an empty side. BadInput names the columns that are there.

    The sides lie in one column of {language: text}, or in two: `data` names either, or they are found by the languages.
    """
    whole = _whole(table, data, where)
    if whole is not None:
        rows = [row or {} for row in table[:][whole]]
        sides = [[row.get(language) for row in rows] for language in (data.source, data.target)]
        names = [f"{whole}.{data.source}", f"{whole}.{data.target}"]
    else:
        names = [data.source_column or data.source, data.target_column or data.target]
        for key, name in zip(("source_column", "target_column"), names):
            if name not in table.column_names:
                raise BadInput(
                    f"{where} has no column {name}; its columns are {described(table)}: name the one to take "
                    f"with data.{key}="
                )
        columns = table.select_columns(sorted(set(names)))[:]  # a column by its name would be read row by row
        sides = [columns[name] for name in names]
    if not sides[0]:
        raise BadInput(f"{where} is empty")
    source, target = (_texts(values, name, where) for values, name in zip(sides, names))
    return list(zip(source, target))


def described(table: Dataset) -> str:
    """The columns by name, with the languages of those that hold more than one."""
    parts = []
    for name in table.column_names:
        inner = _languages(table, name)
        parts.append(f"{name} ({', '.join(sorted(inner))})" if inner else name)
    return shown(parts)


def shown(names: list[str]) -> str:
    """Names that others chose, for a message of one line."""
    short = [" ".join(name.split())[:60] for name in names[:20]]
    return ", ".join(short) + (f" and {len(names) - 20} more" if len(names) > 20 else "") or "none"


def _whole(table: Dataset, data: DataConfig, where: str) -> str | None:
    """The column that holds both sides; None where they have a column each."""
    wanted = {data.source, data.target}
    if data.column is not None:
        if data.column not in table.column_names:
            raise BadInput(f"{where} has no column {data.column}; its columns are {described(table)}")
        if not wanted <= _languages(table, data.column):
            raise BadInput(
                f"data.column={data.column} of {where} does not hold {data.source} and {data.target}; its columns are "
                f"{described(table)}"
            )
        return data.column
    if data.source_column is not None or data.target_column is not None:
        return None
    found = [name for name in table.column_names if wanted <= _languages(table, name)]
    return min(found, key=lambda name: name != WHOLE) if found else None


def _languages(table: Dataset, column: str) -> set[str]:
    """The keys of a `translation` feature, or of any struct; none for other columns."""
    feature: Any = table.features[column]
    if hasattr(feature, "languages"):
        return set(feature.languages)
    return set(feature) if isinstance(feature, dict) else set()


def _texts(values: list[Any], name: str, where: str) -> list[str]:
    for row, value in enumerate(values):
        if not (value is None or isinstance(value, str)):
            raise BadInput(f"column {name} of {where} is no text: row {row + 1} holds a {type(value).__name__}")
    return [value or "" for value in values]
