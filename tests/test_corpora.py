"""What must hold of corpora that others bring: in files of every format, from the hub, with official splits or none."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from waiting import PATIENCE, SOON

from ablate.config import BadInput, DataConfig
from ablate.data import numbers
from ablate.data.bounds import longest_reference
from ablate.data.clean import normalise, words
from ablate.data.corpus import Corpus
from ablate.data.prepare import check_size, fingerprint, prepare
from ablate.data.sources import corpora, hub
from ablate.data.vocabulary import END, START

Pairs = corpora.Pairs
WORDS = [f"{head}{tail}" for head in "bdfgklmnprstvz" for tail in ("a", "en", "ir", "ol", "un")]


def made_up(start: int, count: int) -> Pairs:
    """Pairs that have no sentence in common, with what text holds elsewhere: quotes, commas, "NA", accents."""
    pairs = []
    for number in range(start, start + count):
        this, that = WORDS[number % 70], WORDS[number // 70 % 70]
        pairs.append((f'The {this}, "{that}" NA {number}.', f"Le {this}\u00a0: «{that}» n'est pas l'été {number} !"))
    return pairs


SPLITS = {"train": made_up(0, 120), "validation": made_up(1000, 7), "test": made_up(2000, 9)}
PRESENT = [("train",), ("train", "validation"), ("train", "test"), ("train", "validation", "test")]
OWN = DataConfig(loader="files", name="own", validation_pairs=None, test_sentences=None)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_child: None) -> Path:
    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def silent(line: str) -> None:
    pass


def refusal(data: DataConfig) -> str:
    """The one line with which preparing it is refused, whether planned or done."""
    lines = []
    for attempt in (lambda: fingerprint(data, silent), lambda: prepare(data, silent)):
        with pytest.raises(BadInput) as caught:
            attempt()
        lines.append(str(caught.value))
    assert lines[0] == lines[1]
    assert "\n" not in lines[0]
    return lines[0]


# Every format


def write(path: Path, content: bytes, packed: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if packed:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content))
    else:
        path.write_bytes(content)


def as_text(stem: Path, pairs: Pairs, packed: bool) -> None:
    for language, side in (("en", 0), ("fr", 1)):
        write(stem.with_name(f"{stem.name}.{language}"), "".join(pair[side] + "\n" for pair in pairs).encode(), packed)


def delimited(pairs: Pairs, **dialect: Any) -> bytes:
    file = io.StringIO()
    csv.writer(file, **dialect).writerows([("number", "en", "fr"), *((7, *pair) for pair in pairs)])
    return file.getvalue().encode()


def as_csv(stem: Path, pairs: Pairs, packed: bool) -> None:
    write(stem.with_name(f"{stem.name}.csv"), delimited(pairs), packed)


def as_tsv(stem: Path, pairs: Pairs, packed: bool) -> None:
    content = delimited(pairs, delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None)
    write(stem.with_name(f"{stem.name}.tsv"), content, packed)


def as_jsonl(stem: Path, pairs: Pairs, packed: bool) -> None:
    lines = (json.dumps({"en": source, "fr": target}) + "\n" for source, target in pairs)
    write(stem.with_name(f"{stem.name}.jsonl"), "".join(lines).encode(), packed)


def as_translations(stem: Path, pairs: Pairs, packed: bool) -> None:
    lines = (json.dumps({"id": 1, "translation": {"en": source, "fr": target}}) + "\n" for source, target in pairs)
    write(stem.with_name(f"{stem.name}.jsonl"), "".join(lines).encode(), packed)


def as_parquet(stem: Path, pairs: Pairs, packed: bool) -> None:
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({"en": [source for source, _ in pairs], "fr": [target for _, target in pairs]})
    parquet.write_table(table, file := io.BytesIO())
    write(stem.with_name(f"{stem.name}.parquet"), file.getvalue(), packed)


FORMATS = {
    "text": as_text,
    "csv": as_csv,
    "tsv": as_tsv,
    "jsonl": as_jsonl,
    "translations": as_translations,
    "parquet": as_parquet,
}
TABLES = [name for name in FORMATS if name != "text"]
NAMES = {"train": "train", "validation": "val", "test": "test"}


def folder_of(folder: Path, present: tuple[str, ...], form: str = "text", packed: bool = False) -> DataConfig:
    for split in present:
        FORMATS[form](folder / NAMES[split], SPLITS[split], packed)
    return replace(OWN, path=str(folder))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("form", FORMATS)
def test_the_same_text_has_the_same_fingerprint_however_it_is_stored(form: str, packed: bool, tmp_path: Path) -> None:
    plain = folder_of(tmp_path / "plain", PRESENT[-1])
    other = folder_of(tmp_path / "other", PRESENT[-1], form, packed)
    assert corpora.read(other, silent) == SPLITS
    assert fingerprint(other) == fingerprint(plain)


@pytest.mark.parametrize("form", FORMATS)
def test_one_table_or_two_sides_are_a_folder_of_training_pairs(form: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "folder", ("train",))
    FORMATS[form](tmp_path / "mine", SPLITS["train"], False)
    (path,) = [tmp_path / "mine"] if form == "text" else tmp_path.glob("mine.*")
    assert corpora.read(replace(OWN, path=str(path)), silent) == {"all": SPLITS["train"]}
    assert fingerprint(replace(OWN, path=str(path))) == fingerprint(folder)


@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev"])
def test_a_validation_set_goes_by_several_names(name: str, tmp_path: Path) -> None:
    data = folder_of(tmp_path / "corpus", ("train",))
    as_text(tmp_path / "corpus" / name, SPLITS["validation"], True)
    assert corpora.read(data, silent)["validation"] == SPLITS["validation"]


@pytest.mark.parametrize("form", TABLES)
def test_columns_may_be_called_anything(form: str, tmp_path: Path) -> None:
    FORMATS[form](tmp_path / "mine", SPLITS["train"], False)
    (path,) = tmp_path.glob("mine.*")
    mine = replace(OWN, path=str(path), source="xx", target="yy")
    named = {"column": "translation"} if form == "translations" else {"source_column": "en", "target_column": "fr"}
    if form != "translations":
        assert corpora.read(replace(mine, **named), silent) == {"all": SPLITS["train"]}
    message = refusal(mine)
    assert "xx" in message
    assert "en" in message
    assert "fr" in message


def test_byte_order_marks_and_carriage_returns_do_not_count(tmp_path: Path) -> None:
    plain = folder_of(tmp_path / "plain", ("train",))
    for language, side in (("en", 0), ("fr", 1)):
        text = "\ufeff" + "\r\n".join(pair[side] for pair in SPLITS["train"])
        write(tmp_path / "other" / f"train.{language}", text.encode(), False)
    assert fingerprint(replace(OWN, path=str(tmp_path / "other"))) == fingerprint(plain)


def test_unusual_line_separators_end_no_line(tmp_path: Path) -> None:
    for language in ("en", "fr"):
        write(tmp_path / f"x.{language}", "one\u2028two\x0bthree\x85\nfour\n".encode(), False)
    assert len(corpora.read(replace(OWN, path=str(tmp_path / "x")), silent)["all"]) == 2


def test_a_corpus_is_called_after_its_path_unless_it_has_a_name() -> None:
    unnamed = replace(OWN, name="")
    assert replace(unnamed, path="somewhere/mine/").label == "mine"
    assert replace(unnamed, path="mine.csv").label == "mine.csv"
    assert replace(OWN, name="owner/set", path="mine.csv").label == "owner_set"


# Splits


@pytest.mark.parametrize("present", PRESENT, ids="+".join)
def test_official_sets_are_kept_whole_and_missing_ones_share_no_sentence(
    present: tuple[str, ...], tmp_path: Path
) -> None:
    said: list[str] = []
    metadata = prepare(folder_of(tmp_path / "corpus", present), said.append)
    corpus = Corpus.load(metadata["fingerprint"])
    assert metadata["official"] == [split for split in present if split != "train"]
    if "test" in present:
        expected = [(normalise(source), (normalise(target),)) for source, target in SPLITS["test"]]
        assert list(zip(corpus.sources, corpus.references)) == expected
    if "validation" in present:
        assert len(corpus.validation) == len(SPLITS["validation"])
    left = metadata["raw_pairs"] - sum(metadata["dropped"].values())
    assert left == len(corpus.train) + len(corpus.validation) + len(corpus.test)
    assert min(len(corpus.train), len(corpus.validation), len(corpus.test)) > 0
    assert ("overlaps" in metadata) == any("two sets" in line for line in said) == (len(present) > 1)
    for counts in metadata.get("overlaps", {}).values():
        assert counts == {"pairs": 0, "sources": 0, "targets": 0}


def test_nothing_official_is_dropped_and_overlaps_are_counted(tmp_path: Path) -> None:
    train = [*made_up(0, 60), ("", "Vide."), made_up(0, 1)[0]]
    source, target = made_up(3, 1)[0]
    validation = [(source.upper(), "Autre chose."), ("...", ""), *made_up(1000, 2)]
    test = [(source, target), (source, "Une autre."), ("Something else.", target), *made_up(2000, 2)]
    for split, pairs in {"train": train, "val": validation, "test": test}.items():
        as_text(tmp_path / "corpus" / split, pairs, False)
    said: list[str] = []
    metadata = prepare(replace(OWN, path=str(tmp_path / "corpus")), said.append)
    corpus = Corpus.load(metadata["fingerprint"])
    assert metadata["dropped"] == {"empty": 1, "duplicate": 1, "length": 0, "rare_words": 0}
    assert (len(corpus.train), len(corpus.validation), len(corpus.test)) == (60, 4, 5)
    assert corpus.sources[:2] == (normalise(source), normalise(source))  # a sentence for each pair
    assert corpus.references[:2] == ((normalise(target),), ("Une autre.",))
    assert corpus.test_sentence.tolist() == [0, 1, 2, 3, 4]
    assert all(np.array_equal(corpus.test.pair(i)[0], corpus.test_sources[i]) for i in range(5))
    assert metadata["overlaps"]["validation in train"] == {"pairs": 0, "sources": 1, "targets": 0}
    assert metadata["overlaps"]["test in train"] == {"pairs": 1, "sources": 2, "targets": 2}
    assert metadata["overlaps"]["test in validation"] == {"pairs": 0, "sources": 2, "targets": 0}
    assert sum("test in train: 1 pairs, 2 sources, 2 targets" in line for line in said) == 1
    assert metadata["blank"] == {"validation": 1, "test": 0}
    assert sum("kept and scored: 1 in validation" in line for line in said) == 1


def test_a_made_set_shares_no_sentence_with_what_is_left_to_train_on(tmp_path: Path) -> None:
    pairs = [(f"source {number // 2}.", f"target {number // 3}!") for number in range(120)]
    as_text(tmp_path / "corpus" / "train", pairs, False)
    as_text(tmp_path / "corpus" / "test", SPLITS["test"], False)
    metadata = prepare(replace(OWN, path=str(tmp_path / "corpus")), silent)
    assert metadata["validation_pairs"] > 0
    assert metadata["overlaps"]["validation in train"] == {"pairs": 0, "sources": 0, "targets": 0}


@pytest.mark.parametrize("present", PRESENT, ids="+".join)
def test_a_number_caps_official_sets_and_made_ones(present: tuple[str, ...], tmp_path: Path) -> None:
    data = replace(folder_of(tmp_path / "corpus", present), validation_pairs=3, test_sentences=2, train_pairs=50)
    metadata = prepare(data, silent)
    assert [metadata[key] for key in ("train_pairs", "validation_pairs", "test_sentences")] == [50, 3, 2]


# Length


def test_what_is_too_long_is_dropped_from_training_and_its_source_cut_elsewhere(tmp_path: Path) -> None:
    long = " ".join(["a"] * 40)
    pairs = {
        "train": [*SPLITS["train"], (long, "b"), ("b", long)],
        "val": [(long, "c")],
        "test": [("d", long), (long, "d")],
    }
    for split, members in pairs.items():
        as_text(tmp_path / "corpus" / split, members, False)
    said: list[str] = []
    data = replace(OWN, path=str(tmp_path / "corpus"), max_tokens=35)
    corpus = Corpus.load(prepare(data, said.append)["fingerprint"])
    cut = {"validation_cut": 1, "validation_target_cut": 0, "test_cut": 1, "test_target_cut": 0}
    assert corpus.metadata["too_long"] == {"train_dropped": 2, **cut}
    assert corpus.metadata["train_pairs"] == len(corpus.train) == len(SPLITS["train"])
    assert max(corpus.train.source_lengths.max(), corpus.train.target_lengths.max()) <= 35
    assert [len(tokens) for tokens in corpus.test_sources] == [corpus.test.source_lengths[0], 35]
    assert all(tokens[-1] == END for tokens in corpus.test_sources)
    assert corpus.validation.source_lengths.tolist() == [35]
    target = corpus.test.pair(0)[1]
    assert len(target) == 1 + 40 + 1  # not cut at so few
    assert (target[0], target[-1]) == (START, END)
    assert corpus.sources[1] == long  # its text stands as it was
    assert sum("max_tokens=35" in line and "2 training pairs" in line for line in said) == 1


@pytest.mark.parametrize("max_tokens", [35, 2000])
def test_very_long_references_are_cut_for_the_loss_and_stay_whole_in_the_text(max_tokens: int, tmp_path: Path) -> None:
    kept, long = (" ".join(["a"] * (words - 1)) for words in (longest_reference(max_tokens), 5001))  # and </s>
    train = [*SPLITS["train"], (" ".join(["a"] * 30), "b")]  # where "a" is learnt as one subword
    pairs = {"train": train, "val": [("c", long), ("c", kept)], "test": [("d", kept), ("d", long)]}
    for split, members in pairs.items():
        as_text(tmp_path / "corpus" / split, members, False)
    said: list[str] = []
    corpus = Corpus.load(
        prepare(replace(OWN, path=str(tmp_path / "corpus"), max_tokens=max_tokens), said.append)["fingerprint"]
    )
    for pairs_of, counted in ((corpus.validation, "validation_target_cut"), (corpus.test, "test_target_cut")):
        assert pairs_of.target_lengths.tolist() == [longest_reference(max_tokens)] * 2
        assert all(pairs_of.pair(index)[1][-1] == END for index in range(2))
        assert corpus.metadata["too_long"][counted] == 1
    assert corpus.references == ((kept,), (long,))
    most = f"{longest_reference(max_tokens):,}"
    assert sum(f"1 validation references, cut to {most} tokens, 1 test references" in line for line in said) == 1


@pytest.mark.parametrize("length", [2, 3, 4, 9])
def test_cutting_keeps_the_beginning_and_the_end_of_a_sentence(length: int) -> None:
    rows = [[7, 8, END], [END], [5, 6, 7, 8, 9, END]]
    tokens, offsets = numbers.cut(np.concatenate(rows).astype(np.int32), np.array([0, 3, 4, 10]), length)
    cut = [tokens[start:end].tolist() for start, end in pairwise(offsets)]
    assert cut == [row if len(row) <= length else [*row[: length - 1], END] for row in rows]


def test_a_corpus_smaller_than_a_batch_is_bad_input(tmp_path: Path) -> None:
    metadata = prepare(folder_of(tmp_path / "corpus", PRESENT[-1]), silent)
    check_size(metadata, metadata["train_tokens"])
    with pytest.raises(BadInput) as caught:
        check_size(metadata, metadata["train_tokens"] + 1)
    assert "train.batch_tokens" in str(caught.value)
    assert metadata["train_tokens"] == Corpus.load(metadata["fingerprint"]).train.target_lengths.sum()


# Bad input


def unequal(folder: Path) -> None:
    write(folder / "train.en", b"one\ntwo\nthree\n", False)
    write(folder / "train.fr", b"un\ndeux\n", False)


def one_side(folder: Path) -> None:
    folder_of(folder, ("train",))
    write(folder / "test.en", b"one\n", False)


def emptied(folder: Path) -> None:
    folder_of(folder, ("train",))
    (folder / "train.fr").write_bytes(b"\n\n")


def latin(folder: Path) -> None:
    folder_of(folder, ("train",))
    (folder / "train.fr").write_bytes("un\ndéjà\n".encode("latin-1"))


def broken_gzip(folder: Path) -> None:
    folder_of(folder, ("train",), packed=True)
    whole = (folder / "train.fr.gz").read_bytes()
    (folder / "train.fr.gz").write_bytes(whole[: len(whole) // 2])


def no_gzip(folder: Path) -> None:
    folder_of(folder, ("train",), packed=True)
    (folder / "train.fr.gz").write_bytes(b"un\ndeux\n")


def no_train(folder: Path) -> None:
    folder_of(folder, ("test",))


def two_tables(folder: Path) -> None:
    folder_of(folder, ("train",), "csv")
    folder_of(folder, ("train",), "jsonl")


BAD_FOLDERS: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "unequal": (unequal, ["2 lines", "has 3", "line 3"]),
    "one side": (one_side, ["test.fr", "en"]),
    "empty": (emptied, ["train.fr", "empty"]),
    "not UTF-8": (latin, ["train.fr", "0xe9", "offset 4", "line 2"]),
    "broken gzip": (broken_gzip, ["train.fr.gz", "gzip"]),
    "no gzip": (no_gzip, ["train.fr.gz", "gzip"]),
    "no train": (no_train, ["train.en", "test.en"]),
    "two tables": (two_tables, ["train.csv", "train.jsonl"]),
    "nothing": (lambda folder: folder.mkdir(), ["train.en", "nothing"]),
    "missing": (lambda folder: None, ["corpus.en", "neither"]),
}


@pytest.mark.parametrize("what", BAD_FOLDERS)
def test_a_bad_folder_is_refused_in_one_line(what: str, tmp_path: Path) -> None:
    make, expected = BAD_FOLDERS[what]
    make(tmp_path / "corpus")
    message = refusal(replace(OWN, path=str(tmp_path / "corpus")))
    assert all(part in message for part in expected), message


BAD_TABLES: dict[str, tuple[str, bytes, list[str]]] = {
    "empty csv": ("t.csv", b"", ["empty"]),
    "empty parquet": ("t.parquet", b"", ["empty"]),
    "header alone": ("t.csv", b"en,fr\n", ["empty"]),
    "no rows": ("t.jsonl", b"{}\n", ["empty"]),
    "half a letter": ("t.jsonl", b'{"en": "a", "fr": "\\ud800"}\n', ["t.jsonl"]),
    "missing column": ("t.csv", b"english,fr\na,b\n", ["no column en", "english, fr", "data.source_column="]),
    "missing column in tsv": ("t.tsv", b"en\tfrench\na\tb\n", ["no column fr", "en, french", "data.target_column="]),
    "missing column in jsonl": ("t.jsonl", b'{"en": "a", "x": "b"}\n', ["no column fr", "en, x"]),
    "missing language": ("t.jsonl", b'{"translation": {"de": "a", "it": "b"}}\n', ["translation (de, it)"]),
    "more columns": ("t.csv", b"en,fr\na,b\na,b,c\n", ["3 columns", "line 3"]),
    "open quote": ("t.csv", b'en,fr\na,"b\n', ["line 2"]),
    "column twice": ("t.csv", b"en,en\na,b\n", ["more than one column en", "data.source_column=1"]),
    "not UTF-8": ("t.csv", b"en,fr\na,\xe9\n", ["0xe9", "offset 8", "line 2"]),
    "not JSON": ("t.jsonl", b'{"en": "a", "fr": "b"}\n{"en": \n', ["line 2"]),
    "no objects": ("t.jsonl", b"1\n2\n", ["t.jsonl"]),
    "no text": ("t.jsonl", b'{"en": "a", "fr": 1}\n', ["column fr", "row 1"]),
    "not parquet": ("t.parquet", b"something else", ["parquet"]),
    "another format": ("t.xlsx", b"something else", [".csv", ".parquet"]),
}


@pytest.mark.parametrize("what", BAD_TABLES)
def test_a_bad_table_is_refused_in_one_line_and_leaves_nothing(what: str, tmp_path: Path, cache: Path) -> None:
    name, content, expected = BAD_TABLES[what]
    (tmp_path / name).write_bytes(content)
    message = refusal(replace(OWN, path=str(tmp_path / name)))
    assert all(part in message for part in [str(tmp_path / name), *expected]), message
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_a_line_that_is_blank_on_one_side_is_dropped(tmp_path: Path) -> None:
    as_text(tmp_path / "mine", [*SPLITS["train"], ("A line.", ""), ("", "Une ligne.")], False)
    assert prepare(replace(OWN, path=str(tmp_path / "mine")), silent)["dropped"]["empty"] == 2


def test_files_without_a_path_and_too_few_pairs_are_bad_input(tmp_path: Path) -> None:
    assert "data.path=" in refusal(OWN)
    as_text(tmp_path / "mine", SPLITS["train"][:2], False)
    assert "2 pairs" in refusal_when_prepared(replace(OWN, path=str(tmp_path / "mine")))


def refusal_when_prepared(data: DataConfig) -> str:
    with pytest.raises(BadInput) as caught:
        prepare(data, silent)
    return str(caught.value)


@pytest.mark.parametrize("changed", [{"source": "fr"}, {"target": "../fr"}, {"source": ""}])
def test_languages_are_two_and_plain(changed: dict[str, str]) -> None:
    with pytest.raises(BadInput):
        replace(OWN, **changed)


@pytest.mark.parametrize("loader", corpora.CORPORA)
@pytest.mark.parametrize("option", corpora.OPTIONS)
def test_an_option_that_a_corpus_does_not_know_is_bad_input(loader: str, option: str) -> None:
    if option not in corpora.CORPORA[loader].takes:
        assert f"takes no {option}" in refusal(DataConfig(loader=loader, name="x", **{option: "something"}))


# Multi30k

MULTI30K = DataConfig(loader="multi30k", name="multi30k", target="de", validation_pairs=None, test_sentences=None)
TESTS = {"2016": "test_2016_flickr", "2017": "test_2017_flickr", "coco": "test_2017_mscoco"}


@pytest.fixture
def multi30k(tmp_path: Path) -> DataConfig:
    members = {"train": SPLITS["train"], "val": SPLITS["validation"]}
    members |= {name: made_up(3000 + 100 * place, 3 + place) for place, name in enumerate(TESTS.values())}
    for split, pairs in members.items():
        for language, side in (("en", 0), ("de", 1), ("fr", 1)):
            text = "".join(f"{pair[side]}\n" for pair in pairs)
            write(tmp_path / "flickr" / f"{split}.{language}", text.encode(), packed=split == "train")
    return replace(MULTI30K, path=str(tmp_path / "flickr"))


def test_multi30k_has_three_test_sets(multi30k: DataConfig) -> None:
    marks = set()
    for place, test_set in enumerate(TESTS):
        metadata = prepare(replace(multi30k, test_set=test_set), silent)
        marks.add(metadata["fingerprint"])
        assert metadata["test_sentences"] == 3 + place
        assert test_set in metadata["credit"]
        assert metadata["official"] == ["validation", "test"]
    assert len(marks) == 3
    assert fingerprint(multi30k) == fingerprint(replace(multi30k, test_set="2016"))


def test_multi30k_is_in_the_languages_that_its_folder_has(multi30k: DataConfig) -> None:
    forth = corpora.read(replace(multi30k, source="fr"), silent)
    back = corpora.read(replace(multi30k, source="de", target="fr"), silent)
    assert back["test"] == [(target, source) for source, target in forth["test"]]
    message = refusal(replace(multi30k, target="cs"))
    assert "train.cs" in message
    assert "de, en, fr" in message


def test_what_multi30k_lacks_is_bad_input(multi30k: DataConfig, tmp_path: Path) -> None:
    assert "2016, 2017, coco" in refusal(replace(multi30k, test_set="2018"))
    assert "data.path=" in refusal(replace(MULTI30K, test_set="2017"))
    assert "data.path=" in refusal(replace(MULTI30K, target="fr"))
    assert "no folder" in refusal(replace(multi30k, path=str(tmp_path / "nowhere"))).replace("not a", "no")
    (tmp_path / "flickr" / "val.en").unlink()
    (tmp_path / "flickr" / "val.de").unlink()
    assert "valid.en" in refusal(multi30k)


# The hub


def on_the_hub(monkeypatch: pytest.MonkeyPatch, **splits: Any) -> list[tuple[DataConfig, bool]]:
    """As if the hub had these; says what was asked of it."""
    from datasets import DatasetDict

    asked: list[tuple[DataConfig, bool]] = []

    def load(data: DataConfig, offline: bool) -> DatasetDict:
        asked.append((data, offline))
        return DatasetDict(splits)

    monkeypatch.setattr(hub, "answers", lambda name: True)
    monkeypatch.setattr(hub, "load", load)
    return asked


def table(pairs: Pairs, source: str = "en", target: str = "fr") -> Any:
    from datasets import Dataset

    return Dataset.from_dict({source: [pair[0] for pair in pairs], target: [pair[1] for pair in pairs]})


def translations(pairs: Pairs) -> Any:
    from datasets import Dataset, Features, Value

    try:
        from datasets import Translation
    except ImportError:
        from datasets.features import Translation
    features = Features({"id": Value("string"), "translation": Translation(languages=["en", "fr"])})
    rows = [{"en": source, "fr": target} for source, target in pairs]
    return Dataset.from_dict({"id": ["x"] * len(rows), "translation": rows}, features=features)


HUB = replace(OWN, loader="hub", name="owner/set")


@pytest.mark.parametrize("make", [table, translations])
@pytest.mark.parametrize("present", PRESENT, ids="+".join)
def test_a_set_of_the_hub_is_the_same_corpus_as_its_files(
    present: tuple[str, ...], make: Callable[[Pairs], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = on_the_hub(monkeypatch, **{split: make(SPLITS[split]) for split in present})
    files = folder_of(tmp_path / "corpus", present)
    assert fingerprint(HUB, silent) == fingerprint(files)
    metadata = prepare(HUB, silent)
    assert metadata["name"] == "owner_set"
    assert len(asked) == 1  # kept from then on
    monkeypatch.setattr(hub, "answers", lambda name: False)
    assert fingerprint(HUB, silent) == metadata["fingerprint"]
    assert corpora.read(HUB, silent) == corpora.read(files, silent)


def test_multi30k_of_the_hub_is_that_of_the_folder(multi30k: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    splits = {split: table(pairs, "en", "de") for split, pairs in corpora.read(multi30k, silent).items()}
    asked = on_the_hub(monkeypatch, **splits)
    assert fingerprint(MULTI30K, silent) == fingerprint(multi30k)
    assert [data.name for data, _ in asked] == ["bentrevett/multi30k"]


def test_what_was_kept_of_the_hub_depends_on_what_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = on_the_hub(monkeypatch, train=table(SPLITS["train"]))
    for change in ({}, {"configuration": "other"}, {"revision": "v2"}, {"source": "fr", "target": "en"}):
        fingerprint(replace(HUB, **change), silent)
    assert len(asked) == 4


def test_what_was_kept_and_then_damaged_is_fetched_again(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    asked = on_the_hub(monkeypatch, train=table(SPLITS["train"]))
    before = fingerprint(HUB, silent)
    (kept,) = (cache / "downloads").iterdir()
    kept.write_bytes(kept.read_bytes()[:-30])
    assert prepare(HUB, silent)["fingerprint"] == before
    assert len(asked) == 2


def test_a_set_of_the_hub_that_does_not_fit_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    on_the_hub(monkeypatch, train=table(SPLITS["train"], "english", "french"))
    message = refusal(HUB)
    assert "english, french" in message
    assert "data.source_column=" in message
    on_the_hub(monkeypatch, first=table(SPLITS["train"]), second=table(SPLITS["train"]))
    assert "first, second" in refusal(HUB)
    on_the_hub(monkeypatch, train=table([]))
    assert "empty" in refusal(HUB)
    for name in ("", "../here", "a/b/c"):
        assert "data.name=" in refusal(replace(HUB, name=name))


def test_what_the_hub_says_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    on_the_hub(monkeypatch)

    def broken(data: DataConfig, offline: bool) -> Any:
        raise RuntimeError("Config name is missing.\nPlease pick one")

    monkeypatch.setattr(hub, "load", broken)
    assert "Config name is missing." in refusal(HUB)


@pytest.mark.parametrize("environment", [{"HF_ENDPOINT": "http://127.0.0.1:9"}, {"HF_HUB_OFFLINE": "1"}])
@pytest.mark.parametrize("data", ["multi30k", "hub data.name=owner/set"])
def test_a_hub_that_cannot_be_reached_is_soon_given_up_in_one_line(
    data: str, environment: dict[str, str], tmp_path: Path
) -> None:
    import os

    command = [sys.executable, "-m", "ablate", "dry_run=true", *f"data={data}".split()]
    surroundings = {**os.environ, **environment, "HF_HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[1])}
    program = (
        "import time; from ablate.config import BadInput, DataConfig; from ablate.data.prepare import fingerprint\n"
        "begun = time.monotonic()\n"
        "try: fingerprint(DataConfig(loader='hub', name='owner/set'))\n"
        "except BadInput: print(time.monotonic() - begun)"
    )
    alone = subprocess.run(
        [sys.executable, "-c", program], env=surroundings, capture_output=True, text=True, check=True
    )
    assert float(alone.stdout) < SOON
    done = subprocess.run(command, env=surroundings, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "cannot be reached" in line
    assert "data.path=" in line
    assert "data=tatoeba" in line


def test_a_hub_that_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    given_up = threading.Event()
    monkeypatch.setattr(huggingface_hub, "get_session", lambda: given_up.wait(PATIENCE))
    begun = time.monotonic()
    assert not hub.answers("owner/set")
    assert time.monotonic() - begun < SOON
    given_up.set()


@pytest.mark.parametrize(
    ("status", "content_type", "expected"),
    [
        (200, "application/json", True),
        (404, "application/json", True),
        (503, "application/json", False),
        (200, "text/html", False),
    ],
)
def test_what_answers_in_place_of_the_hub_is_not_the_hub(
    status: int, content_type: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert hub.answers("owner/set") == expected
        server.shutdown()


def test_what_the_hubs_own_client_has_kept_is_read_without_the_hub(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    asked = on_the_hub(monkeypatch, train=table(SPLITS["train"]))
    monkeypatch.setattr(hub, "answers", lambda name: False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert "cannot be reached" in refusal(HUB)
    (tmp_path / "datasets--owner--set").mkdir()
    assert corpora.read(HUB, silent) == {"all": SPLITS["train"]}
    assert [offline for _, offline in asked] == [True]


def test_words_of_a_made_up_corpus_are_its_own() -> None:
    """What the laws above take for granted."""
    sources = [words(source) for pairs in SPLITS.values() for source, _ in pairs]
    assert len(set(sources)) == len(sources)


def test_text_that_changes_while_it_is_read_is_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = folder_of(tmp_path / "corpus", PRESENT[-1])
    before = fingerprint(data)
    as_text(tmp_path / "corpus" / "test", SPLITS["test"][:5], False)
    monkeypatch.setattr("ablate.data.prepare.fingerprint", lambda data, say: before)
    assert "changed" in refusal_when_prepared(data)
