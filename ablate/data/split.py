"""Training, validation and test sets of a corpus that has no official ones, with no sentence in two of them.

Pairs hang together when their source sides are alike, or their target sides are (`clean.words`); what hangs together,
however indirectly, is a *component* and goes to one set. Pure functions; the order of the input changes nothing.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict

from ablate.config import BadInput, DataConfig
from ablate.data.clean import words
from ablate.data.corpora import Pairs, Splits


def split(pairs: Pairs, data: DataConfig) -> Splits:
    """{"train", "validation", "test"}; the test set has every reference of its sources, side by side.

    The sets are as large as `data` asks for, but validation and test get at most a tenth of the pairs each.
    """
    tenth = max(1, len(pairs) // 10)
    wanted_test = min(data.test_sentences or tenth, tenth)
    wanted_validation = min(data.validation_pairs or tenth, tenth)
    train: Pairs = []
    validation: Pairs = []
    test: Pairs = []
    test_sources: set[str] = set()
    for component in components(pairs):
        sources = {source for source, _ in component}
        if len(component) <= _largest(wanted_test) and len(test_sources) + len(sources) <= wanted_test:
            test += component
            test_sources |= sources
        elif len(component) <= _largest(wanted_validation) and len(validation) + len(component) <= wanted_validation:
            validation += component
        else:
            train += component
    if not (train and validation and test):
        raise BadInput(
            f"data.name={data.name}: {len(pairs)} pairs are left after cleaning, too few that share no sentence for a "
            "training, a validation and a test set; loosen data.min_words, max_words, source_words or target_words"
        )
    train = sorted(train, key=_digest)[: data.train_pairs]  # a random sample that no seed changes
    return {"train": train, "validation": validation, "test": test}


def components(pairs: Pairs) -> list[Pairs]:
    """The components, in a random order that only their content decides; the pairs of one are sorted."""
    parent: dict[tuple[str, ...], tuple[str, ...]] = {}

    def root(node: tuple[str, ...]) -> tuple[str, ...]:
        while parent.setdefault(node, node) != node:
            parent[node] = parent[parent[node]]  # halves the path (Tarjan and van Leeuwen 1984)
            node = parent[node]
        return node

    for source, target in pairs:
        parent[root(("source", *words(source)))] = root(("target", *words(target)))
    members: dict[tuple[str, ...], Pairs] = defaultdict(list)
    for pair in sorted(pairs):
        members[root(("source", *words(pair[0])))].append(pair)
    return sorted(members.values(), key=lambda component: _digest(component[0]))


def _largest(wanted: int) -> int:
    """Pairs in the largest component that a set of this size takes: a giant one would be most of the set."""
    return max(10, wanted // 50)


def _digest(pair: tuple[str, str]) -> bytes:
    return hashlib.sha256("\t".join(pair).encode()).digest()
