"""Files of parallel text in the shapes in which people have them, all of the same pairs."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

WORDS = [(one, two, three) for one in ("cat", "dog", "sun") for two in ("réd", "bleu") for three in ("tea", "été")]
PAIRS = [
    (f'The {one}, "{two}" and {three} of number {number}.', f"Le {one}, «{two}» et {three} n'est pas {number} !")
    for number, (one, two, three) in enumerate(WORDS)
]
SOURCES, TARGETS = ([pair[side] for pair in PAIRS] for side in (0, 1))
Write = Callable[[Path], Path]


@dataclass(frozen=True)
class Shape:
    """`write(folder)` gives data.path; the pairs are read as they are, or once the advice of a refusal is followed."""

    write: Write
    read: bool = True  # whether it is read at once
    given: tuple[str, ...] = ()  # overrides that the user gives from the start


def files(contents: dict[str, str | bytes], path: str = "") -> Write:
    def write(folder: Path) -> Path:
        for name, content in contents.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return folder / path

    return write


def file(name: str, content: str | bytes) -> Write:
    return files({name: content}, name)


BESIDE: dict[str, Callable[[int], str]] = {  # columns that tables have beside the sentences
    "i": lambda number: str(number + 1),
    "0": lambda number: str(number),
    "f": lambda number: f"1.{number:03}",
    "a": lambda number: f"CC-BY 2.0 (France) Attribution: tatoeba.org #{number} (user) & #{number + 1} (someone)",
    "d": lambda number: f"www.site-{number}.com",
    "u": lambda number: f"https://site.org/{number}",
    "e": lambda number: "eng",
    "r": lambda number: "fra",
    "-": lambda number: "",
}


def rows(columns: str, header: Sequence[str] = ()) -> list[list[str]]:
    """A row a pair, with s and t for the sides and letters of BESIDE for other columns."""
    cells = {"s": SOURCES.__getitem__, "t": TARGETS.__getitem__, **BESIDE}
    body = [[cells[column](number) for column in columns] for number in range(len(PAIRS))]
    return [list(header), *body] if header else body


def delimited(table: list[list[str]], **dialect: Any) -> str:
    text = io.StringIO()
    csv.writer(text, **dialect).writerows(table)
    return text.getvalue()


def tabs(columns: str, header: Sequence[str] = (), end: str = "\n") -> str:
    return "".join("\t".join(row) + end for row in rows(columns, header))


def as_csv(columns: str, *header: str, **dialect: Any) -> Write:
    return file("pairs.csv", delimited(rows(columns, header), **dialect))


def as_tsv(columns: str, *header: str) -> Write:
    return file("pairs.tsv", tabs(columns, header))


def objects(source: str, target: str) -> list[dict[str, str]]:
    return [{source: one, target: other} for one, other in PAIRS]


def as_jsonl(made: Iterable[Any], name: str = "pairs.jsonl") -> Write:
    return file(name, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made))


def as_json(made: Any) -> Write:
    return file("pairs.json", json.dumps(made, indent=1))


def parquet(made: list[dict[str, Any]]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(made), written := io.BytesIO())
    return bytes(written.getvalue())


def lines(sentences: Sequence[str], end: str = "\n") -> str:
    return "".join(sentence + end for sentence in sentences)


def two(stem: str, source: str = "en", target: str = "fr", **beside: str | bytes) -> dict[str, str | bytes]:
    return {f"{stem}.{source}": lines(SOURCES), f"{stem}.{target}": lines(TARGETS), **beside}


def talks(sentences: Sequence[str]) -> str:
    """As IWSLT's training files, of which only the translation names a translator."""
    translator = '<translator href="x">T</translator>\n' if sentences is TARGETS else ""
    marks = ("<url>http://x/{0}</url>", "<keywords>a, b</keywords>", "<speaker>S</speaker>", "<talkid>1</talkid>")
    return lines(marks) + "<title>Of x</title>\n<description>TED</description>\n" + translator + lines(sentences)


def segments(sentences: Sequence[str], first: int = 1) -> str:
    """As the test sets of IWSLT and WMT."""
    inner = lines([f'<seg id="{n}"> {escape(each, quote=False)} </seg>' for n, each in enumerate(sentences, first)])
    return f'<?xml version="1.0"?>\n<mteval><doc docid="1" genre="lectures">\n{inner}</doc></mteval>\n'


def tmx(source: str, target: str) -> str:
    sides = [[f'<tuv xml:lang="{source}"><seg>{escape(one)}</seg></tuv>' for one in SOURCES]]
    sides += [[f'<tuv xml:lang="{target}"><seg>{escape(other)}</seg></tuv>' for other in TARGETS]]
    units = lines([f"<tu>{one}{other}</tu>" for one, other in zip(*sides)])
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<tmx version="1.4"><header/><body>{units}</body></tmx>'


