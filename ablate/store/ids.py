"""The ids of trainings and evaluations: hashes of what determines their results.

A training is determined by its corpus, the sections `model`, `optim` and `train`, the seed, the precision, and the
trainings that it learns from (its parents). An evaluation is determined by a training and the section `evaluation`.
Neither depends on the study that asks for it, so studies share both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ablate.config import Config, identity, reads
from ablate.plugins import sources_used
from ablate.store.bleu_tokenizers import DEFAULT, tokenizer_for

MEANING = 2  # raised when the same configuration trains differently than before; records keep the one of their time
NAMES_A_PARENT = "teacher"  # the key of `train` that names another variant; ids hold the id of its training instead


@dataclass(frozen=True)
class RunSpec:
    """One seed of a cell of a study: its training and its evaluation."""

    id: str  # of the training
    evaluation: str  # id
    study: str
    setting: str
    cell: str
    seed: int
    config: Config
    corpus: str  # fingerprint of the prepared corpus
    parents: tuple[str, ...] = ()  # ids of the trainings that this one learns from

    @property
    def label(self) -> str:
        return f"{self.cell}/seed{self.seed}"


def training_id(config: Config, seed: int, corpus: str, parents: Sequence[str] = (), meaning: int = MEANING) -> str:
    """The id of a training under a meaning of the configuration: the present one, or that of an older record."""
    return id_of_seed(all_but_the_seed(config, corpus, meaning), seed, parents)


def id_of_seed(determinants: dict[str, Any], seed: int, parents: Sequence[str] = ()) -> str:
    """The id of a training, from what determines all seeds alike and what determines this one."""
    return digest(determinants | {"seed": seed} | ({"parents": list(parents)} if parents else {}))


def all_but_the_seed(config: Config, corpus: str, meaning: int = MEANING) -> dict[str, Any]:
    """What determines a training besides its seed and its parents."""
    return {
        "meaning": meaning,
        "corpus": corpus,
        "precision": config.precision,
        "model": read(config.model, "model"),
        "optim": read(config.optim, "optim"),
        "train": {key: value for key, value in read(config.train, "train").items() if key != NAMES_A_PARENT},
        **sources_used(model=config.model, optim=config.optim, train=config.train),
    }


def evaluation_id(config: Config, training: str) -> str:
    """The id of an evaluation of a training."""
    return id_of_scores(scoring(config), training)


def id_of_scores(determinants: dict[str, Any], training: str) -> str:
    """The id of an evaluation of a training, from what `scoring` returns."""
    return digest({"training": training, **determinants})


def read(section: Any, name: str) -> dict[str, Any]:
    """The keys of a section that are part of ids and that its choices read."""
    return {key: value for key, value in identity(section).items() if reads(section, name, key)}


def scoring(config: Config) -> dict[str, Any]:
    """What determines the scores of a trained model, with the name of the tokeniser that null means.

    The tokeniser 13a is left out, because the first scores were made with it, before there was a choice.
    """
    chosen = identity(config.evaluation) | {"bleu_tokenizer": bleu_tokenizer(config)}
    chosen |= sources_used(evaluation=config.evaluation)
    if config.data.held_out is None:  # then the test set is all that is held out, and the fingerprint includes its size
        chosen.pop("loss_sentences", None)
    else:
        chosen["test_sentences"] = config.data.test_sentences
    return {key: value for key, value in chosen.items() if (key, value) != ("bleu_tokenizer", DEFAULT)}


def bleu_tokenizer(config: Config) -> str:
    """sacreBLEU's name of the tokeniser for BLEU: the one that is set, or else that of the target language."""
    return config.evaluation.bleu_tokenizer or tokenizer_for(config.data.target)


def digest(value: Any) -> str:
    """A hash of a value made of plain types and Enums, in twelve hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, default=lambda member: member.name)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
