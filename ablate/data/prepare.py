"""Fetch, clean, split, tokenise and keep a corpus. What it keeps is named after the recipe and the source's content."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.config import BadInput, DataConfig, identity
from ablate.data import corpora
from ablate.data.bounds import longest_reference
from ablate.data.cache import alone, cache_folder, corpus_folder, write_sums
from ablate.data.raw import OFFICIAL

if TYPE_CHECKING:
    from ablate.data.corpus import Corpus


def on_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


RECIPE = 1  # raised when the same config comes to give other numbers
NOT_RECIPE = ("name", "loader", *corpora.OPTIONS)  # the content's hash stands for these


def fingerprint(data: DataConfig, say: Callable[[str], None] = on_stderr) -> str:
    """12 hex digits for the prepared corpus: its source's content and everything that is done to it.

    A corpus whose content nobody knows beforehand is read for it, and fetched where it has to be. Raises BadInput.
    """
    return mark_of(data, corpora.content(data, say))


def mark_of(data: DataConfig, content: str) -> str:
    recipe = {key: value for key, value in identity(data).items() if key not in NOT_RECIPE}
    recipe |= {"content": content, "recipe": RECIPE}
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]


def prepare(data: DataConfig, say: Callable[[str], None]) -> dict[str, Any]:
    """The metadata of the prepared corpus (corpus.json), which is made now unless it lies whole in the cache."""
    mark = fingerprint(data, say)
    try:
        corpus = cached(mark) or _made(mark, data, say)
    except OSError as error:
        raise BadInput(
            f"could not keep the prepared corpus in {cache_folder()} ({error.strerror or type(error).__name__}): "
            "make room there, or set ABLATE_CACHE to another folder"
        ) from error
    return named(corpus.metadata, data)


def cached(mark: str) -> Corpus | None:
    """The prepared corpus of this fingerprint, if it lies whole in the cache."""
    from ablate.data.corpus import Corpus

    try:
        return Corpus.load(mark)
    except BadInput:
        return None


def check_size(metadata: dict[str, Any], batch_tokens: int) -> None:
    """Raise BadInput where the training set of a prepared corpus would not fill one batch of `batch_tokens`."""
    tokens = metadata.get("train_tokens")  # not known of a corpus that was prepared before it was counted
    if tokens is not None and tokens < batch_tokens:
        raise BadInput(
            f"the corpus {metadata['name']} is smaller than a batch: its {metadata['train_pairs']:,} training pairs "
            f"have {tokens:,} target tokens; bring more text, or set train.batch_tokens={batch_tokens} lower"
        )


def named(metadata: dict[str, Any], data: DataConfig) -> dict[str, Any]:
    """Two names may share one prepared corpus; each study sees its own."""
    return {**metadata, "name": data.label}


def _made(mark: str, data: DataConfig, say: Callable[[str], None]) -> Corpus:
    """The corpus, made by this process or by another that was at it already, and put into the cache."""
    from ablate.data.corpus import Corpus

    folder = corpus_folder(mark)
    with alone(folder, say) as place:
        made = cached(mark)
        if made is not None:
            return made
        if folder.exists():
            aside = folder.with_name(f"{mark}.damaged")
            shutil.rmtree(aside, ignore_errors=True)
            os.rename(folder, aside)
            say(f"the prepared corpus {mark} was damaged: it is set aside as {aside.name}, and made anew")
        _write(place, mark, data, say)
        write_sums(place)
        os.rename(place, folder)
    return Corpus.load(mark)


def _write(folder: Path, mark: str, data: DataConfig, say: Callable[[str], None]) -> None:
    import numpy as np

    from ablate.data import numbers
    from ablate.data.clean import clean, normalise
    from ablate.data.split import divide, overlaps
    from ablate.data.tokenise import train_tokenizer

    raw = corpora.read(data, say)
    content = corpora.content_of(raw, data)
    if mark_of(data, content) != mark:
        raise BadInput(f"the text of {data.label} has changed while it was read: run this again")
    everything = sum(map(len, raw.values()))
    say(f"preparing {data.label}: cleaning {everything:,} pairs, splitting, tokenising")
    official = {
        name: [(normalise(source), normalise(target)) for source, target in raw[name]]
        for name in OFFICIAL
        if name in raw
    }
    pairs, dropped = clean(raw["train" if official else "all"], data)
    splits = divide(pairs, official, data)
    counted = {"overlaps": overlaps(splits)} if official else {}  # sets that are made here have none
    say_overlaps(counted.get("overlaps", {}), say)
    sentences = numbers.sentences(splits["test"], "test" in official)
    splits["test"] = [(source, target) for source, targets in sentences for target in targets]

    tokenizer = train_tokenizer(splits["train"], data.vocabulary_size)
    arrays = {"test_sentence": np.repeat(np.arange(len(sentences)), [len(targets) for _, targets in sentences])}
    encoded, too_long = numbers.numbers(splits, tokenizer, data.max_tokens)
    arrays |= encoded
    say_too_long(too_long, data.max_tokens, say)
    train_pairs = len(splits["train"]) - too_long["train_dropped"]
    if not train_pairs:
        raise BadInput(f"data.max_tokens={data.max_tokens}: every training pair is longer; raise it")

    train = numbers.predicted(arrays, "train")
    metadata = {
        "name": data.label,
        "fingerprint": mark,
        "content": content,
        "source": data.source,
        "target": data.target,
        "credit": corpora.published(data).credit(data),
        "raw_pairs": everything,
        "dropped": dropped,
        "official": list(official),
        **counted,
        "too_long": too_long,
        "train_pairs": train_pairs,
        "validation_pairs": len(splits["validation"]),
        "test_sentences": len(sentences),
        "test_references": len(splits["test"]),
        "train_tokens": len(train),
        "vocabulary_size": tokenizer.get_vocab_size(),
        **numbers.token_counts(arrays),
        "unigram_cross_entropy": numbers.unigram_cross_entropy(
            train, numbers.predicted(arrays, "validation"), tokenizer.get_vocab_size()
        ),
    }
    np.savez(folder / "arrays.npz", allow_pickle=False, **arrays)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=True)
    lines = ({"source": source, "references": targets} for source, targets in sentences)
    test = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (folder / "test.jsonl").write_text(test, encoding="utf-8")
    (folder / "corpus.json").write_text(json.dumps(metadata, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def say_overlaps(overlaps: dict[str, dict[str, int]], say: Callable[[str], None]) -> None:
    if overlaps:
        parts = [
            f"{sets}: {', '.join(f'{count:,} {what}' for what, count in counts.items())}"
            for sets, counts in overlaps.items()
        ]
        say(f"sentences in two sets, kept where they are: {'; '.join(parts)}")


def say_too_long(too_long: dict[str, int], max_tokens: int, say: Callable[[str], None]) -> None:
    parts = what_was_too_long(too_long, max_tokens)
    if parts:
        say(f"longer than data.max_tokens={max_tokens}: {', '.join(parts)}")


def what_was_too_long(too_long: dict[str, int], max_tokens: int) -> list[str]:
    """In words, what became of the sentences that the `too_long` of corpus.json counts; empty where there were none."""
    most = f"{longest_reference(max_tokens):,}"
    return [f"{count:,} {TOO_LONG[what].format(most=most)}" for what, count in too_long.items() if count]


TOO_LONG = {
    "train_dropped": "training pairs, dropped",
    "validation_cut": "validation sources, cut",
    "test_cut": "test sources, cut",
    "validation_target_cut": "validation references, cut to {most} subwords",
    "test_target_cut": "test references, cut to {most} subwords for the loss, whole for BLEU",
}
