"""Parallel text as plain files: a file for each language, a sentence on each line, translations on the same line.

The files are `prefix`.`ending`. The ending is the language, or what data.source_column and data.target_column name.
After it there may be .txt, .xml or .sgm, and the ending of a compression.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from itertools import chain, product, zip_longest
from pathlib import Path

from ablate.config import BadInput, DataConfig
from ablate.data.raw import Pairs, Say
from ablate.data.sources.advice import ROLES, suggestion, wanted
from ablate.data.sources.encodings import UNPACK, read_lines, read_text, without_packing
from ablate.data.sources.tabular import format_of

PACKED = ("", *UNPACK)
KINDS = ("", ".txt", ".xml", ".sgm", ".sgml")
ENDING = re.compile(r"[\w-]+")
SEGMENT = re.compile(r"<seg\b([^>]*)>(.*?)</seg>", re.DOTALL | re.IGNORECASE)
TALKS = re.compile(r"\s*<(url|talkid)>")  # in the training files of IWSLT
MARKUP = re.compile(r"\s*</?(url|talkid|title|description|keywords|speaker|reviewer|translator|doc)\b")


def read_pairs(source: Path, target: Path, say: Say) -> Pairs:
    """Pair the lines of two files. A line that is blank on one side is also a pair."""
    sides = _sentences(source, target, say)
    (fewer, shorter), (more, longer) = sorted(zip(map(len, sides), (source, target)), key=lambda side: side[0])
    surplus = max(sides, key=len)[fewer:]
    if any(line.strip() for line in surplus):
        raise BadInput(
            f"{shorter} has {fewer:,} lines and {longer.name} has {more:,}: line {fewer + 1} of {longer.name} has no "
            "translation; the two files must match line by line"
        )
    if surplus:
        say(f"{longer}: ignoring {len(surplus)} blank lines at its end, which {shorter.name} does not have")
    return list(zip(*sides))


def split_sides(folder: Path, names: Iterable[str], data: DataConfig) -> tuple[Path, Path] | None:
    """The files of a split under the first of `names` that exists; None if there is none in either language.

    An unpacked file is preferred to a packed one. Raises BadInput if only one side is there.
    """
    for name in names:
        if any(sides := [side(folder / name, wanted(data, role)) for role in ROLES]):
            return both(folder / name, sides, data)
    return None


def side(prefix: Path, ending: str) -> Path | None:
    """The file `prefix`.`ending`, packed or not, or the only one that differs just in case; None if there is none."""
    if not ENDING.fullmatch(ending):  # a column's name, or a path that leads out of the folder
        return None
    names = [f".{ending}{kind}{packed}" for packed in PACKED for kind in KINDS]
    names += [f"-{role}.{ending}.sgm{packed}" for packed in PACKED for role in ("src", "ref")]  # the names of WMT
    for name in names:
        if (path := prefix.with_name(prefix.name + name)).is_file():
            return path
    folded = {name.casefold() for name in names}
    same = [path for path in _files(prefix.parent, prefix.name) if path.name[len(prefix.name) :].casefold() in folded]
    return same[0] if len(same) == 1 else None


def both(prefix: Path, sides: list[Path | None], data: DataConfig) -> tuple[Path, Path]:
    """The two sides of `prefix`. If one is missing, BadInput names it and says how to use the files that are there."""
    source, target = sides
    if source is None or target is None:
        missing = wanted(data, "source" if source is None else "target")
        raise BadInput(
            f"{prefix.name}.{missing}[.gz] is missing from {prefix.parent}; {prefix.name} is there in "
            f"{', '.join(endings(prefix)) or 'no language'}{advice(prefix, data)}"
        )
    return source, target


def advice(prefix: Path, data: DataConfig) -> str:
    """How to use the files of `prefix` that are there, as the end of a message; empty if no choice is clear."""
    there = endings(prefix)
    clause = suggestion(there, range(len(there)), data)
    return f": {clause}" if clause else ""


def endings(prefix: Path) -> list[str]:
    """The endings of the files that begin with `prefix`; most are languages."""
    found = set()
    for path in _files(prefix.parent, prefix.name):
        name = without_packing(path.name).removeprefix(prefix.name)
        ending = name.removesuffix(next((kind for kind in KINDS[1:] if name.endswith(kind)), ""))
        if ENDING.fullmatch(ending[1:]) and ending[0] == "." and format_of(Path(f"x{ending}")) is None:
            found.add(ending[1:])
    return sorted(found)


def prefixes(folder: Path, data: DataConfig) -> list[str]:
    """The prefixes of the files in a folder that are there in both languages."""
    found = set()
    for path in _files(folder):
        ending = re.escape(wanted(data, "source"))
        name = re.fullmatch(rf"(.+?)(-src|-ref)?\.{ending}(\.txt|\.xml|\.sgml?)?", without_packing(path.name), re.I)
        if name and side(folder / name[1], wanted(data, "target")) is not None:
            found.add(name[1])
    return sorted(found)


def present(folder: Path) -> str:
    """The names of the first few files in a folder, for messages."""
    names = sorted(path.name for path in folder.iterdir())
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return (", ".join(names[:8]) + more) or "nothing"


def patterns(names: Iterable[str], data: DataConfig) -> str:
    """The names of the files that were looked for, for messages."""
    return ", ".join(f"{name}.{language}[.gz]" for name, language in product(names, (data.source, data.target)))


def _files(folder: Path, start: str = "") -> list[Path]:
    """The files of a folder whose names begin with `start`; none if there is no folder."""
    there = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in there if path.name.startswith(start) and path.is_file())


def _sentences(source: Path, target: Path, say: Say) -> list[list[str]]:
    """The sentences of both files: lines without markup, or segments."""
    if all(Path(without_packing(path.name)).suffix in (".xml", ".sgm", ".sgml") for path in (source, target)):
        return _segments(source, target)
    sides = [read_lines(source), read_lines(target)]
    if not any(TALKS.match(line) for lines in sides for line in lines):
        return sides
    talks = [_talks(lines) for lines in sides]
    for number, (one, other) in enumerate(zip_longest(*talks, fillvalue=[]), start=1):
        if len(one) != len(other):  # a pair that is off by one puts all later pairs off
            raise BadInput(
                f"talk {number:,} has {len(one):,} lines in {source} and {len(other):,} in {target.name}, without "
                "markup (<url>, <talkid>, <title> ...); the two files must match line by line"
            )
    say(f"{source} and {target.name}: ignoring lines of markup (<url>, <talkid>, <title> ...)")
    return [list(chain(*each)) for each in talks]


def _talks(lines: list[str]) -> list[list[str]]:
    """The lines of each talk, without those of markup."""
    talks: list[list[str]] = [[]]
    for line in lines:
        if not MARKUP.match(line):
            talks[-1].append(line)
        elif TALKS.match(line) and talks[-1]:
            talks.append([])
    return talks


def _segments(*paths: Path) -> list[list[str]]:
    """The segments of files of WMT and IWSLT. Their numbers must match."""
    found = [SEGMENT.findall(read_text(path)) for path in paths]
    for path, segments in zip(paths, found):
        if not segments:
            raise BadInput(f"{path} has no segments (<seg>...</seg>)")
    for number, (one, other) in enumerate(zip(*([re.findall(r"\d+", name) for name, _ in some] for some in found)), 1):
        if one != other:
            raise BadInput(f"segment {number:,} of {paths[0]} has another number than that of {paths[1].name}")
    return [[html.unescape(" ".join(text.split())) for _, text in segments] for segments in found]
