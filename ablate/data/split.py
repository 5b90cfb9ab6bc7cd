"""Training, validation and test sets. Official ones are kept as they are; the others are made, with no sentence in two.

Pairs hang together when their source sides are alike, or their target sides are (`clean.alike`); what hangs together,
however indirectly, is a *component* and goes to one set. Pure functions; the order of the input changes nothing.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from itertools import combinations

from ablate.config import BadInput, DataConfig
from ablate.data.clean import alike
from ablate.data.raw import OFFICIAL, Pairs, Splits

LARGEST_MADE = 1000  # pairs, or source sentences, of a set that is made where `data` sets no limit


def divide(pairs: Pairs, official: Splits, data: DataConfig) -> Splits:
    """{"train", "validation", "test"}: the `official` ones in their order, and from `pairs` those that are missing."""
    made = tuple(name for name in OFFICIAL if name not in official)
    splits = split(pairs, data, made)
    for name, limit in (("validation", data.validation_pairs), ("test", data.test_sentences)):
        if name in official:
            splits[name] = official[name][:limit]
    return {name: splits[name] for name in ("train", *OFFICIAL)}


def split(pairs: Pairs, data: DataConfig, made: tuple[str, ...] = OFFICIAL) -> Splits:
    """{"train"} and the sets `made` of them; a test set has every reference of its sources, side by side.

    The sets are as large as `data` asks for, but validation and test get at most a tenth of the pairs each.
    """
    tenth = max(1, len(pairs) // 10)
    wanted_test = min(data.test_sentences or LARGEST_MADE, tenth) if "test" in made else 0
    wanted_validation = min(data.validation_pairs or LARGEST_MADE, tenth) if "validation" in made else 0
    train: Pairs = []
    validation: Pairs = []
    test: Pairs = []
    test_sources: set[str] = set()
    for component in components(pairs) if made else [pairs]:
        sources = {source for source, _ in component}
        if len(component) <= _largest(wanted_test) and len(test_sources) + len(sources) <= wanted_test:
            test += component
            test_sources |= sources
        elif len(component) <= _largest(wanted_validation) and len(validation) + len(component) <= wanted_validation:
            validation += component
        else:
            train += component
    splits = {"train": train, "validation": validation, "test": test}
    splits = {name: splits[name] for name in ("train", *made)}
    if not all(splits.values()):
        sets = " and a ".join(["training", *made])
        raise BadInput(
            f"data.name={data.label}: {len(pairs)} pairs are left after cleaning, too few that share no sentence for a "
            f"{sets} set; loosen data.min_words, max_words, source_words or target_words, or bring more text"
        )
    splits["train"] = sorted(train, key=_digest)[: data.train_pairs]  # a random sample that no seed changes
    return splits


def overlaps(splits: Splits) -> dict[str, dict[str, int]]:
    """How many pairs, sources and targets of one set stand in another too, or what is alike (`clean.alike`) does.

    {"validation in train": {"pairs", "sources", "targets"}, "test in train": ..., "test in validation": ...}
    """
    folded = {name: [(alike(source), alike(target)) for source, target in pairs] for name, pairs in splits.items()}
    counts = {}
    for there, here in combinations(("train", *OFFICIAL), 2):
        pairs, sources, targets = set(folded[there]), *({pair[side] for pair in folded[there]} for side in (0, 1))
        counts[f"{here} in {there}"] = {
            "pairs": sum(pair in pairs for pair in folded[here] if all(pair)),
            "sources": sum(source in sources for source, _ in folded[here] if source),
            "targets": sum(target in targets for _, target in folded[here] if target),
        }
    return counts


def components(pairs: Pairs) -> list[Pairs]:
    """The components, in a random order that only their content decides; the pairs of one are sorted."""
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        while parent.setdefault(node, node) != node:
            parent[node] = parent[parent[node]]  # halves the path (Tarjan and van Leeuwen 1984)
            node = parent[node]
        return node

    pairs = sorted(pairs)
    sources = [f"source {alike(source)}" for source, _ in pairs]
    for node, (_, target) in zip(sources, pairs):
        parent[root(node)] = root(f"target {alike(target)}")
    members: dict[str, Pairs] = defaultdict(list)
    for node, pair in zip(sources, pairs):
        members[root(node)].append(pair)
    return sorted(members.values(), key=lambda component: _digest(component[0]))


def _largest(wanted: int) -> int:
    """Pairs in the largest component that a set of this size takes: a giant one would be most of the set."""
    return max(10, wanted // 50)


def _digest(pair: tuple[str, str]) -> bytes:
    return hashlib.sha256("\t".join(pair).encode()).digest()
