"""Anybody's own sentence pairs, in files that `data.path` names. Splits that are not there are made elsewhere."""

from __future__ import annotations

from pathlib import Path

from ablate.config import BadInput, DataConfig
from ablate.data.raw import Pairs, Say, Splits
from ablate.data.tables import FORMATS, format_of, read_table
from ablate.data.text import both, present, read_pairs, side, split_sides
from ablate.places import expanded


def read(data: DataConfig, say: Say) -> Splits:
    """The splits that are there.

    data.path is a folder of {split}.{language}[.gz] or of {split}.{csv,tsv,jsonl,parquet}[.gz]; or one such table; or
    what two files {path}.{language}[.gz] have in common.
    """
    if not data.path:
        raise BadInput(
            "data=files needs data.path=: a folder of {split}.{language}[.gz], a table of pairs "
            f"({', '.join(FORMATS)}), or what two files PATH.{data.source} and PATH.{data.target} have in common"
        )
    path = expanded(data.path, "data.path")
    try:
        if path.is_dir():
            return _folder(path, data)
        if path.is_file():
            return {"all": _table(path, data)}
        return {"all": _prefix(path, data)}
    except OSError as error:
        raise BadInput(f"data.path={data.path} cannot be read ({error.strerror or type(error).__name__})") from error


def credit(data: DataConfig) -> str:
    return "Files of one's own."


def _folder(folder: Path, data: DataConfig) -> Splits:
    splits: Splits = {}
    for split, names in SPLITS.items():
        sides, tables = split_sides(folder, names, data), _tables(folder, names)
        if sides is not None:
            splits[split] = read_pairs(*sides)
        elif len(tables) > 1:
            raise BadInput(f"data.path={data.path} has {split} in {' and in '.join(path.name for path in tables)}")
        elif tables:
            splits[split] = read_table(tables[0], data)
    if "train" not in splits:
        raise BadInput(
            f"data.path={data.path} has neither train.{data.source}[.gz] and train.{data.target}[.gz] nor "
            f"train.{{{','.join(FORMATS)}}}[.gz]; there are {present(folder)}"
        )
    return splits if len(splits) > 1 else {"all": splits["train"]}


def _tables(folder: Path, names: tuple[str, ...]) -> list[Path]:
    """The tables of a split, of which one is enough; a packed one counts only where it is not there unpacked."""
    unpacked = [folder / f"{name}.{kind}" for name in names for kind in FORMATS]
    either = [(path, path.with_name(f"{path.name}.gz")) for path in unpacked]
    return [plain if plain.is_file() else packed for plain, packed in either if plain.is_file() or packed.is_file()]


def _table(path: Path, data: DataConfig) -> Pairs:
    if format_of(path) is None:
        raise BadInput(
            f"data.path={data.path} is a file of no known format; it may end in .{', .'.join(FORMATS)}, each with .gz "
            "or without; of two text files give what their names have in common"
        )
    return read_table(path, data)


def _prefix(path: Path, data: DataConfig) -> Pairs:
    sides = [side(path, language) for language in (data.source, data.target)]
    if path.parent.is_dir() and any(sides):
        return read_pairs(*both(path, sides, data))
    there = f"; {path.parent} has {present(path.parent)}" if path.parent.is_dir() else ""
    raise BadInput(
        f"data.path={data.path} is neither a folder nor a file, nor are there {path.name}.{data.source}[.gz] and "
        f"{path.name}.{data.target}[.gz]{there}"
    )


SPLITS = {"train": ("train",), "validation": ("val", "valid", "validation", "dev"), "test": ("test",)}
