"""BLEU from sums of statistics over sentences, for many sets of sentences at once.  Papineni et al. 2002."""

from __future__ import annotations

import numpy as np

ORDER = 4  # longest n-grams


def bleu(sums: np.ndarray) -> np.ndarray:
    """BLEU from 0 to 100 as sacreBLEU computes it by default (smoothing `exp`); `sums` is [..., 2 + 2 * ORDER].

    They are, summed over sentences: words of the translations, words of the references of the closest length, matches
    of 1- to 4-grams, and 1- to 4-grams of the translations.
    """
    sums = np.asarray(sums, dtype=float)
    words, reference = sums[..., 0], sums[..., 1]
    matches, grams = sums[..., 2 : 2 + ORDER], sums[..., 2 + ORDER :]
    with np.errstate(divide="ignore", invalid="ignore"):
        smoothed = np.where(matches > 0, matches, 0.5 ** np.cumsum(matches == 0, axis=-1))
        brevity = np.minimum(0.0, 1 - reference / words)
        score = 100 * np.exp(brevity + np.log(smoothed / grams).mean(axis=-1))
    return np.where((matches > 0).any(axis=-1) & (grams > 0).all(axis=-1), score, 0.0)
