"""For how long runs trained, and whether they were still improving when they ended."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

LAST = 0.2  # share of the updates, at the end of a run, to which a line is fitted
LEAST = 3  # validations of that line, at the least
STILL = 0.01  # fall of the validation loss for each doubling of the updates; the margin of losses


def epochs(tokens: Sequence[int], corpus: Mapping[str, Any]) -> float | None:
    """How often a run saw the training set: target tokens of its updates over those of the set, of corpus.json.

    None where neither is known. The first corpora recorded pairs and their mean length instead of tokens.
    """
    whole = corpus.get("train_tokens") or corpus.get("train_pairs", 0) * corpus.get("mean_target", 0)
    return float(f"{sum(tokens) / whole:.6g}") if tokens and whole else None


def fall(updates: Sequence[int], losses: Sequence[float | None]) -> float | None:
    """By which share of itself the validation loss falls at the end of a run as the updates double.

    It is the slope of a line through the last validations against the logarithm of the update. A schedule that decays
    to zero makes losses fall at the end, and that is part of it. None where there are too few validations.
    """
    pairs = [(update, loss) for update, loss in zip(updates, losses) if update > 0 and loss is not None]
    recent = [pair for pair in pairs if pair[0] >= (1 - LAST) * pairs[-1][0]]
    fitted = np.array(recent if len(recent) >= LEAST else pairs[-LEAST:], dtype=float)
    if len(fitted) < LEAST:
        return None
    doublings, loss = np.log2(fitted[:, 0]), fitted[:, 1]
    doublings = doublings - doublings.mean()
    if not doublings.any() or not loss.mean() > 0:
        return None
    found = -float(doublings @ loss / (doublings @ doublings)) / float(loss.mean())
    return found if math.isfinite(found) else None
