"""Tables of text with a separator between the columns: csv, tsv, and txt files with columns.

In csv, quotation marks enclose cells; in tsv they are ordinary characters, unless the whole file uses them as csv does.
The separator is the first one of the format with which all rows have the same number of columns, two or more.
"""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Iterator
from pathlib import Path

from ablate.config import BadInput, DataConfig
from ablate.data.raw import Say
from ablate.data.sources.advice import ROLES, wanted
from ablate.data.sources.columns import Table
from ablate.data.sources.encodings import lines_of, read_text
from ablate.data.sources.languages import CODES, language_in, words_in

TAB, PIPES = "\t", " ||| "
SEPARATORS = {  # by format, the usual one first
    "csv": (",", ";", TAB, "|"),
    "tsv": (TAB, ",", ";", "|"),
    "tab": (TAB, ",", ";", "|"),
    "txt": (TAB, PIPES, ";", "|", ",", " "),
}
NAMES = {"comma": ",", "semicolon": ";", "tab": TAB, "pipe": "|", "space": " "}
_BESIDE = """
id ids idx index nr text texts sentence sentences word words phrase score lang language url domain split label reference
ref unnamed alt column col
"""
HEADINGS = {  # words in names of columns
    *_BESIDE.split(),
    *(word for words in ROLES.values() for word in words),
    *(name for name in CODES if len(name) > 3),
}
DIRECTIVE = re.compile(  # of Anki, and of Excel
    r"#(separator|html|columns|deck|notetype|tags|[\w ]+ column):[ \t]*([^\r\n]*)\r?\n|(sep)=([^\r\n])\r?\n"
)
TAG = re.compile(r"[a-z]{2,3}([-_]\w{2,4})?", re.ASCII | re.IGNORECASE)  # "en", "eng", "en_XX", "en-US", "eng_Latn"
NAME = re.compile(r"[\w-]+([ .:_/-]+[\w-]+)*")  # a column's name ends in a letter, a sentence does not


