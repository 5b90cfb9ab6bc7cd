"""Make training, validation and test sets. Official sets are kept; no sentence is in two of the sets made here.

Pairs are connected when their source sides are alike, or their target sides are (`clean.alike`). All pairs that are
connected, directly or through others, form a *component*, which goes into one set. Pure functions; the order of the
input changes nothing.
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
    """{"train", "validation", "test"}: the `official` sets in their order, and those that are missing from `pairs`."""
    if data.held_out is not None and "test" in official:
        raise BadInput(
            f"data.held_out={data.held_out}: {data.label} has an official test set, so none is made from its pairs; "
            "leave data.held_out=null"
        )
    made = tuple(name for name in OFFICIAL if name not in official)
    splits = split(pairs, data, made)
    for name, limit in (("validation", data.validation_pairs), ("test", data.test_sentences)):
        if name in official:
            splits[name] = official[name][:limit]
    return {name: splits[name] for name in ("train", *OFFICIAL)}


def split(pairs: Pairs, data: DataConfig, made: tuple[str, ...] = OFFICIAL) -> Splits:
    """{"train"} and the sets `made` of them; a test set has every reference of its sources, one after the other.

    The sets are as large as `data` asks for, but validation and test get at most a tenth of the pairs each. With
    `data.held_out` the test set is a pool of that share of the pairs, which does not depend on `data.test_sentences`.
    It begins with the test set that LARGEST_MADE source sentences would make; validation is the one beside that.
    """
    tenth = max(1, len(pairs) // 10)
    pool = None if data.held_out is None else round(data.held_out * len(pairs))
    test_sentences = data.test_sentences if pool is None else None
    wanted_test = min(test_sentences or LARGEST_MADE, tenth) if "test" in made else 0
    wanted_validation = min(data.validation_pairs or LARGEST_MADE, tenth) if "validation" in made else 0
    groups = components(pairs) if made else [pairs]
    test, validation, rest = _share_out(groups, wanted_test, wanted_validation, len(pairs) if pool is None else pool)
    if pool is not None:
        more, rest = _take(rest, pool - len(test), _largest(wanted_test))
        test += more
    train = [pair for component in rest for pair in component]
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


def _share_out(
    groups: list[Pairs], test_sources: int, validation_pairs: int, test_pairs: int
) -> tuple[Pairs, Pairs, list[Pairs]]:
    """The test set, the validation set and the remaining components. The arguments are the largest sizes."""
    test: Pairs = []
    validation: Pairs = []
    rest: list[Pairs] = []
    known: set[str] = set()  # sources of the test set
    for component in groups:
        sources = {source for source, _ in component}
        in_test = len(known) + len(sources) <= test_sources and len(test) + len(component) <= test_pairs
        if in_test and len(component) <= _largest(test_sources):
            test += component
            known |= sources
        elif len(component) <= min(_largest(validation_pairs), validation_pairs - len(validation)):
            validation += component
        else:
            rest.append(component)
    return test, validation, rest


def _take(groups: list[Pairs], size: int, largest: int) -> tuple[Pairs, list[Pairs]]:
    """As many pairs as fit into `size`, from components of up to `largest` pairs, and the remaining components."""
    taken: Pairs = []
    rest: list[Pairs] = []
    for component in groups:
        if len(component) <= min(largest, size - len(taken)):
            taken += component
        else:
            rest.append(component)
    return taken, rest


def overlaps(splits: Splits) -> dict[str, dict[str, int]]:
    """How many pairs, sources and targets of one set are in another too, exactly or alike (`clean.alike`).

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
    """The components, in a random order that depends on their content alone; the pairs of each are sorted."""
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
    """Pairs in the largest component that a set of this size takes; a giant one would make up most of the set."""
    return max(10, wanted // 50)


def _digest(pair: tuple[str, str]) -> bytes:
    return hashlib.sha256("\t".join(pair).encode()).digest()
