"""Fetch, clean, split, tokenise and keep a corpus. What it keeps is named after the recipe and the source's content."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.config import BadInput, DataConfig
from ablate.data import corpora
from ablate.data.cache import cache_folder, corpus_folder

if TYPE_CHECKING:
    import numpy as np

RECIPE = 1  # raised when the same config comes to give other numbers
NOT_RECIPE = ("name", "path", "loader")  # the content's hash stands for these


def fingerprint(data: DataConfig) -> str:
    """12 hex digits for the prepared corpus: its source's content and everything that is done to it."""
    recipe = {key: value for key, value in asdict(data).items() if key not in NOT_RECIPE}
    recipe |= {"content": corpora.published(data).content_hash(data), "recipe": RECIPE}
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]


def prepare(data: DataConfig, say: Callable[[str], None]) -> dict[str, Any]:
    """The metadata of the prepared corpus (corpus.json), which is made now unless it lies whole in the cache."""
    from ablate.data.corpus import Corpus

    mark = fingerprint(data)
    try:
        return named(Corpus.load(mark).metadata, data)
    except BadInput:
        pass  # not there, or damaged
    folder = corpus_folder(mark)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{mark}-") as temporary:
            fresh = Path(temporary) / "corpus"
            fresh.mkdir()
            _write(fresh, data, say)
            _put(fresh, folder)
    except OSError as error:
        raise BadInput(
            f"could not keep the prepared corpus in {cache_folder()} ({error.strerror or type(error).__name__}): "
            "make room there, or set ABLATE_CACHE to another folder"
        ) from error
    return named(Corpus.load(mark).metadata, data)


def named(metadata: dict[str, Any], data: DataConfig) -> dict[str, Any]:
    """Two names may share one prepared corpus; each study sees its own."""
    return {**metadata, "name": data.name}


def _put(fresh: Path, folder: Path) -> None:
    """Rename `fresh` to `folder`. Where another process was faster its corpus stays: it is the same."""
    from ablate.data.corpus import Corpus

    try:
        os.rename(fresh, folder)
    except OSError:
        try:
            Corpus.load(folder.name)
        except BadInput:
            shutil.rmtree(folder, ignore_errors=True)
            os.rename(fresh, folder)


def _write(folder: Path, data: DataConfig, say: Callable[[str], None]) -> None:
    import numpy as np

    from ablate.data.clean import clean
    from ablate.data.split import split
    from ablate.data.tokenise import encode, train_tokenizer

    raw = corpora.read(data, say)
    say(f"preparing {data.name}: cleaning {len(raw['all']):,} pairs, splitting, tokenising")
    pairs, dropped = clean(raw["all"], data)
    splits = split(pairs, data)
    references = _references(splits["test"])
    splits["test"] = [(source, target) for source, targets in references.items() for target in targets]

    tokenizer = train_tokenizer(splits["train"], data.vocabulary_size)
    arrays = {"test_sentence": np.repeat(np.arange(len(references)), [len(each) for each in references.values()])}
    for name, members in splits.items():
        for side, texts in (("source", [pair[0] for pair in members]), ("target", [pair[1] for pair in members])):
            tokens, offsets = encode(texts, tokenizer, start=side == "target")
            arrays |= {f"{name}_{side}": tokens, f"{name}_{side}_offsets": offsets}

    metadata = {
        "name": data.name,
        "fingerprint": fingerprint(data),
        "source": data.source,
        "target": data.target,
        "credit": corpora.published(data).credit,
        "raw_pairs": len(raw["all"]),
        "dropped": dropped,
        "train_pairs": len(splits["train"]),
        "validation_pairs": len(splits["validation"]),
        "test_sentences": len(references),
        "test_references": len(splits["test"]),
        "vocabulary_size": tokenizer.get_vocab_size(),
        **token_counts(arrays),
        "unigram_cross_entropy": unigram_cross_entropy(
            predicted(arrays, "train"), predicted(arrays, "validation"), tokenizer.get_vocab_size()
        ),
    }
    np.savez(folder / "arrays.npz", allow_pickle=False, **arrays)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=True)
    lines = ({"source": source, "references": targets} for source, targets in references.items())
    test = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (folder / "test.jsonl").write_text(test, encoding="utf-8")
    (folder / "corpus.json").write_text(json.dumps(metadata, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _references(test: corpora.Pairs) -> dict[str, list[str]]:
    """Every reference of each source, in the order of their first appearance."""
    references: dict[str, list[str]] = {}
    for source, target in test:
        references.setdefault(source, []).append(target)
    return references


def predicted(arrays: dict[str, np.ndarray], split: str) -> np.ndarray:
    """The target tokens that a model predicts: </s> counts, <s> does not."""
    import numpy as np

    return np.delete(arrays[f"{split}_target"], arrays[f"{split}_target_offsets"][:-1])


def token_counts(arrays: dict[str, np.ndarray]) -> dict[str, float]:
    """Tokens a sentence, </s> counted and <s> not: the longest of all splits, the mean of the training split."""
    import numpy as np

    def lengths(split: str, side: str) -> np.ndarray:
        return np.diff(arrays[f"{split}_{side}_offsets"]) - (side == "target")

    splits = ("train", "validation", "test")
    longest = {f"longest_{side}": int(max(lengths(s, side).max() for s in splits)) for side in ("source", "target")}
    return longest | {f"mean_{side}": round(float(lengths("train", side).mean()), 3) for side in ("source", "target")}


def unigram_cross_entropy(train: np.ndarray, validation: np.ndarray, vocabulary_size: int) -> float:
    """Nats a token of `validation` under the add-one smoothed frequencies of `train`; both are token ids [N].

    What a model can reach without reading anything: the bar that a run has to clear to have learned.
    """
    import numpy as np

    counts = np.bincount(train, minlength=vocabulary_size) + 1
    return float(-np.log(counts / counts.sum())[validation].mean())
