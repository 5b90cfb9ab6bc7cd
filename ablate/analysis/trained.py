"""Whether a run trained: whether it closed at least half of the gap that the default configuration closes.

The gap is that between the cross-entropy of the tokens' frequencies and the median validation loss of the preset's
default configuration, with its own depth, width and norm, after training for as long on the same corpus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from ablate.analysis.metrics import Record, finite
from ablate.analysis.noise import budget_of, chosen

CLOSED = 0.5  # share of the gap
LEAST_RUNS = 3  # of the default configuration
OF_A_BUDGET = ("train.updates", "train.batch_tokens", "train.validations")


@dataclass(frozen=True)
class Default:
    """What the default configuration reaches on a corpus after a budget."""

    corpus: str  # fingerprint
    budget: str
    loss: float  # median validation loss, nats a token
    runs: tuple[str, ...]  # ids of the trainings


def defaults(records: Sequence[Record], config: Mapping[str, Any]) -> list[Default]:
    """The default configuration's losses by corpus and budget, from the runs of all studies that trained it."""
    wanted = recipe(config)
    found: dict[tuple[str, str], dict[str, float]] = {}
    for record in records:
        loss = finite(record.get("validation_loss"))
        if loss is not None and record["status"] == "finished" and recipe(record["config"]) == wanted:
            place = str(record.get("corpus")), budget_of([record])
            found.setdefault(place, {})[record["run_id"]] = loss
    return [
        Default(corpus, budget, median(losses.values()), tuple(sorted(losses)))
        for (corpus, budget), losses in sorted(found.items())
        if len(losses) >= LEAST_RUNS
    ]


def recipe(config: Mapping[str, Any]) -> dict[str, Any]:
    """What determines a training besides its corpus and how long it lasts."""
    sections = ("model", "optim", "train")
    return {
        key: value
        for key, value in chosen(config).items()
        if key.partition(".")[0] in sections and key not in OF_A_BUDGET
    }


def has_trained(record: Record, unigram: float, known: Sequence[Default]) -> int | None:
    """1 or 0; None for a fault, for a run of no updates, and where the default was not trained for as long."""
    if record["status"] == "failed" or record.get("updates") == 0:
        return None
    place = str(record.get("corpus")), budget_of([record])
    default = next((each for each in known if (each.corpus, each.budget) == place), None)
    if default is None or not unigram > default.loss:
        return None
    loss = finite(record.get("validation_loss"))
    return int(record["status"] == "finished" and loss is not None and loss <= bar(unigram, default))


def bar(unigram: float, default: Default) -> float:
    """The validation loss below which a run has trained."""
    return unigram - CLOSED * (unigram - default.loss)
