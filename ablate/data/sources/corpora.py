"""The table of published corpora: the function that reads each, and the hash of its text if it is known."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from ablate.config import BadInput, DataConfig
from ablate.data.raw import Pairs, Say, Splits, content_hash
from ablate.data.sources import files, hub, multi30k, tatoeba
from ablate.plugins import extend
from ablate.system.places import expanded

__all__ = ["CORPORA", "OPTIONS", "Pairs", "PublishedCorpus", "Say", "Splits", "content", "published", "read"]


@dataclass(frozen=True)
class PublishedCorpus:
    """`read` returns pairs from data.source to data.target, or in the order of `languages` where these are given."""

    read: Callable[[DataConfig, Say], Splits]  # may use the network; caches its downloads
    known: Callable[[DataConfig], str | None] = lambda data: None  # sha256 of its text, if known without reading it
    credit: Callable[[DataConfig], str] = lambda data: ""
    languages: tuple[str, str] | None = None
    takes: tuple[str, ...] = ()  # keys of OPTIONS that it reads
    recipe: int = 1  # raised when preparing the same configuration gives other arrays than before


def published(data: DataConfig) -> PublishedCorpus:
    """The corpus of `data.loader`. Raises BadInput for an unknown loader or language, or an option that it ignores."""
    if data.loader not in CORPORA:
        raise BadInput(f"data.loader={data.loader or 'null'} is unknown; it may be {', '.join(sorted(CORPORA))}")
    corpus = CORPORA[data.loader]
    for key in OPTIONS:
        if getattr(data, key) is not None and key not in corpus.takes:
            known = "" if corpus.takes else " is known by its content and"
            raise BadInput(f"data.{key}={getattr(data, key)}: {data.loader}{known} takes no {key}")
    if corpus.languages is not None and {data.source, data.target} != set(corpus.languages):
        raise BadInput(
            f"data.source={data.source} data.target={data.target} is not in {data.loader}, "
            f"which has {' and '.join(corpus.languages)}"
        )
    return corpus


def read(data: DataConfig, say: Say) -> Splits:
    """The raw pairs of each split, from `data.source` to `data.target`."""
    corpus = published(data)
    splits = corpus.read(data, say)
    if corpus.languages in (None, (data.source, data.target)):
        return splits
    return {split: [(second, first) for first, second in pairs] for split, pairs in splits.items()}


def content(data: DataConfig, say: Say) -> str:
    """The hash of a corpus's text, which is fetched and cached if necessary."""
    return published(data).known(data) or content_of(read(data, say), data)


def content_of(splits: Splits, data: DataConfig) -> str:
    """The hash of the text of a corpus that was read."""
    return published(data).known(data) or content_hash(splits)


def is_large(data: DataConfig) -> bool:
    """Whether reading the text may take more than a second. Fetching it may."""
    if data.path is None:
        return True
    path = expanded(data.path, "data.path")
    try:
        paths = path.iterdir() if path.is_dir() else path.parent.glob(f"{escape(path.name)}*")
        return sum(_unpacked_size(each) for each in paths if each.is_file()) > LARGE
    except OSError:
        return False  # reading it raises the same error with a better message


def _unpacked_size(path: Path) -> int:
    """Bytes in a file, unpacked if it is gzip."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if path.suffix == ".gz" and size > 4:
            file.seek(-4, os.SEEK_END)
            # RFC 1952: a gzip file ends with its unpacked size modulo 2^32
            size = max(size, int.from_bytes(file.read(), "little"))
    return size


def tab_separated(text: str) -> Pairs:
    """The first two columns of each line."""
    rows = (line.split("\t") for line in text.split("\n"))
    return [(row[0], row[1]) for row in rows if len(row) >= 2]


LARGE = 20_000_000  # bytes of text
FIXTURE = Path(__file__).with_name("fixture.tsv")


MARKS = 2  # recipe in which words include combining marks, for corpora that may have such marks
OPTIONS = ("path", "configuration", "revision", "column", "source_column", "target_column", "test_set")

CORPORA = {
    "tatoeba": PublishedCorpus(
        lambda data, say: {"all": tab_separated(tatoeba.fetch(say))},
        lambda data: tatoeba.TEXT_SHA256,
        lambda data: tatoeba.CREDIT,
        languages=("en", "fr"),
    ),
    "multi30k": PublishedCorpus(multi30k.read, multi30k.known, multi30k.credit, takes=("path", "test_set")),
    "files": PublishedCorpus(
        files.read,
        lambda data: None,
        files.credit,
        takes=("path", "column", "source_column", "target_column"),
        recipe=MARKS,
    ),
    "hub": PublishedCorpus(
        hub.read,
        hub.known,
        lambda data: f"{data.name}, as the Hugging Face hub has it (https://huggingface.co/datasets/{data.name}).",
        takes=("configuration", "revision", "column", "source_column", "target_column"),
        recipe=MARKS,
    ),
    "fixture": PublishedCorpus(
        lambda data, say: {"all": tab_separated(FIXTURE.read_text(encoding="utf-8"))},
        lambda data: hashlib.sha256(FIXTURE.read_bytes()).hexdigest(),
        lambda data: "Written by hand for ablate's own tests.",
        languages=("en", "fr"),
    ),
}

extend("data.loader", CORPORA)
