"""A prepared corpus: token ids, the tokeniser, and the test set with its text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from ablate.config import BadInput
from ablate.data.cache import check_sums, corpus_folder


@dataclass(frozen=True, eq=False)
class Pairs:
    """N sentence pairs as token ids, laid end to end: pair i is tokens[offsets[i]:offsets[i + 1]] on either side."""

    source: np.ndarray  # [source tokens], int32; each sentence ends in </s>
    source_offsets: np.ndarray  # [N + 1], int64
    target: np.ndarray  # [target tokens], int32; each sentence begins with <s> and ends in </s>
    target_offsets: np.ndarray  # [N + 1], int64

    def __len__(self) -> int:
        return len(self.source_offsets) - 1

    @property
    def source_lengths(self) -> np.ndarray:
        """Source positions of each pair, </s> counted: [N]."""
        return np.diff(self.source_offsets)

    @property
    def target_lengths(self) -> np.ndarray:
        """Target positions that are predicted in each pair, </s> counted and <s> not: [N]."""
        return np.diff(self.target_offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Both lengths of each pair, source before target: [N, 2]."""
        return np.stack([self.source_lengths, self.target_lengths], axis=1)

    def pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Token ids of one pair."""
        source = self.source[self.source_offsets[index] : self.source_offsets[index + 1]]
        return source, self.target[self.target_offsets[index] : self.target_offsets[index + 1]]

    def first(self, count: int) -> Pairs:
        """The first `count` pairs."""
        source, target = self.source_offsets[: count + 1], self.target_offsets[: count + 1]
        return Pairs(self.source[: source[-1]], source, self.target[: target[-1]], target)


@dataclass(frozen=True, eq=False)
class TestSet:
    """S source sentences, each with all its references."""

    pairs: Pairs  # a pair for each (source, reference), in the order of the sentences
    sentence: np.ndarray  # [pairs]: the number of the sentence that each pair belongs to, ascending
    source_tokens: tuple[np.ndarray, ...]  # [S]: token ids of each sentence, ending in </s>
    sources: tuple[str, ...]  # [S]: text of each sentence
    references: tuple[tuple[str, ...], ...]  # [S]: text of every reference of each sentence

    def first(self, count: int | None) -> TestSet:
        """The first `count` sentences, or all of them where there are no more or `count` is None."""
        if count is None or count >= len(self.sources):
            return self
        pairs = int(np.searchsorted(self.sentence, count))
        return TestSet(
            self.pairs.first(pairs),
            self.sentence[:pairs],
            self.source_tokens[:count],
            self.sources[:count],
            self.references[:count],
        )

    @property
    def bytes(self) -> int:
        """Length of all references in UTF-8, by which the loss becomes bits a byte."""
        return sum(len(reference.encode()) for references in self.references for reference in references)


@dataclass(frozen=True, eq=False)
class Corpus:
    train: Pairs
    validation: Pairs
    test_set: TestSet
    pool: TestSet  # all that is held out with data.held_out; else the test set
    loss_set: TestSet  # the beginning of the pool over which the test loss is taken; the test set is its beginning
    tokenizer: Tokenizer
    metadata: dict[str, Any]  # corpus.json, and the sizes of the test set

    @staticmethod
    def load(fingerprint: str, test_sentences: int | None = None, loss_sentences: int | None = None) -> Corpus:
        """Read it from the cache, with test and loss sets of these sizes (`tested_on`).

        Raises BadInput when it is not in the cache, or not whole.
        """
        folder = corpus_folder(fingerprint)
        if not folder.is_dir():
            raise BadInput(f"corpus {fingerprint} is not in {folder.parent}: run the study again to prepare it")
        try:
            check_sums(folder)
            metadata = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
            with np.load(folder / "arrays.npz", allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            text = (folder / f"{held_out_name(metadata)}.jsonl").read_text(encoding="utf-8")
            lines = [json.loads(line) for line in text.splitlines()]
            tokenizer = Tokenizer.from_str((folder / "tokenizer.json").read_text(encoding="utf-8"))
            tokenizer.encode_special_tokens = True  # "</s>" in a text is text
            corpus = _assemble(arrays, lines, tokenizer, metadata)
        except Exception as error:  # zip, JSON and tokenizers each raise their own, down to plain Exception
            raise _damaged(fingerprint) from error
        if not corpus._is_whole():
            raise _damaged(fingerprint)
        return corpus.tested_on(test_sentences, loss_sentences)

    def tested_on(self, test_sentences: int | None, loss_sentences: int | None = None) -> Corpus:
        """The same with the first `test_sentences` source sentences of the pool as its test set; None for all.

        The loss is taken over the first `loss_sentences`, if these are more; None for the test set alone.
        """
        test_set = self.pool.first(test_sentences)
        loss_set = self.pool.first(max(loss_sentences or 0, len(test_set.sources)))
        sizes = {
            "test_sentences": len(test_set.sources),
            "test_references": len(test_set.pairs),
            "test_bytes": test_set.bytes,
        }
        return replace(self, test_set=test_set, loss_set=loss_set, metadata={**self.metadata, **sizes})

    @property
    def test(self) -> Pairs:
        return self.test_set.pairs

    def training_sources(self) -> list[str]:
        """The normalised text of each training source; characters outside the vocabulary are `<unk>`."""
        rows = (self.train.pair(index)[0][:-1].tolist() for index in range(len(self.train)))
        return self.tokenizer.decode_batch(list(rows), skip_special_tokens=False)

    @property
    def test_sentence(self) -> np.ndarray:
        return self.test_set.sentence

    @property
    def test_sources(self) -> tuple[np.ndarray, ...]:
        return self.test_set.source_tokens

    @property
    def sources(self) -> tuple[str, ...]:
        return self.test_set.sources

    @property
    def references(self) -> tuple[tuple[str, ...], ...]:
        return self.test_set.references

    def _is_whole(self) -> bool:
        held_out = held_out_name(self.metadata)
        counted = {
            "train_pairs": len(self.train),
            "validation_pairs": len(self.validation),
            f"{held_out}_sentences": len(self.pool.sources),
            f"{held_out}_references": len(self.pool.pairs),
            "vocabulary_size": self.tokenizer.get_vocab_size(),
        }
        return all(self.metadata.get(key) == count for key, count in counted.items())


def held_out_name(metadata: Mapping[str, Any]) -> str:
    """The name of the held-out set in arrays, files and counts: "pool" with data.held_out, else "test"."""
    return "pool" if "pool_sentences" in metadata else "test"


def contents_hash(arrays: Mapping[str, np.ndarray], tokenizer: Tokenizer) -> str:
    """sha256 of the input of models, the arrays and the vocabulary. It is independent of the file format."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(json.dumps(sorted(tokenizer.get_vocab().items())).encode())
    return digest.hexdigest()


def _assemble(
    arrays: dict[str, np.ndarray], lines: list[dict[str, Any]], tokenizer: Tokenizer, metadata: dict[str, Any]
) -> Corpus:
    held_out = held_out_name(metadata)
    train, validation, pairs = (
        Pairs(*(arrays[f"{split}_{part}"] for part in ("source", "source_offsets", "target", "target_offsets")))
        for split in ("train", "validation", held_out)
    )
    sentence = arrays[f"{held_out}_sentence"]
    first = np.searchsorted(sentence, np.arange(len(lines)))
    pool = TestSet(
        pairs,
        sentence,
        source_tokens=tuple(pairs.pair(index)[0] for index in first),
        sources=tuple(line["source"] for line in lines),
        references=tuple(tuple(line["references"]) for line in lines),
    )
    return Corpus(train, validation, pool, pool, pool, tokenizer, metadata)


def _damaged(fingerprint: str) -> BadInput:
    folder = corpus_folder(fingerprint)
    return BadInput(f"corpus {fingerprint} in {folder.parent} is damaged: run the study again to prepare it")
