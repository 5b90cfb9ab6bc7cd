"""A table of test sentences, the same for every run, with references and the run's translations."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache

from ablate.config import excerpt
from ablate.data.cache import corpus_folder
from ablate.store.schema import EvaluationResult

FILES = ("test.jsonl", "pool.jsonl")  # of a prepared corpus; it has one of them
SENTENCES = 20
REFERENCES = 5  # at the most, of a sentence
COLUMNS = ["source", "references", "beam", "greedy"]


def translations(corpus: str, scores: EvaluationResult) -> list[list[str]]:
    """A row of COLUMNS for each sentence of an evaluation; empty if the corpus is not in the cache."""
    test = held_out(corpus)[: len(scores.beam)]
    if not len(test) == len(scores.beam) == len(scores.greedy):
        return []
    return [
        [
            excerpt(source),
            "\n".join(excerpt(reference) for reference in references[:REFERENCES]),
            excerpt(scores.beam[index]),
            excerpt(scores.greedy[index]),
        ]
        for index in in_hash_order([source for source, _ in test])[:SENTENCES]
        for source, references in [test[index]]
    ]


def in_hash_order(sources: Sequence[str]) -> list[int]:
    """Indices of the sentences in an arbitrary order that does not depend on the other sentences."""
    return sorted(range(len(sources)), key=lambda index: hashlib.sha256(sources[index].encode()).hexdigest())


@cache
def held_out(corpus: str) -> tuple[tuple[str, list[str]], ...]:
    """Source and references of the held-out sentences of a prepared corpus, of which the test set is the beginning."""
    found = [path for name in FILES if (path := corpus_folder(corpus) / name).exists()]
    text = found[0].read_text(encoding="utf-8") if found else ""
    entries = [json.loads(line) for line in text.split("\n") if line]
    return tuple((entry["source"], entry["references"]) for entry in entries)
