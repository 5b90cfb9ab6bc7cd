"""Describe how many sentences were dropped or cut because they are too long."""

from __future__ import annotations

from collections.abc import Mapping

from ablate.data.bounds import longest_reference


def describe_too_long(too_long: Mapping[str, int], max_tokens: int) -> list[str]:
    """A phrase for each kind of sentence in `too_long` of corpus.json; empty if there is none."""
    most = f"{longest_reference(max_tokens):,}"
    return [f"{count:,} {TOO_LONG[key].format(most=most)}" for key, count in too_long.items() if count]


TOO_LONG = {
    "train_dropped": "training pairs, dropped",
    "validation_cut": "validation sources, cut",
    "test_cut": "test sources, cut",
    "pool_cut": "held-out sources, cut",
    "validation_target_cut": "validation references, cut to {most} tokens",
    "test_target_cut": "test references, cut to {most} tokens for the loss, whole for BLEU",
    "pool_target_cut": "held-out references, cut to {most} tokens for the loss, whole for BLEU",
}
