"""From raw pairs to clean ones, with the number of pairs that each step dropped.

A *word* is a run of letters, digits and underscores with their combining marks (vowel signs, accents, points), case
folded: "J'ai" is two, "हिन्दी" is one. Two sentences are *alike* when their words are, whatever their case and
punctuation.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

import regex

from ablate.config import WORD, DataConfig
from ablate.data.raw import Pairs

_INVISIBLE = ("\u00ad", "\u200b", "\ufeff")  # soft hyphen, zero-width space, byte-order mark
_WORD = regex.compile(rf"(?!\p{{M}})[{WORD}]+")
_ASCII_WORD = re.compile(r"\w+", re.ASCII)
_FORMAT = regex.compile(r"\p{Cf}+")  # joiners, direction marks: within a word they change only its appearance

STEPS = ("empty", "duplicate", "length", "rare_words")


def clean(raw: Pairs, data: DataConfig) -> tuple[Pairs, dict[str, int]]:
    """The pairs of `raw` that are kept, in their order, and the number of pairs that each of STEPS dropped."""
    longest = data.max_words or float("inf")
    dropped = dict.fromkeys(STEPS, 0)
    seen: set[tuple[str, str]] = set()
    kept: Pairs = []
    for source, target in raw:
        pair = normalise(source), normalise(target)
        lengths = [len(words(side)) for side in pair]
        if not all(lengths):
            dropped["empty"] += 1
        elif pair in seen:
            dropped["duplicate"] += 1
        else:
            seen.add(pair)
            if data.min_words <= min(lengths) and max(lengths) <= longest:
                kept.append(pair)
            else:
                dropped["length"] += 1
    known = [most_frequent((words(pair[side]) for pair in kept), size) for side, size in enumerate(_sizes(data))]
    if any(vocabulary is not None for vocabulary in known):
        kept, before = [pair for pair in kept if all(map(_made_of, pair, known))], len(kept)
        dropped["rare_words"] = before - len(kept)
    return kept, dropped


def normalise(text: str) -> str:
    """The text in NFC, without invisible characters; runs of whitespace are one space, with none at the ends."""
    for character in _INVISIBLE:
        text = text.replace(character, "")
    # tokenisers write a space as U+2581, so no text may contain it
    return " ".join(unicodedata.normalize("NFC", text).replace("\u2581", " ").split())


def words(text: str) -> tuple[str, ...]:
    """The words of a text. Sentences are alike when these are equal."""
    if text.isascii():  # the same result in half the time
        return tuple(_ASCII_WORD.findall(text.lower()))
    folded = _FORMAT.sub("", text).casefold()
    return tuple(_WORD.findall(unicodedata.normalize("NFC", folded)))  # folding may decompose letters


def alike(text: str) -> str:
    """The words of a text in one string, which takes less memory than a tuple."""
    return " ".join(words(text))


def most_frequent(sentences: Iterable[tuple[str, ...]], size: int | None) -> frozenset[str] | None:
    """The `size` most frequent words, ties in alphabetical order; None, for all words, where `size` is None."""
    if size is None:
        return None
    counts = Counter(word for sentence in sentences for word in sentence)
    return frozenset(sorted(counts, key=lambda word: (-counts[word], word))[:size])


def _sizes(data: DataConfig) -> tuple[int | None, int | None]:
    return data.source_words, data.target_words


def _made_of(text: str, known: frozenset[str] | None) -> bool:
    return known is None or known.issuperset(words(text))
