"""Read the user's own sentence pairs from the files in `data.path`. `data.split` makes the splits that are missing."""

from __future__ import annotations

import re
from pathlib import Path

from ablate.config import BadInput, DataConfig
from ablate.data.raw import Pairs, Say, Splits
from ablate.data.sources.advice import ROLES, override, wanted
from ablate.data.sources.encodings import UNPACK, without_packing
from ablate.data.sources.sides import KINDS, advice, both, endings, prefixes, present, read_pairs, side, split_sides
from ablate.data.sources.tabular import FORMATS, format_of, read_table
from ablate.system.places import expanded

_printed: set[str] = set()


def read(data: DataConfig, say: Say) -> Splits:
    """The pairs of each split.

    data.path is a folder of {split}.{language}[.gz] or of {split}.{format}[.gz]; a folder of one pair of files or one
    table with any name; one table; or what the names of two files {path}.{language}[.gz] have in common.
    """
    if not data.path:
        raise BadInput(
            "data=files needs data.path=: a folder of {split}.{language}[.gz], a table of pairs "
            f"({', '.join(FORMATS)}), or what two files PATH.{data.source} and PATH.{data.target} have in common"
        )
    path = expanded(data.path, "data.path")
    lines: list[str] = []  # dropped if the files are refused, so that the error is the only line
    try:
        splits = _read(path, data, lines.append)
    except OSError as error:
        raise BadInput(f"data.path={data.path} cannot be read ({error.strerror or type(error).__name__})") from error
    for line in lines:
        _say_once(say, line)
    return splits


def credit(data: DataConfig) -> str:
    return "The user's own files."


def _say_once(say: Say, line: str) -> None:
    """Print a line once, although a corpus is read twice: for its fingerprint, and to be prepared."""
    if line not in _printed:
        _printed.add(line)
        say(line)


def _read(path: Path, data: DataConfig, say: Say) -> Splits:
    if path.is_dir():
        return _folder(path, data, say)
    return {"all": _table(path, data, say) if path.is_file() else _prefix(path, data, say)}


def _folder(folder: Path, data: DataConfig, say: Say) -> Splits:
    splits: Splits = {}
    for split, names in SPLITS.items():
        sides, tables = split_sides(folder, names, data), _tables(folder, names)
        if sides is not None:
            splits[split] = read_pairs(*sides, say)
        elif len(tables) > 1:
            raise BadInput(f"data.path={data.path} has {split} in {' and in '.join(path.name for path in tables)}")
        elif tables:
            splits[split] = read_table(tables[0], data, say)
        elif others := [name for name in prefixes(folder, data) if re.fullmatch(LONG_NAMES[split], name)]:
            splits[split] = _joined(folder, split, others, data, say)
    if not splits:
        return {"all": _only(folder, data, say)}
    if "train" not in splits:
        raise BadInput(_without_train(folder, data))
    return splits if len(splits) > 1 else {"all": splits["train"]}


def _joined(folder: Path, split: str, names: list[str], data: DataConfig, say: Say) -> Pairs:
    """The pairs of several test sets, concatenated. Raises BadInput for several training sets."""
    if split == "train" and len(names) > 1:
        raise BadInput(f"{folder} has more than one training set: {_choices(folder, names)}")
    say(f"{folder}: taking {' and '.join(names)} as {split} set")
    return [pair for name in names for pair in _prefix(folder / name, data, say)]


def _only(folder: Path, data: DataConfig, say: Say) -> Pairs:
    """The pairs of the only table or the only two text files in a folder where no file is named after a split."""
    texts = prefixes(folder, data)
    tables = [path.name for path in sorted(folder.iterdir()) if path.is_file() and format_of(path) is not None]
    named = texts + [name for name in tables if not re.search(r"\.txt\b|\.json\b|\.tab\b", name)]
    if len(named) != 1:
        choices = named or tables or [path.name for path in sorted(folder.iterdir()) if path.is_dir()]
        message = _without_train(folder, data)
        raise BadInput(f"{message}: {_choices(folder, choices)}" if choices and " with " not in message else message)
    say(f"{folder} has no train.{data.source} and train.{data.target}: taking {named[0]}")
    return _prefix(folder / named[0], data, say) if texts else read_table(folder / named[0], data, say)


def _choices(folder: Path, names: list[str]) -> str:
    return f"take one with {', or '.join(override('data.path', str(folder / name)) for name in names[:5])}"


