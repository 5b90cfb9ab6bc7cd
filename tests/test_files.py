"""What must hold of the files that people have: they are read, or the refusal names the overrides that read them."""

from __future__ import annotations

import gzip
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from corpora import composed
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st
from malformed import tried
from shapes import (
    PAIRS,
    SHAPES,
    SOURCES,
    TARGETS,
    Shape,
    Write,
    as_csv,
    as_jsonl,
    as_tsv,
    file,
    files,
    lines,
    rows,
    segments,
    tabs,
    talks,
    two,
)

from ablate.config import BadInput, DataConfig, plain_line
from ablate.data.sources import corpora, hub
from ablate.data.sources.advice import override, position, suggestion
from ablate.data.sources.columns import Table, pairs_of
from ablate.data.sources.encodings import lines_of
from ablate.store.plain import config_from

OWN = DataConfig(loader="files")


def configured(path: Path, overrides: Sequence[str]) -> DataConfig:
    """As the command line would have it."""
    return config_from(composed(["data=files", f'data.path="{path}"', *overrides])).data


def advice(message: str) -> list[str]:
    """The overrides that a refusal ends with, the first where there is a choice, as a shell hands them on."""
    assert re.search(r" with '?data\.", message), message
    return shlex.split(re.split(r" with (?='?data\.)", message)[1].split(", or ")[0])


def read(data: DataConfig, said: list[str]) -> list[tuple[str, str]]:
    """All pairs, with the whitespace that is left of them when they are cleaned."""
    splits = corpora.read(data, said.append)
    return [(" ".join(one.split()), " ".join(other.split())) for pairs in splits.values() for one, other in pairs]


def refusal(data: DataConfig) -> str:
    with pytest.raises(BadInput) as refused:
        corpora.read(data, lambda line: None)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("name", SHAPES)
def test_a_file_is_read_or_following_the_advice_reads_it(name: str, tmp_path: Path) -> None:
    shape: Shape = SHAPES[name]
    path, overrides = shape.write(tmp_path), list(shape.given)
    if not shape.read:
        message = refusal(configured(path, overrides))
        assert str(tmp_path) in message
        overrides += advice(message)
        if advice(message)[0].startswith("data.path="):
            path = Path()
    assert read(configured(path, overrides), []) == PAIRS


@pytest.mark.parametrize("columns", ["st", "ist", "sta", "isit"])
@pytest.mark.parametrize("write", [as_tsv, as_csv])
def test_columns_are_taken_by_number_and_said_with_their_text(columns: str, write: object, tmp_path: Path) -> None:
    path = (as_tsv if write is as_tsv else as_csv)(columns)(tmp_path)
    data = replace(OWN, path=str(path), source_column=f"{columns.index('t') + 1}")
    data = replace(data, target_column=f"{columns.index('s') + 1}")
    said: list[str] = []
    assert read(data, said) == [(target, source) for source, target in PAIRS]
    (line,) = said
    assert "no header" in line
    assert re.search(rf"column {data.source_column} \({re.escape(TARGETS[0][:20])}.*as en", line)
    assert re.search(rf"column {data.target_column} \({re.escape(SOURCES[0][:20])}.*as fr", line)
    read(data, said)
    assert len(said) == 1  # once, however often it is read


@pytest.mark.parametrize(
    "header",
    [
        *[("en", "fr"), ("en", "de"), ("EN", "FR"), ("eng", "fra"), ("en_XX", "fr_XX"), ("de", "cs"), ("English", "x")],
        *[("English sentence", "French sentence"), ("text_en", "text_fr"), ("source", "target"), ("Source Text", "x")],
        *[
            ("src", "tgt"),
            ("sentence1", "sentence2"),
            ("0", "1"),
            ("translation.en", "translation.fr"),
            ("Français", "x"),
        ],
    ],
)
def test_a_header_is_no_pair_even_where_columns_are_taken_by_number(header: tuple[str, str], tmp_path: Path) -> None:
    path = as_csv("st", *header)(tmp_path)
    data = replace(OWN, path=str(path), source="en", target="fr", source_column="1", target_column="2")
    if header != ("0", "1"):  # in which "1" is a name
        assert read(data, []) == PAIRS
    named = replace(data, source_column=header[0], target_column=header[1])
    assert read(named, []) == PAIRS


