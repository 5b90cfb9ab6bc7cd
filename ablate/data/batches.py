"""From sentence pairs to padded batches of few, static shapes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ablate.data.bounds import consecutive, most_rows
from ablate.data.corpus import Pairs
from ablate.data.vocabulary import PAD

ORDER = 1  # the number of the random stream that orders the data
TARGET_BUCKETS, SOURCE_BUCKETS = 8, 4  # lengths that pairs are padded to: at most 32 shapes
EVALUATED_ROWS = 128  # pairs in a batch of validation or test, at most


@dataclass(frozen=True)
class Batch:
    source: Tensor  # [B, S]
    target: Tensor  # [B, T + 1]: begins with <s>, so that T tokens are predicted


@dataclass(frozen=True)
class Bucket:
    """Pairs padded to one shape, and how many of them make a batch."""

    pairs: Batch
    rows: int

    @property
    def batches(self) -> int:
        return -(-len(self.pairs.source) // self.rows)


class Batches:
    """Training batches in an order that the seed alone determines.

    Batch number `update` is a pure function of (update, seed), so that training can resume at any update. An
    epoch has every pair; where a bucket's pairs do not fill its last batch, some of them are in the epoch twice.
    """

    def __init__(self, pairs: Pairs, batch_tokens: int, device: torch.device) -> None:
        self.device = device
        self.buckets = []
        shapes, assigned = choose_shapes(pairs.lengths)
        for number, (source_length, target_length) in enumerate(shapes):
            rows = np.flatnonzero(assigned == number)
            padded = pad(pairs, rows, source_length, target_length, device)
            self.buckets.append(Bucket(padded, max(1, batch_tokens // target_length)))
        self.per_epoch = sum(bucket.batches for bucket in self.buckets)
        padded_to = np.array(shapes)[assigned]
        self.real_share = float(pairs.lengths.sum() / padded_to.sum())
        self._order: tuple[tuple[int, int], list[tuple[int, Tensor]]] | None = None

    def at(self, update: int, seed: int) -> Batch:
        """The batch of an update, counted from 0."""
        epoch, place = divmod(update, self.per_epoch)
        if self._order is None or self._order[0] != (epoch, seed):
            self._order = (epoch, seed), self._shuffle(epoch, seed)
        number, rows = self._order[1][place]
        pairs = self.buckets[number].pairs
        return Batch(pairs.source[rows], pairs.target[rows])

    def largest(self) -> Batch:
        """A batch of the shape that needs the most memory."""
        bucket = max(
            self.buckets, key=lambda each: each.rows * (each.pairs.source.shape[1] + each.pairs.target.shape[1])
        )
        rows = np.resize(np.arange(len(bucket.pairs.source)), bucket.rows)
        return Batch(bucket.pairs.source[rows], bucket.pairs.target[rows])

    def _shuffle(self, epoch: int, seed: int) -> list[tuple[int, Tensor]]:
        """An epoch's batches: bucket and rows of each."""
        generator = np.random.default_rng([seed, ORDER, epoch])
        batches: list[tuple[int, Tensor]] = []
        for number, bucket in enumerate(self.buckets):
            order = generator.permutation(len(bucket.pairs.source))
            rows = np.resize(order, (bucket.batches, bucket.rows))  # repeats pairs to fill the last batch
            batches += [(number, batch) for batch in torch.from_numpy(rows).to(self.device)]
        return [batches[place] for place in generator.permutation(len(batches))]


class EvaluationBatches:
    """Every pair once, in batches of similar lengths. Iterates over (indices of the pairs, batch)."""

    def __init__(self, pairs: Pairs, vocabulary_size: int, device: torch.device, rows: int = EVALUATED_ROWS) -> None:
        self.pairs = pairs
        order = np.lexsort([pairs.source_lengths, pairs.target_lengths])

        def most(source: int, target: int) -> int:
            return min(rows, most_rows(source, target, vocabulary_size))

        slices = consecutive(pairs.lengths[order], most)
        self.batches = [(order[each].tolist(), pad_to_longest(pairs, order[each], device)) for each in slices]

    def __iter__(self) -> Iterator[tuple[list[int], Batch]]:
        return iter(self.batches)


