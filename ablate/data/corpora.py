"""Corpora as they are published: how to get each, and the hash by which its content is known beforehand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ablate.config import BadInput, DataConfig
from ablate.data import tatoeba

Say = Callable[[str], None]
Pairs = list[tuple[str, str]]  # (source, target)
Splits = dict[str, Pairs]  # {"all": pairs}, or an official {"train", "validation", "test"}


@dataclass(frozen=True)
class PublishedCorpus:
    """`read` gives the text of its two languages, in the order of `languages`; it may use the network."""

    languages: tuple[str, str]
    content_hash: Callable[[DataConfig], str]  # sha256 of the source, without fetching it
    read: Callable[[DataConfig, Say], Splits]
    credit: str


def published(data: DataConfig) -> PublishedCorpus:
    """The corpus that `data.loader` names. Unknown loaders, unknown languages and useless paths are BadInput."""
    if data.loader not in CORPORA:
        raise BadInput(f"data.loader={data.loader or 'null'} is unknown; it may be {', '.join(sorted(CORPORA))}")
    corpus = CORPORA[data.loader]
    if data.path is not None:
        raise BadInput(f"data.path={data.path}: {data.loader} is known by its content and takes no path")
    if {data.source, data.target} != set(corpus.languages):
        raise BadInput(
            f"data.source={data.source} data.target={data.target} is not in {data.loader}, "
            f"which has {' and '.join(corpus.languages)}"
        )
    return corpus


def read(data: DataConfig, say: Say) -> Splits:
    """The raw pairs of each split, from `data.source` to `data.target`."""
    corpus = published(data)
    splits = corpus.read(data, say)
    if (data.source, data.target) == corpus.languages:
        return splits
    return {split: [(second, first) for first, second in pairs] for split, pairs in splits.items()}


def tab_separated(text: str) -> Pairs:
    """The first two columns of each line."""
    rows = (line.split("\t") for line in text.split("\n"))
    return [(row[0], row[1]) for row in rows if len(row) >= 2]


def _read_tatoeba(data: DataConfig, say: Say) -> Splits:
    return {"all": tab_separated(tatoeba.fetch(say))}


FIXTURE = Path(__file__).with_name("fixture.tsv")


def _read_fixture(data: DataConfig, say: Say) -> Splits:
    return {"all": tab_separated(FIXTURE.read_text(encoding="utf-8"))}


CORPORA = {
    "tatoeba": PublishedCorpus(("en", "fr"), lambda data: tatoeba.TEXT_SHA256, _read_tatoeba, tatoeba.CREDIT),
    "fixture": PublishedCorpus(
        ("en", "fr"),
        lambda data: hashlib.sha256(FIXTURE.read_bytes()).hexdigest(),
        _read_fixture,
        "Written by hand for ablate's own tests.",
    ),
}
