"""Parallel text as plain files: a file a language, a sentence a line, lines of the same number translations.

Files are UTF-8, with or without gzip. Whatever is wrong with one is BadInput, which says where.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable
from itertools import product
from pathlib import Path

from ablate.config import BadInput, DataConfig
from ablate.data.raw import Pairs


def read_pairs(source: Path, target: Path) -> Pairs:
    """Line by line. A line that is blank on one side is a pair all the same."""
    sides = read_lines(source), read_lines(target)
    if len(sides[0]) != len(sides[1]):
        (fewer, shorter), (more, longer) = sorted(zip(map(len, sides), (source, target)), key=lambda side: side[0])
        raise BadInput(
            f"{shorter} has {fewer:,} lines and {longer.name} has {more:,}: line {fewer + 1} of {longer.name} has no "
            "partner; the two files must match line by line"
        )
    return list(zip(*sides))


def read_lines(path: Path) -> list[str]:
    """A text file's lines. Only a line feed ends a line, with or without a carriage return before it."""
    lines = read_text(path).split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def read_text(path: Path) -> str:
    """A text file as it was meant: unpacked, decoded, without byte-order mark."""
    content = read_bytes(path)
    try:
        text = content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadInput(
            f"{path} is not UTF-8: byte 0x{content[error.start]:02x} at offset {error.start:,}, in line {line:,}"
            f"{' (of the unpacked text)' if path.suffix == '.gz' else ''}; save it as UTF-8"
        ) from None
    if not text.strip():
        raise BadInput(f"{path} is empty")
    return text


def read_bytes(path: Path) -> bytes:
    """A file's content, unpacked where its name ends in .gz."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadInput(f"{path} is not whole as gzip ({error}); pack it again, or drop the .gz of its name") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror or type(error).__name__})") from None


def split_sides(folder: Path, names: Iterable[str], data: DataConfig) -> tuple[Path, Path] | None:
    """The files of a split, for which any of `names` will do; None where it is missing in every language.

    Of a file that is there packed and unpacked, the unpacked one is taken. A side without the other is BadInput.
    """
    for name in names:
        if any(sides := [side(folder / name, language) for language in (data.source, data.target)]):
            return both(folder / name, sides, data)
    return None


def side(prefix: Path, language: str) -> Path | None:
    """`prefix`.`language`, packed or not; None where there is neither."""
    for ending in ("", ".gz"):
        if (path := prefix.with_name(f"{prefix.name}.{language}{ending}")).is_file():
            return path
    return None


def both(prefix: Path, sides: list[Path | None], data: DataConfig) -> tuple[Path, Path]:
    """The two sides of `prefix`, or BadInput that says which is missing and what languages there are."""
    source, target = sides
    if source is None or target is None:
        missing = data.source if source is None else data.target
        raise BadInput(
            f"{prefix.name}.{missing}[.gz] is missing from {prefix.parent}; {prefix.name} is there in "
            f"{', '.join(languages(prefix)) or 'no language'}"
        )
    return source, target


def languages(prefix: Path) -> list[str]:
    """The languages that `prefix` is there in."""
    names = (path.name.removesuffix(".gz") for path in prefix.parent.iterdir() if path.is_file())
    ends = {name.removeprefix(f"{prefix.name}.") for name in names if name.startswith(f"{prefix.name}.")}
    return sorted(end for end in ends if end and "." not in end)


def present(folder: Path) -> str:
    """What lies in a folder, for messages: a few names."""
    names = sorted(path.name for path in folder.iterdir())
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return (", ".join(names[:8]) + more) or "nothing"


def patterns(names: Iterable[str], data: DataConfig) -> str:
    """The names of files that were looked for, for messages."""
    return ", ".join(f"{name}.{language}[.gz]" for name, language in product(names, (data.source, data.target)))