def first_batch(pairs: Pairs, count: int, vocabulary_size: int, device: torch.device) -> Batch:
    """The first `count` pairs as one batch, always the same.

    A pair is skipped if `count` pairs of its length are more than a batch may hold. If every pair is skipped, the batch
    is the shortest pair.
    """
    rows = np.array([row for row, pair in enumerate(pairs.lengths.tolist()) if most_rows(*pair) >= count][:count])
    if not len(rows):
        rows = pairs.lengths.max(axis=1).argmin(keepdims=True)
    within = consecutive(pairs.lengths[rows], lambda source, target: most_rows(source, target, vocabulary_size))
    return pad_to_longest(pairs, rows[next(within)], device)


def pad_to_longest(pairs: Pairs, rows: np.ndarray, device: torch.device) -> Batch:
    source_length, target_length = pairs.lengths[rows].max(axis=0).tolist()
    return pad(pairs, rows, source_length, target_length, device)


def pad(pairs: Pairs, rows: np.ndarray, source_length: int, target_length: int, device: torch.device) -> Batch:
    """These pairs as one batch, padded with <pad>; `target_length` counts the tokens to predict."""
    source = np.full((len(rows), source_length), PAD, dtype=np.int64)
    target = np.full((len(rows), target_length + 1), PAD, dtype=np.int64)
    for place, row in enumerate(rows):
        source_tokens, target_tokens = pairs.pair(row)
        source[place, : len(source_tokens)] = source_tokens
        target[place, : len(target_tokens)] = target_tokens
    return Batch(torch.from_numpy(source).to(device), torch.from_numpy(target).to(device))


def choose_shapes(lengths: np.ndarray) -> tuple[list[tuple[int, int]], np.ndarray]:
    """Shapes (source, target) to pad pairs to, and the number of each pair's shape; `lengths` is [pair, 2].

    Targets are cut into lengths that waste little, then the sources within each of them.
    """
    shapes: list[tuple[int, int]] = []
    assigned = np.empty(len(lengths), dtype=np.int64)
    target_cuts = choose_lengths(lengths[:, 1], TARGET_BUCKETS)
    of_target = np.searchsorted(target_cuts, lengths[:, 1])
    for number, target_length in enumerate(target_cuts):
        rows = np.flatnonzero(of_target == number)
        source_cuts = choose_lengths(lengths[rows, 0], SOURCE_BUCKETS)
        assigned[rows] = len(shapes) + np.searchsorted(source_cuts, lengths[rows, 0])
        shapes += [(source_length, target_length) for source_length in source_cuts]
    return shapes, assigned


def choose_lengths(lengths: np.ndarray, count: int) -> list[int]:
    """At most `count` lengths to pad to, ascending, that waste the least padding; the last is the longest length.

    Dynamic programming over the distinct lengths: waste[i] is the least padding of the i shortest.
    """
    distinct, counts = np.unique(lengths, return_counts=True)
    sentences = np.concatenate([[0], np.cumsum(counts)])
    tokens = np.concatenate([[0], np.cumsum(counts * distinct)])
    waste = np.where(np.arange(len(distinct) + 1) == 0, 0.0, np.inf)
    last_cuts = []
    for _ in range(min(count, len(distinct))):
        cut, least = [0], [np.inf]
        for i in range(1, len(distinct) + 1):
            # options[j]: the last bucket takes the distinct lengths j ... i - 1, earlier buckets take the others.
            options = waste[:i] + (sentences[i] - sentences[:i]) * distinct[i - 1] - (tokens[i] - tokens[:i])
            cut.append(int(np.argmin(options)))
            least.append(options[cut[-1]])
        last_cuts.append(cut)
        waste = np.array(least)
    cuts, end = [], len(distinct)
    for cut in reversed(last_cuts):
        if end > 0:
            cuts.append(int(distinct[end - 1]))
            end = cut[end]
    return cuts[::-1]
