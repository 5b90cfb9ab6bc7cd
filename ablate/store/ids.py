"""Ids: hashes of what determines an artefact, and of nothing else."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from ablate.config import Config, identity
from ablate.plugins import sources_used
from ablate.store.bleu_tokenizers import DEFAULT, tokenizer_for

MEANING = 1  # raised when the same configuration would train differently than before


@dataclass(frozen=True)
class RunSpec:
    """One run: everything that determines it, and where it stands in its study."""

    id: str
    study: str
    setting: str
    cell: str
    seed: int
    config: Config
    corpus: str  # fingerprint of the prepared corpus


def run_id(config: Config, seed: int, corpus: str) -> str:
    """Hash of everything that determines a run's training, and of nothing else."""
    determinants = {
        "meaning": MEANING,
        "seed": seed,
        "corpus": corpus,
        "precision": config.precision,
        "model": {key: value for key, value in identity(config.model).items() if config.model.reads(key)},
        "optim": identity(config.optim),
        "train": identity(config.train),
        **sources_used(model=config.model, optim=config.optim, train=config.train),
    }
    return digest(determinants)


def evaluation_id(config: Config) -> str:
    """Hash of what determines the scores of a trained model."""
    return digest(scoring(config))


def scoring(config: Config) -> dict[str, Any]:
    """What determines the scores of a trained model, with the tokeniser that is used in place of the one asked for.

    13a is left out: the first scores were made with it, before there was a choice, and their ids stay valid.
    """
    tokenizer = bleu_tokenizer(config)
    chosen = identity(config.evaluation) | {"bleu_tokenizer": tokenizer} | sources_used(evaluation=config.evaluation)
    return {key: value for key, value in chosen.items() if (key, value) != ("bleu_tokenizer", DEFAULT)}


def bleu_tokenizer(config: Config) -> str:
    """sacreBLEU's name of the tokeniser that BLEU is computed with: the one asked for, or the target language's."""
    return config.evaluation.bleu_tokenizer or tokenizer_for(config.data.target)


def digest(value: Any) -> str:
    """Twelve hexadecimal digits that stand for a value made of plain types and Enums."""
    text = json.dumps(value, sort_keys=True, default=lambda member: member.name)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
