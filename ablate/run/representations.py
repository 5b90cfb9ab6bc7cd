"""Measure how similar the representations of a study's models are, and keep it beside the records as similarity.json.

It is measured when the study is reported, because it needs the weights, which records do not have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from ablate.data.batches import Batch, pad_to_longest
from ablate.data.corpus import Corpus
from ablate.diagnostics.similarity import representations, similarities, unit_gram
from ablate.evaluation.measuring import load_model
from ablate.plan.composition import Plan
from ablate.records.collect import write_json
from ablate.store.folders import Store
from ablate.store.ids import RunSpec
from ablate.store.parts import STACKS
from ablate.store.record_schema import SimilarityRecord
from ablate.store.schema import Damaged, decoded

NAME = "similarity.json"
TOKENS = 300  # of the test set, the same for all runs


def compare(plan: Plan, store: Store, corpus: Corpus, device: torch.device | None, say: Callable[[str], None]) -> None:
    """Call `measure`. An error becomes a line, and the study goes on."""
    try:
        measure(store, plan, corpus, device or torch.device("cpu"))
    except Exception as error:
        lines = str(error).splitlines() or [type(error).__name__]
        say(f"similarity of the runs could not be measured, so the records have none: {lines[0][:200]}")


def measure(store: Store, plan: Plan, corpus: Corpus, device: torch.device) -> SimilarityRecord:
    """Write similarity.json, unless it already covers all trainings that have weights, and return its content.

    Runs that did not finish, trained for no update, have damaged weights or another corpus than the baseline are left
    out.
    """
    path = store.records(plan.study.name, plan.setting) / NAME
    known = recorded(path)
    trainings = {spec.id: spec for spec in reversed(plan.runs)}  # a training is listed under the first cell that has it
    planned = [entry(spec) for spec in trainings.values()]
    specs = [spec for spec in reversed(trainings.values()) if comparable(store, plan, spec)]
    covered = all(entry(spec) in known.runs for spec in specs) and all(run in planned for run in known.runs)
    if covered:  # also where weights were deleted after they were measured
        return known
    if not specs:
        path.unlink(missing_ok=True)
        return SimilarityRecord()
    grams: dict[str, list[torch.Tensor]] = {stack: [] for stack in STACKS}
    for spec in specs:
        model = load_model(store.run(spec.id), spec.config, corpus, device)
        found = representations(model, sentences(corpus, device), TOKENS)
        tokens = min(map(len, found.values()))
        for stack in STACKS:
            grams[stack].append(unit_gram(found[stack][:tokens]))
    matrices = {stack: rounded(similarities(of_stack)) for stack, of_stack in grams.items()}
    value = SimilarityRecord(runs=[entry(spec) for spec in specs], tokens=tokens, **matrices)
    write_json(path, value)
    return value


def comparable(store: Store, plan: Plan, spec: RunSpec) -> bool:
    folder = store.run(spec.id)
    result = folder.result()
    return spec.corpus == plan.corpus and bool(result and result.scorable) and folder.weights_are_whole()


def sentences(corpus: Corpus, device: torch.device) -> Iterator[Batch]:
    """Each test sentence with its first reference, one at a time, so that there is no padding."""
    _, first = np.unique(corpus.test_sentence, return_index=True)
    for row in first:
        yield pad_to_longest(corpus.test, np.array([row]), device)


def entry(spec: RunSpec) -> tuple[str, int, str]:
    return (spec.cell, spec.seed, spec.id)


def recorded(path: Path) -> SimilarityRecord:
    """The content of the file; no runs if it is missing or damaged."""
    try:
        return decoded(path.read_bytes(), SimilarityRecord)
    except (OSError, Damaged):
        return SimilarityRecord()


def rounded(matrix: torch.Tensor) -> list[list[float | None]]:
    return [[round(value, 4) if math.isfinite(value) else None for value in row] for row in matrix.tolist()]
