"""How much of a score's uncertainty comes from the choice of seeds, and how much from the choice of test sentences.

Runs of several seeds tested on the same sentences are a balanced two-way layout: a value is a mean, plus a seed's
effect, plus a sentence's effect, plus their interaction. Analysis of variance apportions the variance without the noise
that resampling would add; a test compares the two. Searle, Casella and
McCulloch 1992, "Variance components", chapter 4; with few seeds the seeds' part is uncertain.

A score that is no mean over sentences has values a sentence too: of a ratio by its linearisation (`per_sentence`), of
BLEU by the jackknife (`pseudo_values`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Apportioned:
    """Parts of the variance of a mean over seeds and sentences, in the square of its unit; nan where unknown."""

    seeds: float  # by the choice of seeds: over other seeds, on the average sentence
    sentences: float  # by the choice of test sentences: over other sentences, for the average seed
    both: float  # by the interaction of seeds and sentences
    n: tuple[int, int]  # seeds, sentences

    @property
    def total(self) -> float:
        """The variance of the mean if seeds and sentences were both drawn again."""
        return self.seeds + self.sentences + self.both

    @property
    def sentence_share(self) -> float:
        """The sentences' share of the total, which intervals over seeds leave out. nan where there is no variance."""
        return self.sentences / self.total if self.total > 0 else math.nan

    @property
    def widening(self) -> float:
        """How many times as wide an interval would be if it covered the choice of sentences too."""
        covered = self.seeds + self.both
        return math.sqrt(self.total / covered) if covered > 0 else math.nan


def apportion(values: np.ndarray) -> Apportioned:
    """Apportion the variance of the mean of values [seed, sentence] between the two; needs two of each.

    Components are those of the analysis of variance; negative ones count as zero.
    """
    seeds, sentences = values.shape
    if seeds < 2 or sentences < 2:
        return Apportioned(math.nan, math.nan, math.nan, (seeds, sentences))
    by_seed, by_sentence = values.mean(axis=1), values.mean(axis=0)
    left = values - by_seed[:, None] - by_sentence + values.mean()
    both = float((left**2).sum()) / ((seeds - 1) * (sentences - 1))
    of_seed = max(float(by_seed.var(ddof=1)) - both / sentences, 0.0)
    of_sentence = max(float(by_sentence.var(ddof=1)) - both / seeds, 0.0)
    return Apportioned(of_seed / seeds, of_sentence / sentences, both / (seeds * sentences), (seeds, sentences))


def pseudo_values(score: Callable[[np.ndarray], np.ndarray], statistics: np.ndarray) -> np.ndarray:
    """What each sentence adds to a score of sums over sentences, [seed, sentence]; `statistics` is [seed, sentence, n].

    They are the jackknife's: the score n times, less n - 1 times that without the sentence. Their mean estimates the
    score, and their variance over n is that of the score over other sentences. Efron 1982, "The jackknife, the
    bootstrap and other resampling plans", chapter 2.
    """
    n, whole = statistics.shape[1], statistics.sum(axis=1, keepdims=True)
    return np.asarray(n * score(whole) - (n - 1) * score(whole - statistics))


def per_sentence(sums: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """What each sentence adds to a mean over tokens, [seed, sentence]: values whose mean over sentences is the seed's.

    `sums` is [seed, sentence], a sentence's loss summed over its tokens, or a difference of two such; `tokens` is
    [sentence]. A mean over tokens is a ratio of sums over sentences, whose denominator other sentences would change
    too; these values are its linearisation at the observed mean. Cochran 1977, "Sampling techniques", section 6.4.
    """
    ratio = sums.sum() / (len(sums) * tokens.sum())
    return ratio + (sums - ratio * tokens) / tokens.mean()
