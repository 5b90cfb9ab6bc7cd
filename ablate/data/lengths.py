"""Sentences that are too long: what becomes of them, and how to say so."""

from __future__ import annotations

from collections.abc import Mapping

from ablate.data.bounds import longest_reference


def what_was_too_long(too_long: Mapping[str, int], max_tokens: int) -> list[str]:
    """In words, what became of the sentences that the `too_long` of corpus.json counts; empty where there were none."""
    most = f"{longest_reference(max_tokens):,}"
    return [f"{count:,} {TOO_LONG[what].format(most=most)}" for what, count in too_long.items() if count]


TOO_LONG = {
    "train_dropped": "training pairs, dropped",
    "validation_cut": "validation sources, cut",
    "test_cut": "test sources, cut",
    "validation_target_cut": "validation references, cut to {most} subwords",
    "test_target_cut": "test references, cut to {most} subwords for the loss, whole for BLEU",
}
