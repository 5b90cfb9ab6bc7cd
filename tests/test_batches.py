"""What must hold of batches: every pair, in an order that the seed alone determines, in few shapes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ablate.data.batches import (
    PAD,
    SOURCE_BUCKETS,
    TARGET_BUCKETS,
    Batch,
    Batches,
    EvaluationBatches,
    choose_lengths,
)
from ablate.data.corpus import Pairs

START, END, FIRST = 1, 2, 4
CPU = torch.device("cpu")


def synthetic(lengths: list[tuple[int, int]]) -> Pairs:
    """Pairs of these (source, target) lengths, </s> counted and <s> not; pair n says n in its first token."""
    sources = [[FIRST + number, *[3] * (source - 2), END] for number, (source, _) in enumerate(lengths)]
    targets = [[START, FIRST + number, *[3] * (target - 2), END] for number, (_, target) in enumerate(lengths)]
    return Pairs(*flat(sources), *flat(targets))


def flat(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    tokens = np.array([token for row in rows for token in row], dtype=np.int32)
    return tokens, np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)


def members(batch: Batch) -> list[int]:
    """Which pairs are in a batch; its two sides must agree."""
    numbers = (batch.source[:, 0] - FIRST).tolist()
    assert (batch.target[:, 1] - FIRST).tolist() == numbers
    return numbers


def shape(batch: Batch) -> tuple[int, ...]:
    return (*batch.source.shape, *batch.target.shape)


lengths_of_pairs = st.lists(st.tuples(st.integers(2, 20), st.integers(2, 20)), min_size=1, max_size=60)
HUNDRED = [(2 + number % 7, 2 + number % 11) for number in range(100)]


@given(lengths_of_pairs, st.integers(1, 200))
def test_the_largest_batch_is_one_of_an_epoch_that_none_exceeds(
    lengths: list[tuple[int, int]], batch_tokens: int
) -> None:
    batches = Batches(synthetic(lengths), batch_tokens, CPU)
    shapes = [shape(batches.at(update, seed=0)) for update in range(batches.per_epoch)]
    largest = shape(batches.largest())
    assert largest in shapes
    assert all(rows * (source + target) <= largest[0] * (largest[1] + largest[3]) for rows, source, _, target in shapes)


@given(lengths_of_pairs, st.integers(1, 200), st.integers(0, 3))
def test_every_epoch_goes_through_every_pair(lengths: list[tuple[int, int]], batch_tokens: int, epoch: int) -> None:
    batches = Batches(synthetic(lengths), batch_tokens, CPU)
    updates = range(epoch * batches.per_epoch, (epoch + 1) * batches.per_epoch)
    seen = {number for update in updates for number in members(batches.at(update, seed=0))}
    assert seen == set(range(len(lengths)))


@given(lengths_of_pairs, st.integers(1, 200))
def test_shapes_are_few_and_hold_no_more_tokens_than_asked_for(
    lengths: list[tuple[int, int]], batch_tokens: int
) -> None:
    batches = Batches(synthetic(lengths), batch_tokens, CPU)
    shapes = {shape(batches.at(update, seed=0)) for update in range(2 * batches.per_epoch)}
    assert len(shapes) <= SOURCE_BUCKETS * TARGET_BUCKETS
    assert len(shapes) == len({shape(batches.at(update, seed=1)) for update in range(batches.per_epoch)})
    for rows, _, also_rows, target_length in shapes:
        assert rows == also_rows == max(1, batch_tokens // (target_length - 1))


@given(lengths_of_pairs)
def test_a_batch_holds_its_pairs_unchanged_and_padding(lengths: list[tuple[int, int]]) -> None:
    pairs = synthetic(lengths)
    batches = Batches(pairs, 40, CPU)
    for update in range(batches.per_epoch):
        batch = batches.at(update, seed=0)
        assert batch.source.dtype == batch.target.dtype == torch.int64
        for row, number in enumerate(members(batch)):
            for tokens, expected in zip((batch.source[row], batch.target[row]), pairs.pair(number), strict=True):
                assert tokens[: len(expected)].tolist() == expected.tolist()
                assert (tokens[len(expected) :] == PAD).all()


def test_a_batch_depends_on_update_and_seed_alone() -> None:
    straight, jumping = (Batches(synthetic(HUNDRED), 30, CPU) for _ in range(2))
    updates = list(range(2 * straight.per_epoch + 3))
    expected = {(update, seed): members(straight.at(update, seed)) for seed in (0, 1) for update in updates}
    order = np.random.default_rng(0).permutation(len(expected))
    for update, seed in (list(expected)[place] for place in order):
        assert members(jumping.at(update, seed)) == expected[update, seed]


def test_seeds_and_epochs_differ_in_order() -> None:
    batches = Batches(synthetic(HUNDRED), 30, CPU)

    def epoch(number: int, seed: int) -> list[list[int]]:
        first = number * batches.per_epoch
        return [members(batches.at(update, seed)) for update in range(first, first + batches.per_epoch)]

    assert epoch(0, seed=0) != epoch(0, seed=1)
    assert epoch(0, seed=0) != epoch(1, seed=0)


def test_the_order_leaves_global_randomness_alone() -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    batches = Batches(synthetic(HUNDRED), 30, CPU)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # type: ignore[index]
    batches.at(0, seed=0)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()  # type: ignore[index]


def test_the_real_share_is_that_of_tokens_among_positions() -> None:
    lengths = HUNDRED * 11
    batches = Batches(synthetic(lengths), 11, CPU)  # a pair or few a batch: next to nothing comes twice
    real = positions = 0
    for update in range(batches.per_epoch):
        batch = batches.at(update, seed=0)
        for tokens in (batch.source, batch.target[:, 1:]):
            real, positions = real + int((tokens != PAD).sum()), positions + tokens.numel()
    assert batches.real_share == pytest.approx(real / positions, abs=0.005)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 4))
def test_no_other_lengths_waste_less(lengths: list[int], count: int) -> None:
    def waste(cuts: tuple[int, ...]) -> int:
        return sum(min(cut for cut in cuts if cut >= length) - length for length in lengths)

    distinct = sorted(set(lengths))
    choices = itertools.combinations(distinct[:-1], min(count, len(distinct)) - 1)
    best = min(waste((*choice, distinct[-1])) for choice in choices)
    chosen = choose_lengths(np.array(lengths), count)
    assert chosen == sorted(chosen)
    assert chosen[-1] == distinct[-1]
    assert len(chosen) <= count
    assert waste(tuple(chosen)) == best


@given(lengths_of_pairs, st.integers(1, 70))
def test_evaluation_sees_every_pair_once(lengths: list[tuple[int, int]], rows: int) -> None:
    seen = []
    for numbers, batch in EvaluationBatches(synthetic(lengths), FIRST, CPU, rows):
        assert members(batch) == list(numbers)
        assert len(numbers) <= rows
        seen += numbers
    assert sorted(seen) == list(range(len(lengths)))
