"""Which test sentences are near the training set: within one word of a training source.

A test sentence that differs from a training sentence in one word can be translated from memory, so scores near and far
are reported apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from ablate.data.clean import words
from ablate.data.corpus import Corpus

GAP = ("\0",)  # stands for one word or none; no word contains it
Words = tuple[str, ...]


def near_training(corpus: Corpus) -> list[bool]:
    """For each test sentence, whether its source is within one word of a training source."""
    return within_one_word(corpus.sources, corpus.training_sources())


def within_one_word(sentences: Iterable[str], others: Iterable[str]) -> list[bool]:
    """For each sentence, whether another has the same words but for one that is added, left out or replaced.

    Two sentences are that near if and only if they share a pattern with a gap, so one pass over the others is enough.
    """
    wanted: dict[Words, list[int]] = defaultdict(list)
    number = -1
    for number, sentence in enumerate(sentences):
        for pattern in patterns(words(sentence)):
            wanted[pattern].append(number)
    near = [False] * (number + 1)
    for other in {words(text) for text in others}:
        for pattern in patterns(other):
            for found in wanted.get(pattern, ()):
                near[found] = True
    return near


def patterns(text: Words) -> Iterator[Words]:
    """The words with a gap at each place: between two words, and instead of each word."""
    for place in range(len(text) + 1):
        yield text[:place] + GAP + text[place:]
    for place in range(len(text)):
        yield text[:place] + GAP + text[place + 1 :]
