"""A prepared corpus as training and evaluation read it: numbers, the tokeniser, and the test set's text."""

from __future__ import annotations

import json
from dataclasses import dataclass
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
        """Both, source before target: [N, 2]."""
        return np.stack([self.source_lengths, self.target_lengths], axis=1)

    def pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Token ids of one pair."""
        source = self.source[self.source_offsets[index] : self.source_offsets[index + 1]]
        return source, self.target[self.target_offsets[index] : self.target_offsets[index + 1]]


@dataclass(frozen=True, eq=False)
class Corpus:
    train: Pairs
    validation: Pairs
    test: Pairs  # a pair for each (source, reference), in the order of the test sentences
    test_sentence: np.ndarray  # [test pairs]: the test sentence that each belongs to
    test_sources: tuple[np.ndarray, ...]  # token ids of each test sentence, ending in </s>
    sources: tuple[str, ...]  # text of each test sentence
    references: tuple[tuple[str, ...], ...]  # every reference of each test sentence
    tokenizer: Tokenizer
    metadata: dict[str, Any]  # corpus.json

    @staticmethod
    def load(fingerprint: str) -> Corpus:
        """Read it from the cache. BadInput when it is not there, or not whole."""
        folder = corpus_folder(fingerprint)
        if not folder.is_dir():
            raise BadInput(f"corpus {fingerprint} is not in {folder.parent}: run the study again to prepare it")
        try:
            check_sums(folder)
            metadata = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
            with np.load(folder / "arrays.npz", allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            lines = [json.loads(line) for line in (folder / "test.jsonl").read_text(encoding="utf-8").splitlines()]
            tokenizer = Tokenizer.from_str((folder / "tokenizer.json").read_text(encoding="utf-8"))
            tokenizer.encode_special_tokens = True  # "</s>" in a text is text
            corpus = _assemble(arrays, lines, tokenizer, metadata)
        except Exception as error:  # zip, JSON and tokenizers each raise their own, down to plain Exception
            raise _damaged(fingerprint) from error
        if not corpus._whole():
            raise _damaged(fingerprint)
        return corpus

    def _whole(self) -> bool:
        counted = {
            "train_pairs": len(self.train),
            "validation_pairs": len(self.validation),
            "test_sentences": len(self.sources),
            "test_references": len(self.test),
            "vocabulary_size": self.tokenizer.get_vocab_size(),
        }
        return all(self.metadata.get(key) == count for key, count in counted.items())


def _assemble(
    arrays: dict[str, np.ndarray], lines: list[dict[str, Any]], tokenizer: Tokenizer, metadata: dict[str, Any]
) -> Corpus:
    train, validation, test = (
        Pairs(*(arrays[f"{split}_{part}"] for part in ("source", "source_offsets", "target", "target_offsets")))
        for split in ("train", "validation", "test")
    )
    first = np.searchsorted(arrays["test_sentence"], np.arange(len(lines)))
    return Corpus(
        train=train,
        validation=validation,
        test=test,
        test_sentence=arrays["test_sentence"],
        test_sources=tuple(test.pair(index)[0] for index in first),
        sources=tuple(line["source"] for line in lines),
        references=tuple(tuple(line["references"]) for line in lines),
        tokenizer=tokenizer,
        metadata=metadata,
    )


def _damaged(fingerprint: str) -> BadInput:
    folder = corpus_folder(fingerprint)
    return BadInput(f"corpus {fingerprint} in {folder.parent} is damaged: run the study again to prepare it")