@pytest.mark.parametrize(
    "first",
    [
        *[("Go.", "Va !"), ("Hi", "Salut"), ("he", "il"), ("No", "Non"), ("1", "Va !"), ("Hi.", "Hi."), ("I", "je")],
        *[("Text me.", "Écris-moi."), ("English is hard.", "L'anglais est dur."), ("hello", "bonjour"), ("", "rien")],
    ],
)
def test_a_first_pair_is_no_header(first: tuple[str, str], tmp_path: Path) -> None:
    path = file("a.tsv", "\t".join(first) + "\n" + tabs("st"))(tmp_path)
    data = replace(OWN, path=str(path), source_column="1", target_column="2")
    assert read(data, []) == [first, *PAIRS]


def test_lines_end_with_line_feeds_or_on_old_macs_with_carriage_returns() -> None:
    assert lines_of("a\nb\r\nc") == lines_of("a\rb\rc\r") == ["a", "b", "c"]
    assert lines_of("a\rb\nc\u2028d\x85e\x0bf\n") == ["a\rb", "c\u2028d\x85e\x0bf"]
    assert lines_of("a\n\n") == ["a", ""]


# What cannot be read.


REFUSED: dict[str, tuple[Write, list[str]]] = {
    "cp1252": (file("a.csv", "en,fr\nsummer,été\n".encode("cp1252")), ["a.csv", "0xe9", "iconv -f WINDOWS-1252"]),
    "UTF-16 without a mark": (file("a.csv", "en,fr\na,b\n".encode("utf-16-le")), ["a.csv", "iconv -f UTF-16LE"]),
    "half of UTF-16": (file("a.csv", "en,fr\na,b\n".encode("utf-16")[:-1]), ["a.csv", "not UTF-16"]),
    "a tab too many": (file("a.tsv", tabs("st", ("en", "fr")) + "a\tb\tc\n"), ["3 columns", "line 14", "'NF==2'"]),
    "a tab too few": (file("a.tsv", tabs("st", ("en", "fr")) + "a\n"), ["1 columns", "line 14", "'NF==2'"]),
    "a comma too many": (file("a.csv", "en,fr\na,b\na,b,c\n"), ["3 columns", "line 3", "quotation marks"]),
    "columns without names": (
        as_tsv("sta", "en", "fr"),
        ["2 columns in its first row", "3 in every", "names all"],
    ),
    "Excel": (file("a.xlsx", b"PK\x03\x04"), ["a.xlsx", "CSV UTF-8", ".csv"]),
    "Excel called csv": (file("a.csv", b"PK\x03\x04 and more"), ["a.csv", "Excel", "CSV UTF-8"]),
    "zip": (file("a.zip", b"PK\x03\x04"), ["a.zip", "unpack"]),
    "tar": (file("a.tar.gz", gzip.compress(b"x")), ["a.tar.gz", "unpack"]),
    "zstd": (file("a.tsv.zst", b"\x28\xb5\x2f\xfd"), ["a.tsv.zst", "zstd -d"]),
    "zstd called tsv": (file("a.tsv", b"\x28\xb5\x2f\xfd"), ["a.tsv", "zstd -d"]),
    "xliff": (file("a.xliff", "<xliff/>"), ["a.xliff", "tmx"]),
    "broken xz": (file("a.tsv.xz", b"\xfd7zXZ\x00nothing"), ["a.tsv.xz", "xz"]),
    "broken bzip2": (file("a.tsv.bz2", b"BZh9nothing"), ["a.tsv.bz2", "bzip2"]),
    "broken tmx": (file("a.tmx", "<tmx><body><tu>"), ["a.tmx", "tmx"]),
    "empty tmx": (file("a.tmx", "<tmx/>"), ["a.tmx", "empty"]),
    "broken json": (file("a.json", '[\n{"en": "a"},\n'), ["a.json", "json"]),
    "directives alone": (file("a.csv", "sep=;\r\n"), ["a.csv", "one column"]),
    "a separator that is none": (file("a.txt", '#separator:xyz\n#html:true\nsep="\na\tb\na\tb\na\n'), ["in line 6"]),
    "one side alone": (file("a.txt", lines(["One sentence.", "And another one."])), ["one column", "PATH.LANGUAGE"]),
    "sentences of Tatoeba": (as_tsv("ies"), ["1 may hold sentences", "Sentence pairs"]),
    "both sides one": (as_csv("st", "en", "fr"), ["both sides"]),
    "an element of lists": (as_jsonl({"en": [one], "fr": one} for one in SOURCES), ["column en", "row 1", "list"]),
    "talks that do not match": (
        files({"train.en": talks([*SOURCES, "More."]), "train.fr": talks(TARGETS)}),
        ["talk 1", "12", "13 lines"],
    ),
    "segments that do not match": (
        files({"a.en.xml": segments(SOURCES), "a.fr.xml": segments(TARGETS, 2)}),
        ["segment 1"],
    ),
    "no segments": (files({"a.en.xml": "<doc/>", "a.fr.xml": segments(TARGETS)}), ["a.en.xml", "<seg>"]),
    "two training sets": (files({**two("train.en-fr"), **two("train.fr-en")}), ["train.en-fr", "data.path="]),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_read_is_refused_with_a_remedy(what: str, tmp_path: Path) -> None:
    write, expected = REFUSED[what]
    data = replace(OWN, path=str(write(tmp_path)))
    data = replace(data, source_column="1", target_column="1") if what == "both sides one" else data
    message = refusal(data)
    assert all(part in message for part in [str(tmp_path), *expected]), message


@pytest.mark.parametrize("what", ["cp1252", "UTF-16 without a mark", "a tab too many", "a tab too few"])
def test_a_command_that_a_refusal_names_makes_a_file_that_is_read(what: str, tmp_path: Path) -> None:
    path = REFUSED[what][0](tmp_path)
    command = re.search(r"(iconv|awk) .*? OLD > NEW", refusal(replace(OWN, path=str(path))))
    assert command
    if shutil.which(command[1]) is None:
        pytest.skip(f"there is no {command[1]}")
    mended = path.with_name(f"mended{path.suffix}")
    subprocess.run(command[0].replace("OLD", str(path)).replace("NEW", str(mended)), shell=True, check=True)
    assert read(replace(OWN, path=str(mended)), []) in (PAIRS, [("summer", "été")], [("a", "b")])


# Folders of IWSLT.


def test_a_folder_of_iwslt_has_its_sets(tmp_path: Path) -> None:
    contents: dict[str, str | bytes] = {"train.tags.en-fr.en": talks(SOURCES), "train.tags.en-fr.fr": talks(TARGETS)}
    for name, part in {"dev2010": slice(2), "tst2010": slice(2, 5), "tst2011": slice(5, 9)}.items():
        for language, sentences in (("en", SOURCES), ("fr", TARGETS)):
            contents[f"IWSLT14.TED.{name}.en-fr.{language}.xml"] = segments(sentences[part])
    said: list[str] = []
    splits = corpora.read(replace(OWN, path=str(files(contents)(tmp_path))), said.append)
    assert splits == {"train": PAIRS, "validation": PAIRS[:2], "test": PAIRS[2:9]}
    assert any("tst2010" in line and "tst2011" in line and "test" in line for line in said)


def test_talks_must_match_one_by_one(tmp_path: Path) -> None:
    """A line that is missing from one talk and one that is too many in another would move the pairs between them."""
    files({"train.en": talks(SOURCES) + talks(SOURCES), "train.fr": talks(TARGETS) + talks(TARGETS)})(tmp_path)
    assert read(replace(OWN, path=str(tmp_path)), []) == PAIRS + PAIRS
    files({"train.fr": talks(TARGETS[1:]) + talks([*TARGETS, "De trop."])})(tmp_path)
    assert "talk 1 has 12 lines" in refusal(replace(OWN, path=str(tmp_path)))


def test_tags_in_text_that_is_not_of_talks_stay(tmp_path: Path) -> None:
    files({"train.en": "<title>One</title>\nTwo\n", "train.fr": "<title>Un</title>\nDeux\n"})(tmp_path)
    assert read(replace(OWN, path=str(tmp_path)), []) == [("<title>One</title>", "<title>Un</title>"), ("Two", "Deux")]


# Advice on any names.

names = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.sampled_from(["en", "EN", "fr", "eng", "English", "src", "target", "1", "2", "de", "null", "a.b", "a.c"]),
    ),
    min_size=2,
    max_size=5,
    unique=True,
)