class Ragged(Exception):
    """The text is not a table with this separator. `width` is the number of columns in its first row."""

    def __init__(self, width: int, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.width = width
        self.remedy = remedy


def read_delimited(path: Path, kind: str, data: DataConfig, say: Say) -> Table:
    """The table in a file. The content of the first row decides whether it is a header."""
    text, separators, is_html = _directives(read_text(path), SEPARATORS[kind])
    separator, rows = _rows(path, text, separators, kind)
    if separator != SEPARATORS[kind][0]:
        say(
            f"{path} does not use {_called(SEPARATORS[kind][0])}s as {kind} usually does: "
            f"taking {_called(separator)}s as separators"
        )
    if is_html:
        say(f"{path} declares that its text is HTML: removing the tags")
        rows = [[html.unescape(re.sub("<[^>]*>", " ", cell)) for cell in row] for row in rows]
    names = [name.strip() for name in rows[0]]
    header = _is_header(names, data)
    body = rows[1:] if header else rows
    names = names if header else [str(place + 1) for place in range(len(names))]
    return Table(str(path), names, lambda place: [row[place] for row in body], header)


def _directives(text: str, separators: tuple[str, ...]) -> tuple[str, tuple[str, ...], bool]:
    """The text without the directives of Excel and Anki, the separators to try, and whether the text is HTML.

    Blank lines replace the directives, so that lines keep their numbers.
    """
    given: dict[str, str] = {}
    rest = text
    while directive := DIRECTIVE.match(rest):
        given[directive[1] or directive[3]] = directive[2] or directive[4]
        rest = rest[directive.end() :]
    named = given.get("sep") or given.get("separator", "").lower()
    separator = NAMES.get(named, named)
    blank = "\n" * (text.count("\n") - rest.count("\n") - ("columns" in given))
    header = f"{given['columns']}\n" if "columns" in given else ""
    separators = (separator,) if separator in NAMES.values() else separators
    return blank + header + rest, separators, given.get("html") == "true"


def _rows(path: Path, text: str, separators: tuple[str, ...], kind: str) -> tuple[str, list[list[str]]]:
    """The first separator with which all rows have the same number of columns, two or more; and the rows."""
    failures = [(Ragged(1, ""), separators[0])]
    for separator in separators:
        for quoted in _quotings(text, separator, kind):
            try:
                rows = _rectangular(_parsed(text, separator, quoted))
            except Ragged as ragged:
                if separator != " ":  # which is in any sentence
                    failures.append((ragged, separator))
                continue
            if rows and len(rows[0]) >= 2:
                return separator, rows
    failure, separator = max(failures, key=lambda one: one[0].width)
    if failure.width < 2:
        raise BadInput(
            f"{path} has one column: it has no {' and no '.join(map(_called, separators))} in every line. "
            "If it is one of two text files, name them PATH.LANGUAGE and set data.path=PATH"
        )
    remedy = failure.remedy or (
        f"to read the others, drop such lines by: awk -F'\\t' 'NF=={failure.width}' OLD > NEW"
        if separator == TAB and kind != "csv"
        else f"put text that contains a {_called(separator)} in quotation marks, and double those inside it"
    )
    raise BadInput(f"{path} {failure}; {remedy}")


def _quotings(text: str, separator: str, kind: str) -> list[bool]:
    """Whether to try parsing quotation marks, in order. Between tabs, parsing comes first only if all are as in csv."""
    if separator in (PIPES, " "):
        return [False]
    if separator != TAB or kind == "csv":
        return [True]
    return [True, False] if _quotes_as_csv(text) else [False, True]


def _quotes_as_csv(text: str) -> bool:
    """Whether every cell with a quotation mark is a quoted csv cell, and one of them has a doubled quotation mark."""
    cells = [cell for line in lines_of(text) if '"' in line for cell in line.split(TAB) if '"' in cell]
    return any('""' in cell[1:-1] for cell in cells) and all(re.fullmatch('"([^"]|"")*"', cell) for cell in cells)


def _parsed(text: str, separator: str, quoted: bool) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the number of its last line."""
    if not quoted:
        yield from ((number, line.split(separator)) for number, line in enumerate(lines_of(text), 1) if line)
        return
    # skipinitialspace: a quotation mark also opens a cell after ", "
    file = io.StringIO(text, newline="")
    rows = csv.reader(file, strict=True, delimiter=separator, skipinitialspace=separator != TAB)
    yield from ((rows.line_num, row) for row in _strictly(rows) if row)


def _strictly(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    width = 0
    try:
        for row in rows:
            width = width or len(row)
            yield row
    except csv.Error as error:
        raise Ragged(width, f"cannot be read at line {rows.line_num:,}: {error}") from None  # type: ignore[attr-defined]


def _rectangular(rows: Iterator[tuple[int, list[str]]]) -> list[list[str]]:
    """The rows, if all have the same number of columns. Empty cells beyond the columns of the first row do not count.

    R writes row numbers without a column name, so a first row that lacks one name gets an empty one in front.
    """
    kept: list[list[str]] = []
    named = width = 0  # columns of the first row, and of the others
    for number, row in rows:
        named = named or len(row)
        while len(row) > named and not row[-1].strip():
            row.pop()
        if len(kept) < 2:
            width = named + 1 if kept and len(row) == named + 1 else named
        if len(row) != width:
            raise Ragged(named, f"has {len(row)} columns in line {number:,} and {len(kept[-1])} in the line before it")
        kept.append(row)
    if width > named:
        if not all(row[0].isdecimal() for row in kept[1:]):
            problem = f"has {named} columns in its first row and {width} in every other"
            raise Ragged(named, problem, "begin it with a row that names all of its columns")
        kept[0].insert(0, "")
    return kept


def _is_header(names: list[str], data: DataConfig) -> bool:
    """Whether the first row is a header: it has a name that is looked for, or another usual name of a column."""
    looked_for = {name.casefold() for side in ROLES for name in (getattr(data, side), wanted(data, side))}
    if any(name.casefold() in looked_for and not name.isdecimal() for name in names):
        return True
    filled = [name for name in names if name]
    if filled == [str(number) for number in range(len(filled))]:  # pandas writes these for columns without names
        return True
    if len(set(filled)) == len(filled) and all(TAG.fullmatch(name) and language_in(name[:3]) for name in filled):
        return True
    return any(NAME.fullmatch(name) and _is_heading(words_in(name.replace(".", " "))) for name in names)


def _is_heading(words: list[str]) -> bool:
    return not HEADINGS.isdisjoint(words) and all(word in HEADINGS or word in CODES for word in words)


def _called(separator: str) -> str:
    return next((name for name, sign in NAMES.items() if sign == separator), separator.strip())
