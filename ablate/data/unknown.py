"""Measure how much of the text is outside the vocabulary, so that it becomes <unk>."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ablate.data.vocabulary import END, START, UNKNOWN

Shares = Mapping[str, Mapping[str, float]]  # split -> side -> share of <unk> among its tokens

MUCH = 0.01  # the share above which messages name a remedy
SPLITS = {"train": "training", "validation": "validation", "test": "test", "pool": "held-out"}


def unknown_shares(arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """The share of <unk> in each split and side, from the token ids {split}_{side}. <s> and </s> do not count."""
    return {
        split: {side: _share(arrays[f"{split}_{side}"]) for side in ("source", "target")}
        for split in SPLITS
        if f"{split}_source" in arrays
    }


def describe_unknown(shares: Shares) -> str:
    """The shares above zero, as in "training target 16 %, test target 15 %"; empty if there are none."""
    parts = [
        f"{SPLITS.get(split, split)} {side} {_percent(share)}"
        for split, sides in shares.items()
        for side, share in sides.items()
        if share > 0
    ]
    return ", ".join(parts)


def much(shares: Shares) -> bool:
    """Whether some share is so large that messages should name a remedy."""
    return any(share >= MUCH for sides in shares.values() for share in sides.values())


def _share(tokens: np.ndarray) -> float:
    text = tokens[(tokens != START) & (tokens != END)]
    return round(float((text == UNKNOWN).mean()), 6) if len(text) else 0.0


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else "100 %"