@given(names, st.booleans())
@example(['"', "\\"], True)
@example(["a\\", 'b\\"c'], False)
@example(["null", "true"], True)
@example(["EN", "en "], True)
@tried(150)
def test_advice_on_columns_of_any_names_reads_two_of_them(names: list[str], given_names: bool) -> None:
    table = Table("a table", names, lambda place: [f"text {place}"])
    data = replace(OWN, source_column="none of these", target_column="nor this") if given_names else OWN
    message = ""
    try:
        pairs_of(table, data, lambda line: None)
    except BadInput as refused:
        message = plain_line(str(refused))
    clause = suggestion(names, range(len(names)), data) if message and "both sides" not in message else ""
    assert message.endswith(plain_line(clause))
    if clause:
        parsed = OverridesParser.create().parse_overrides(advice(message))
        values = {str(each.key_or_group).removeprefix("data."): str(each.value()) for each in parsed}
        ((source, target),) = pairs_of(table, replace(data, **values), lambda line: None)
        assert source != target
    elif message:
        assert len(names) > 2 or not {"1", "2"}.isdisjoint(names) or len({name.casefold() for name in names}) < 2


@given(st.text(min_size=1, max_size=12).filter(lambda text: text.isprintable() and "${" not in text))
@example('\\"')
@example("\\")
@example("'\"'\\\\")
@example("0123")
@example("1e5")
@example("null")
@tried(200)
def test_an_override_means_its_value_to_a_shell_and_hydra(value: str) -> None:
    (argument,) = shlex.split(override("data.source_column", value))
    (parsed,) = OverridesParser.create().parse_overrides([argument])
    assert str(parsed.value()) == value