def _without_train(folder: Path, data: DataConfig) -> str:
    names = [f"train.{wanted(data, role)}[.gz]" for role in ROLES]
    start = (
        f"data.path={data.path} has neither {names[0]} and {names[1]} nor "
        f"train.{{{','.join(FORMATS)}}}[.gz]; there are {present(folder)}"
    )
    stems = {without_packing(path.name) for path in folder.iterdir() if path.is_file()}
    stems = {Path(name.removesuffix(Path(name).suffix) if name.endswith(KINDS[1:]) else name).stem for name in stems}
    pairs = [stem for stem in sorted(stems) if len(endings(folder / stem)) > 1 and advice(folder / stem, data)]
    if len(pairs) != 1 and "train" not in pairs:
        return start
    stem = "train" if "train" in pairs else pairs[0]
    path = "" if stem == "train" else f" {override('data.path', str(folder / stem))}"
    return f"{start}{advice(folder / stem, data)}{path}"


def _tables(folder: Path, names: tuple[str, ...]) -> list[Path]:
    """The tables of a split, which should be one. A packed file counts only if there is no unpacked one.

    A txt file may be anything, so it counts only if there is no other table.
    """
    found = []
    for name, kind in ((name, kind) for name in names for kind in FORMATS):
        found += [path for ending in ("", *UNPACK) if (path := folder / f"{name}.{kind}{ending}").is_file()][:1]
    return [path for path in found if format_of(path) != "txt"] or found


def _table(path: Path, data: DataConfig, say: Say) -> Pairs:
    if format_of(path) is None:
        raise BadInput(f"data.path={data.path} is a file of no known format; {_remedy(path, data)}")
    return read_table(path, data, say)


def _remedy(path: Path, data: DataConfig) -> str:
    """Advice for a file that is not a table."""
    name = without_packing(path.name)
    for role in ROLES:
        for kind in KINDS:
            prefix = path.with_name(name.removesuffix(f".{wanted(data, role)}{kind}"))
            if prefix.name != name and all(side(prefix, wanted(data, other)) for other in ROLES):
                return f"it is one of two text files: take both with {override('data.path', str(prefix))}"
    if Path(name).suffix.lower() in REMEDIES:
        return REMEDIES[Path(name).suffix.lower()]
    return (
        f"it may end in .{', .'.join(FORMATS)}, each with .gz or without; of two text files give what their names have "
        "in common"
    )


def _prefix(path: Path, data: DataConfig, say: Say) -> Pairs:
    sides = [side(path, wanted(data, role)) for role in ROLES]
    if path.parent.is_dir() and any(sides):
        return read_pairs(*both(path, sides, data), say)
    there = f"; {path.parent} has {present(path.parent)}{advice(path, data)}" if path.parent.is_dir() else ""
    raise BadInput(
        f"data.path={data.path} is neither a folder nor a file, nor are there "
        f"{' and '.join(f'{path.name}.{wanted(data, role)}[.gz]' for role in ROLES)}{there}"
    )


SPLITS = {"train": ("train",), "validation": ("val", "valid", "validation", "dev"), "test": ("test",)}
_PAIR = r"[\w]{2,8}-[\w]{2,8}"
LONG_NAMES = {  # names such as train.de-en.de, and those of IWSLT
    "train": rf"train(\.tags)?\.{_PAIR}",
    "validation": rf"(val|valid|validation|dev|IWSLT\d+\.TE\w+\.dev\d+)\.{_PAIR}",
    "test": rf"(test|IWSLT\d+\.TE\w+\.tst\d+)\.{_PAIR}",
}
_SHEET = "save the sheet as CSV UTF-8 and give that"
_UNPACK = "unpack it and give the folder or file that is in it"
REMEDIES = {
    **dict.fromkeys((".xlsx", ".xls", ".ods", ".numbers"), _SHEET + f" (it may end in .{', .'.join(FORMATS)})"),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z", ".rar"), _UNPACK),
    ".zst": "unpack it with zstd -d and give what comes out",
    **dict.fromkeys((".xliff", ".xlf", ".sdlxliff", ".po", ".mo"), "save its pairs as tmx, or as csv with a header"),
    **dict.fromkeys((".arrow", ".feather"), "save the table as parquet"),
    **dict.fromkeys(
        (".sgm", ".sgml", ".xml"), "its pairs must be in two files PREFIX.LANGUAGE.xml with <seg> elements"
    ),
}
