"""Make the files of a prepared corpus from raw text: clean, split, tokenise, encode, count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ablate.config import BadInput, DataConfig
from ablate.data import numbers
from ablate.data.clean import clean, normalise, words
from ablate.data.corpus import contents_hash
from ablate.data.lengths import describe_too_long
from ablate.data.raw import OFFICIAL, Pairs, Say, Splits
from ablate.data.sources import corpora
from ablate.data.split import divide, overlaps
from ablate.data.tokenise import LONGEST_TOKEN, train_tokenizer
from ablate.data.unknown import Shares, describe_unknown, much, unknown_shares


def write(folder: Path, raw: Splits, data: DataConfig, identity: dict[str, str], say: Say) -> dict[str, Any]:
    """Write the files of a prepared corpus and return its metadata (corpus.json), which begins with `identity`.

    The other files are arrays.npz, tokenizer.json and test.jsonl, or with `data.held_out` pool.jsonl. Empties `raw`.
    Raises BadInput if too little text is left.
    """
    import tokenizers

    splits, counted = _clean_splits(raw, data, say)
    held_out = "test" if data.held_out is None else "pool"
    sentences = numbers.sentences(splits.pop("test"), "test" in counted["official"])
    splits[held_out] = [(source, target) for source, targets in sentences for target in targets]
    splits["train"], too_long_to_learn = _of_possible_length(splits["train"], data.max_tokens)
    tokenizer = train_tokenizer(splits["train"], data)
    references = [len(targets) for _, targets in sentences]
    arrays = {f"{held_out}_sentence": np.repeat(np.arange(len(sentences)), references)}
    encoded, too_long = numbers.numbers(splits, tokenizer, data.max_tokens)
    arrays |= encoded
    train_pairs = len(splits["train"]) - too_long["train_dropped"]
    too_long["train_dropped"] += too_long_to_learn
    say_too_long(too_long, data.max_tokens, say)
    if not train_pairs:
        raise BadInput(f"data.max_tokens={data.max_tokens}: every training pair is longer; raise it")
    unknown = unknown_shares(arrays)
    say_unknown(unknown, data, say)

    train = numbers.predicted(arrays, "train")
    metadata = {
        "name": data.label,
        **identity,
        "source": data.source,
        "target": data.target,
        "credit": corpora.published(data).credit(data),
        **counted,
        "too_long": too_long,
        "unknown": unknown,
        "train_pairs": train_pairs,
        "validation_pairs": len(splits["validation"]),
        f"{held_out}_sentences": len(sentences),
        f"{held_out}_references": len(splits[held_out]),
        "train_tokens": len(train),
        "vocabulary_size": tokenizer.get_vocab_size(),
        **numbers.token_counts(arrays),
        "unigram_cross_entropy": numbers.unigram_cross_entropy(
            train, numbers.predicted(arrays, "validation"), tokenizer.get_vocab_size()
        ),
        "tokenizers": tokenizers.__version__,
        "sha256": contents_hash(arrays, tokenizer),
    }
    np.savez(folder / "arrays.npz", allow_pickle=False, **arrays)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=True)
    lines = ({"source": source, "references": targets} for source, targets in sentences)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (folder / f"{held_out}.jsonl").write_text(text, encoding="utf-8")
    (folder / "corpus.json").write_text(json.dumps(metadata, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return metadata


def _clean_splits(raw: Splits, data: DataConfig, say: Say) -> tuple[Splits, dict[str, Any]]:
    """The three sets as text, and the counts of cleaning and splitting as corpus.json has them."""
    everything = sum(map(len, raw.values()))
    say(f"preparing {data.label}: cleaning {everything:,} pairs, splitting, tokenising")
    official = {
        name: [(normalise(source), normalise(target)) for source, target in raw.pop(name)]
        for name in OFFICIAL
        if name in raw
    }
    pairs, dropped = clean(raw.popitem()[1], data)
    splits = divide(pairs, official, data)
    counted: dict[str, Any] = {"raw_pairs": everything, "dropped": dropped, "official": list(official)}
    if official:  # sets that are made here have no overlaps, and no blank sentences
        counted["overlaps"] = overlaps(splits)
        say_overlaps(counted["overlaps"], say)
        counted["blank"] = {name: sum(map(blank, splits[name])) for name in official}
        say_blank(counted["blank"], say)
    return splits, counted


def _of_possible_length(pairs: Pairs, max_tokens: int) -> tuple[Pairs, int]:
    """The pairs that may fit within `max_tokens` tokens on both sides, and how many pairs certainly exceed it on one.

    No token has more than LONGEST_TOKEN characters. Pairs that are certainly too long are dropped before the tokeniser
    is trained, because they would slow that down and be dropped after it anyway.
    """
    longest = max_tokens * LONGEST_TOKEN
    kept = [pair for pair in pairs if max(map(len, pair)) <= longest]
    return kept, len(pairs) - len(kept)


def say_overlaps(overlaps: dict[str, dict[str, int]], say: Say) -> None:
    parts = [
        f"{sets}: {', '.join(f'{count:,} {what}' for what, count in counts.items())}"
        for sets, counts in overlaps.items()
    ]
    say(f"sentences that are in two sets, kept in both: {'; '.join(parts)}")


def blank(pair: tuple[str, str]) -> bool:
    """Whether a side has no word: it is empty, or only punctuation."""
    return not all(map(words, pair))


def say_blank(counts: dict[str, int], say: Say) -> None:
    parts = [f"{count:,} in {name}" for name, count in counts.items() if count]
    if parts:
        say(f"official pairs with a side that has no word, kept and scored: {', '.join(parts)}")


def say_too_long(too_long: dict[str, int], max_tokens: int, say: Say) -> None:
    if parts := describe_too_long(too_long, max_tokens):
        say(f"longer than data.max_tokens={max_tokens}: {', '.join(parts)}")


def say_unknown(shares: Shares, data: DataConfig, say: Say) -> None:
    if parts := describe_unknown(shares):
        size, other = "take a larger data.vocabulary_size", " or data.byte_fallback=true"
        remedy = f"warning: {size}{other if data.tokenizer == 'bpe' else ''}; " if much(shares) else ""
        say(f"{remedy}tokens that data.vocabulary_size={data.vocabulary_size} leaves unknown (<unk>): {parts}")