OPUS: dict[str, str | bytes] = {"README": "x\n", "LICENSE": "x\n", "OpenSubtitles.en-fr.ids": "x\ty\n" * len(PAIRS)}
QUOTED = lines(['"{}", "{}"'.format(*(side.replace('"', '""') for side in pair)) for pair in PAIRS])
HTML = [[escape(one, quote=False) + "<br>", other] for one, other in PAIRS]
ROLES = {"source": "input", "target": "output"}
TST2010, TEST2014 = "IWSLT14.TED.tst2010.en-fr", "newstest2014-fren"

SHAPES: dict[str, Shape] = {
    # Tables without a header.
    "two columns": Shape(as_tsv("st"), False),
    "ManyThings": Shape(file("fra.txt", tabs("sta")), False),
    "Tatoeba's sentence pairs": Shape(as_tsv("isit"), False),
    "tab ending": Shape(file("fra.tab", tabs("st")), False),
    "csv without header": Shape(as_csv("st"), False),
    "csv with numbers": Shape(as_csv("ist"), False),
    "WikiMatrix": Shape(file("WikiMatrix.en-fr.tsv.gz", gzip.compress(tabs("fst").encode())), False),
    "CCAligned": Shape(file("en_XX-fr_XX.tsv", tabs("dusut")), False),
    "JParaCrawl": Shape(file("en-fr.bicleaner05.txt", tabs("ddfst")), False),
    "languages beside": Shape(as_tsv("eirsit"), False),
    "fast_align": Shape(file("en-fr.txt", lines([" ||| ".join(pair) for pair in PAIRS])), False),
    "pipes": Shape(file("pairs.txt", delimited(rows("st"), delimiter="|")), False),
    "lists in json lines": Shape(as_jsonl(PAIRS), False),
    "lists in json": Shape(as_json(PAIRS), False),
    "Anki": Shape(file("a.txt", "#separator:tab\n#html:false\n#tags column:3\n" + tabs("st-")), False),
    # Tables with one.
    "Unicode text of Excel": Shape(
        file("a.txt", delimited(rows("st", ("en", "fr")), dialect=csv.excel_tab).encode("utf-16"))
    ),
    "Excel in Europe": Shape(file("a.csv", "\ufeff" + delimited(rows("st", ("en", "fr")), delimiter=";"))),
    "separator that Excel names": Shape(
        file("a.csv", "sep=;\r\n" + delimited(rows("st", ("en", "fr")), delimiter=";"))
    ),
    "csv with tabs": Shape(as_csv("st", "en", "fr", delimiter="\t")),
    "tsv with commas": Shape(file("a.tsv", delimited(rows("st", ("en", "fr"))))),
    "tsv of pandas": Shape(file("a.tsv", delimited(rows("st", ("en", "fr")), delimiter="\t", lineterminator="\n"))),
    "index of pandas": Shape(as_csv("0st", "", "en", "fr")),
    "index of pandas, read and written": Shape(as_csv("0st", "Unnamed: 0", "en", "fr")),
    "index of pandas alone": Shape(as_csv("0st", "", "0", "1"), False),
    "row names of R": Shape(as_tsv("ist", "en", "fr")),
    "spaces after commas": Shape(file("a.csv", "en, fr\n" + QUOTED)),
    "another case": Shape(as_csv("st", "EN", "Fr")),
    "another order": Shape(as_csv("ts", "French", "English"), False),
    "three letters": Shape(as_tsv("ist", "id", "eng", "fra"), False),
    "countries": Shape(as_tsv("st", "en_XX", "fr-FR"), False),
    "scripts": Shape(as_tsv("ts", "fra_Latn", "eng_Latn"), False),
    "source and target": Shape(as_csv("st", "source", "target"), False),
    "tgt and src": Shape(as_csv("its", "id", "tgt", "src"), False),
    "input and output": Shape(as_csv("st", "input", "output"), False),
    "numbered sentences": Shape(as_csv("stf", "sentence1", "sentence2", "score"), False),
    "names with spaces": Shape(as_csv("st", "English words/sentences", "French words/sentences"), False),
    "names to be quoted": Shape(as_jsonl(objects("English, it's \\", 'a "French" {}=')), False),
    "names that cannot be typed": Shape(as_jsonl(objects("\x1b ${x}", "${y}")), False),
    "a name twice": Shape(as_csv("st", "text", "text"), False),
    "a language twice": Shape(as_csv("st", "en", "en"), False),
    "another language": Shape(as_csv("st", "en", "de"), False),
    "a column that is not there": Shape(as_csv("st", "en", "fr"), False, given=("data.source_column=english",)),
    # Rows.
    "quoted line ends": Shape(file("a.csv", delimited(rows("st", ("en", "fr"))).replace(" and", "\nand"))),
    "empty cells behind": Shape(file("a.csv", "en,fr\n" + delimited(rows("st--")))),
    "csv of an old Mac": Shape(as_csv("st", "en", "fr", lineterminator="\r")),
    "tsv of an old Mac": Shape(file("a.tsv", tabs("st", ("en", "fr"), end="\r"))),
    "Anki with columns": Shape(
        file("a.txt", "#separator:Semicolon\n#html:true\n#columns:en;fr\n" + delimited(HTML, delimiter=";"))
    ),
    # json, parquet, tmx.
    "json": Shape(as_json(objects("en", "fr"))),
    "json lines called json": Shape(as_jsonl(objects("en", "fr"), "pairs.json")),
    "rows inside json": Shape(as_json({"version": "1", "data": objects("en", "fr")})),
    "columns in json": Shape(as_json({"en": SOURCES, "fr": TARGETS})),
    "json of pandas": Shape(as_json({"en": dict(enumerate(SOURCES)), "fr": dict(enumerate(TARGETS))})),
    "ndjson": Shape(as_jsonl(objects("en", "fr"), "pairs.ndjson")),
    "struct": Shape(as_jsonl({"translation": row} for row in objects("en", "fr"))),
    "struct of roles": Shape(as_jsonl({"id": "x", "translation": row} for row in objects("source", "target")), False),
    "struct of roles in parquet": Shape(
        file("a.parquet", parquet([{"x": row} for row in objects("src", "tgt")])), False
    ),
    "struct of other codes": Shape(as_jsonl({"translation": row} for row in objects("eng", "fra")), False),
    "struct inside a struct": Shape(as_jsonl({"a": {"b": row}} for row in objects("en", "fr"))),
    "a struct that is named": Shape(
        as_jsonl({"x": row} for row in objects("source", "target")), False, given=("data.column=x",)
    ),
    "tmx": Shape(file("en-fr.tmx", tmx("en", "fr"))),
    "tmx with countries": Shape(file("en-fr.tmx.gz", gzip.compress(tmx("EN-US", "fr-FR").encode())), False),
    # Two text files.
    "Moses": Shape(files(two("europarl-v7.fr-en"))),
    "OPUS": Shape(files({**two("OpenSubtitles.en-fr"), **OPUS})),
    "several of Moses": Shape(files({**two("a.fr-en"), "b.fr-en.en": "x\n", "b.fr-en.fr": "y\n"}), False),
    "a folder with spaces": Shape(files({**two("a b/it's.fr-en"), **two("a b/other")}, "a b"), False),
    "one of two files": Shape(files(two("europarl-v7.fr-en"), "europarl-v7.fr-en.en"), False),
    "fairseq": Shape(files(two("train.en-fr"))),
    "a folder in a folder": Shape(files(two("fr-en/train")), False),
    "an only table": Shape(files({"mine.csv": delimited(rows("st", ("en", "fr"))), "README.txt": "x\n"})),
    "several tables": Shape(files({"a.txt": tabs("st", ("en", "fr")), "about.txt": "x\n"}), False),
    "txt behind": Shape(files({"all.en.txt": lines(SOURCES), "all.fr.txt": lines(TARGETS)}, "all")),
    "capitals": Shape(files(two("train", "EN", "FR"))),
    "three letters in names": Shape(files(two("train", "eng", "fra")), False),
    "roles in names": Shape(files(two("train", "src", "trg", **{"train.id.gz": "x\n"})), False),
    "countries in names": Shape(files(two("x/train", "en_XX", "fr_XX"), "x/train"), False),
    "another language in names": Shape(files(two("train", target="de")), False),
    "two other languages": Shape(files(two("corpus", "de", "it")), False),
    "bzip2 and xz": Shape(
        files({"a.en.bz2": bz2.compress(lines(SOURCES).encode()), "a.fr.xz": lzma.compress(lines(TARGETS).encode())})
    ),
    "gzip without its ending": Shape(files({**two("train"), "train.en": gzip.compress(lines(SOURCES).encode())})),
    "an old Mac": Shape(files({**two("train"), "train.en": lines(SOURCES, "\r")})),
    "mixed line ends": Shape(files({**two("train"), "train.en": lines(SOURCES).replace("\n", "\r\n", 5)})),
    "blank lines at one end": Shape(files({**two("train"), "train.en": lines(SOURCES) + "\n \n"})),
    "TED": Shape(files({"train.tags.en-fr.en": talks(SOURCES), "train.tags.en-fr.fr": talks(TARGETS)})),
    "TED under other names": Shape(files({"train.en": talks(SOURCES), "train.fr": talks(TARGETS)})),
    "IWSLT": Shape(files({f"{TST2010}.en.xml": segments(SOURCES), f"{TST2010}.fr.xml": segments(TARGETS)}, TST2010)),
    "WMT": Shape(
        files({f"{TEST2014}-src.en.sgm": segments(SOURCES), f"{TEST2014}-ref.fr.sgm": segments(TARGETS)}, TEST2014)
    ),
}
