"""What is measured: the corpus, the model, and how much of each. All subjects get the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ablate.benchmark.processes import CHECKOUT, with_path
from ablate.config import BadInput
from ablate.data.corpus import Corpus

MODEL = {"d_model": 128, "layers": 4, "ffn_ratio": 2.0, "heads": 4, "dropout": 0.1}
SMALL = {"d_model": 16, "layers": 1, "ffn_ratio": 2.0, "heads": 2, "dropout": 0.1}
VOCABULARY = {False: 8000, True: 500}  # by whether the benchmark is quick
BATCH_TOKENS = {False: 1000, True: 200}
RUN = 1000  # updates of a run of preset=laptop, by which tokens a second become runs an hour
MOST_UPDATES = 10**6  # for which the learning rate's schedule is defined: more than are measured
DECODED_TOGETHER = 102  # sentences whose hypotheses ablate decodes at a time, with a beam of 5


class Workload(Struct, frozen=True, kw_only=True):
    corpus: str  # its name
    fingerprint: str
    vocabulary_size: int
    model: dict[str, Any]
    batch_tokens: int
    batch_sentences: int  # of a batch of a fixed number of sentences: about as many tokens as ours
    updates: int
    warmup: int = 20
    sentences: int
    beam: int = 5
    length: int  # tokens of each translation: the mean length of a reference
    tokens_a_run: float  # target tokens of RUN updates of ablate
    quick: bool = False

    def asked(self, task: str, **more: Any) -> dict[str, Any]:
        """What every subject is told."""
        return {
            "task": task,
            "corpus": self.fingerprint,
            "model": self.model,
            "train": {"batch_tokens": self.batch_tokens, "updates": MOST_UPDATES},
            "precision": "fp32",
            "device": "cpu",
            "updates": self.updates,
            "warmup": self.warmup,
            "runs": 1,
            "first_seed": 1,
            "our_batches": True,
            "batch_sentences": self.batch_sentences,
            "sentences": self.sentences,
            "beam": self.beam,
            "length": self.length,
            "decoded_together": DECODED_TOGETHER,
            **more,
        }


def workload(overrides: Sequence[str], quick: bool, updates: int) -> Workload:
    """Prepare the corpus and measure its lengths. Raises BadInput."""
    fingerprint = prepared(recipe(overrides, quick), CHECKOUT)
    corpus = Corpus.load(fingerprint)
    mean = float(corpus.train.target_lengths.mean())
    real = tokens_an_update(corpus, batch_tokens := BATCH_TOKENS[quick])
    found = Workload(
        corpus=str(corpus.metadata["name"]),
        fingerprint=fingerprint,
        vocabulary_size=corpus.metadata["vocabulary_size"],
        model=MODEL,
        batch_tokens=batch_tokens,
        batch_sentences=max(1, round(real / mean)),
        updates=updates,
        sentences=min(1000, len(corpus.sources)),
        length=round(float(corpus.test.target_lengths.mean())),
        tokens_a_run=RUN * real,
    )
    if quick:
        found = msgspec.structs.replace(
            found, model=SMALL, updates=min(updates, 4), warmup=1, sentences=min(8, found.sentences), quick=True
        )
    return found


def recipe(overrides: Sequence[str], quick: bool) -> list[str]:
    """The overrides by which ablate prepares the corpus."""
    return [f"data.vocabulary_size={VOCABULARY[quick]}", f"train.batch_tokens={BATCH_TOKENS[quick]}", *overrides]


def tokens_an_update(corpus: Corpus, batch_tokens: int) -> float:
    """Mean number of real target tokens in ablate's batches."""
    import torch

    from ablate.data.batches import Batches

    batches = Batches(corpus.train, batch_tokens, torch.device("cpu"))
    return float(corpus.train.target_lengths.sum()) / batches.per_epoch


def prepared(overrides: Sequence[str], checkout: Path) -> str:
    """The fingerprint of the corpus as a checkout of ablate prepares it, if it has not done so before."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "ablate", *overrides, "prepare_only=true"],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env=os.environ | with_path(checkout),
    )
    if done.returncode:
        raise BadInput((done.stderr.strip().splitlines() or ["the corpus could not be prepared"])[-1])
    return Path(done.stdout.strip().splitlines()[-1]).name