def test_a_name_comes_before_its_case_and_its_case_before_a_number() -> None:
    assert position(["x", "EN", "en"], "en") == 2
    assert position(["x", " En"], "en") == 1
    assert position(["EN", "En"], "en") is None
    assert position(["2", "1"], "1") == 1
    assert position(["x", "y"], "2") == 1
    assert position(["x", "y"], "3") is position(["x"], "0") is None


@pytest.mark.parametrize("roles", [("source", "target"), ("eng", "fra"), ("English", "French")])
@pytest.mark.parametrize("inside", [False, True])
def test_advice_on_a_set_of_the_hub_reads_it(
    roles: tuple[str, str], inside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datasets import Dataset, DatasetDict

    made = [dict(zip(roles, pair)) for pair in PAIRS]
    sets = DatasetDict(train=Dataset.from_list([{"translation": row} for row in made] if inside else made))
    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "answers", lambda name: True)
    monkeypatch.setattr(hub, "load", lambda data, offline: sets)
    data = DataConfig(loader="hub", name="owner/set")
    values = dict(each.removeprefix("data.").split("=") for each in advice(refusal(data)))
    assert read(replace(data, **values), []) == PAIRS


def test_tables_are_as_long_as_their_pairs() -> None:
    """What the laws above take for granted."""
    assert len(rows("st")) == len(set(PAIRS)) == 12
