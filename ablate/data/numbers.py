"""Turn a corpus into arrays: encode its sets, limit their lengths, and count tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ablate.data.bounds import longest_reference
from ablate.data.raw import Pairs, Splits
from ablate.data.tokenise import encode
from ablate.data.vocabulary import END

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Arrays = dict[str, np.ndarray]
Sentences = list[tuple[str, list[str]]]  # (source, its references)


def numbers(splits: Splits, tokenizer: Tokenizer, max_tokens: int) -> tuple[Arrays, dict[str, int]]:
    """{split}_{side} token ids and {split}_{side}_offsets (see `tokenise.encode`), and how many were too long.

    Training pairs with a side of more than `max_tokens` tokens are dropped. The sources of all other sets are cut to
    `max_tokens` tokens, and their targets to `longest_reference`. </s> counts, <s> does not.
    """
    arrays: Arrays = {}
    too_long = {}
    for name, members in splits.items():
        source = encode([pair[0] for pair in members], tokenizer, start=False)
        target = encode([pair[1] for pair in members], tokenizer, start=True)
        if name == "train":
            kept = (np.diff(source[1]) <= max_tokens) & (np.diff(target[1]) - 1 <= max_tokens)
            too_long["train_dropped"] = int((~kept).sum())
            source, target = select(*source, kept), select(*target, kept)
        else:
            longest = longest_reference(max_tokens)
            too_long[f"{name}_cut"] = int((np.diff(source[1]) > max_tokens).sum())
            too_long[f"{name}_target_cut"] = int((np.diff(target[1]) - 1 > longest).sum())
            source, target = cut(*source, max_tokens), cut(*target, longest + 1)
        arrays |= dict(zip((f"{name}_source", f"{name}_source_offsets"), source))
        arrays |= dict(zip((f"{name}_target", f"{name}_target_offsets"), target))
    return arrays, too_long


def select(tokens: np.ndarray, offsets: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows where `kept` [rows] is true, laid end to end."""
    lengths = np.diff(offsets)
    return tokens[np.repeat(kept, lengths)], _offsets(lengths[kept])


def cut(tokens: np.ndarray, offsets: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Every row cut to `length` tokens, of which the last is </s>."""
    lengths = np.diff(offsets)
    place = np.arange(len(tokens)) - np.repeat(offsets[:-1], lengths)  # [tokens]: the position in its row
    # rows of exactly this length end in </s> already
    tokens = np.where(place == length - 1, END, tokens).astype(tokens.dtype)
    return tokens[place < length], _offsets(np.minimum(lengths, length))


def _offsets(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def sentences(test: Pairs, official: bool) -> Sentences:
    """Each source with its references. In an official set every pair is a sentence; else references are grouped."""
    if official:
        return [(source, [target]) for source, target in test]
    references: dict[str, list[str]] = {}
    for source, target in test:
        references.setdefault(source, []).append(target)
    return list(references.items())


def predicted(arrays: Arrays, split: str) -> np.ndarray:
    """The target tokens that a model predicts: </s> counts, <s> does not."""
    return np.delete(arrays[f"{split}_target"], arrays[f"{split}_target_offsets"][:-1])


def token_counts(arrays: Arrays) -> dict[str, float]:
    """Tokens in a sentence, with </s> and without <s>: the most in any split, and the mean of the training split."""

    def lengths(split: str, side: str) -> np.ndarray:
        return np.diff(arrays[f"{split}_{side}_offsets"]) - (side == "target")

    splits = [name.removesuffix("_target") for name in arrays if name.endswith("_target")]
    longest = {f"longest_{side}": int(max(lengths(s, side).max() for s in splits)) for side in ("source", "target")}
    return longest | {f"mean_{side}": round(float(lengths("train", side).mean()), 3) for side in ("source", "target")}


def unigram_cross_entropy(train: np.ndarray, validation: np.ndarray, vocabulary_size: int) -> float:
    """Nats a token of `validation` under the add-one smoothed frequencies of `train`; both are token ids [N].

    A model reaches this without reading its source, so a run has learned only if its loss is lower.
    """
    counts = np.bincount(train, minlength=vocabulary_size) + 1
    return float(-np.log(counts / counts.sum())[validation].mean())
