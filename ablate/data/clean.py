"""From raw pairs to clean ones, through Hugging Face `datasets`; each step says how many pairs it dropped.

A *word* is a run of letters, digits and underscores, case folded: "J'ai" is two. Two sentences are *alike* when their
words are, whatever their case and punctuation.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ablate.config import DataConfig
from ablate.data.raw import Pairs

if TYPE_CHECKING:
    from datasets import Dataset

_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\ufeff"))  # soft hyphen, zero-width space, byte-order mark
_SPACES = re.compile(r"[\s\u2581]+")  # the tokeniser writes a space as U+2581, so it may be nothing else
_WORD = re.compile(r"\w+")


def clean(raw: Pairs, data: DataConfig) -> tuple[Pairs, dict[str, int]]:
    """What is left of `raw`, in its order, and the number of pairs that each step dropped."""
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    kept = Dataset.from_dict({"source": [source for source, _ in raw], "target": [target for _, target in raw]})
    kept = kept.map(_normalised, batched=True, keep_in_memory=True)
    dropped = {}
    for step in (_with_words, _unique, _of_length, _of_frequent_words):
        before = len(kept)
        kept = kept.select(step(kept, data), keep_in_memory=True)
        dropped[STEPS[step]] = before - len(kept)
    return _sides(kept), dropped


def normalise(text: str) -> str:
    """NFC, every run of whitespace one plain space, none at the ends, nothing invisible."""
    return _SPACES.sub(" ", unicodedata.normalize("NFC", text.translate(_INVISIBLE))).strip()


def words(text: str) -> tuple[str, ...]:
    """Its words. Sentences are alike when these are equal."""
    return tuple(_WORD.findall(text.casefold()))


def most_frequent(sentences: Iterable[tuple[str, ...]], size: int | None) -> frozenset[str] | None:
    """The `size` most frequent words; of equally frequent ones the first in the alphabet. None stands for all."""
    if size is None:
        return None
    counts = Counter(word for sentence in sentences for word in sentence)
    return frozenset(sorted(counts, key=lambda word: (-counts[word], word))[:size])


def _normalised(batch: dict[str, list[str]]) -> dict[str, list[str]]:
    return {side: [normalise(text) for text in batch[side]] for side in ("source", "target")}


def _sides(kept: Dataset) -> list[tuple[str, str]]:
    columns = kept[:]  # a column by its name would be read row by row
    return list(zip(columns["source"], columns["target"], strict=True))


def _word_sides(kept: Dataset) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    return [(words(source), words(target)) for source, target in _sides(kept)]


# A step gives the rows that it keeps.


def _with_words(kept: Dataset, data: DataConfig) -> list[int]:
    return [row for row, (source, target) in enumerate(_word_sides(kept)) if source and target]


def _unique(kept: Dataset, data: DataConfig) -> list[int]:
    first = {pair: row for row, pair in reversed(list(enumerate(_sides(kept))))}
    return sorted(first.values())


def _of_length(kept: Dataset, data: DataConfig) -> list[int]:
    longest = data.max_words or float("inf")
    return [
        row
        for row, sides in enumerate(_word_sides(kept))
        if all(data.min_words <= len(side) <= longest for side in sides)
    ]


def _of_frequent_words(kept: Dataset, data: DataConfig) -> list[int]:
    """Frequencies are counted over the pairs that the steps before this one kept."""
    sides = _word_sides(kept)
    known_source = most_frequent((source for source, _ in sides), data.source_words)
    known_target = most_frequent((target for _, target in sides), data.target_words)
    return [
        row
        for row, (source, target) in enumerate(sides)
        if (known_source is None or known_source.issuperset(source))
        and (known_target is None or known_target.issuperset(target))
    ]


STEPS = {_with_words: "empty", _unique: "duplicate", _of_length: "length", _of_frequent_words: "rare_words"}
