"""Similarity of what the runs of a study compute inside, kept beside its records as similarity.json.

It is measured when the study is reported, because it needs the weights, which records do not hold.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ablate.data.batches import Batch, pad_to_longest
from ablate.data.corpus import Corpus
from ablate.diagnostics.similarity import representations, similarities, unit_gram
from ablate.plan.composition import Plan
from ablate.store.folders import Store
from ablate.store.ids import RunSpec
from ablate.store.parts import STACKS
from ablate.system.atomic import write_atomic
from ablate.training.member import load_model

NAME = "similarity.json"
TOKENS = 300  # of the test set, the same for all runs


def compare(plan: Plan, store: Store, corpus: Corpus, device: torch.device, say: Callable[[str], None]) -> None:
    """Call `measure`. Whatever error that raises becomes a line, and the study goes on."""
    try:
        measure(store, plan, corpus, device)
    except Exception as error:
        lines = str(error).splitlines() or [type(error).__name__]
        say(f"similarity of the runs could not be measured, the records go without: {lines[0][:200]}")


def measure(store: Store, plan: Plan, corpus: Corpus, device: torch.device) -> dict[str, Any]:
    """Write similarity.json, unless it already covers all runs that have weights, and return what it holds.

    `runs` lists [variant, seed, run id]; `encoder` and `decoder` are matrices of linear CKA between these runs, null
    where a representation is the same for all tokens. Runs that did not finish, trained for no update, have damaged
    weights or another corpus than the baseline are left out.
    """
    path = store.root / "experiments" / plan.study.name / plan.setting / NAME
    known, planned = recorded(path), [entry(spec) for spec in plan.runs]
    specs = [spec for spec in plan.runs if comparable(store, plan, spec)]
    covered = all(entry(spec) in known["runs"] for spec in specs) and all(run in planned for run in known["runs"])
    if covered:  # also where weights were deleted after they were measured
        return known
    if not specs:
        path.unlink(missing_ok=True)
        return {"runs": []}
    grams: dict[str, list[torch.Tensor]] = {stack: [] for stack in STACKS}
    for spec in specs:
        model = load_model(store.run(spec.id), spec.config, corpus, device)
        found = representations(model, sentences(corpus, device), TOKENS)
        tokens = min(map(len, found.values()))
        for stack in STACKS:
            grams[stack].append(unit_gram(found[stack][:tokens]))
    matrices = {stack: rounded(similarities(of_stack)) for stack, of_stack in grams.items()}
    value = {"runs": [entry(spec) for spec in specs], "tokens": tokens, **matrices}
    write_atomic(path, json.dumps(value) + "\n")
    return value


def comparable(store: Store, plan: Plan, spec: RunSpec) -> bool:
    folder = store.run(spec.id)
    result = folder.result()
    return spec.corpus == plan.corpus and bool(result and result["scorable"]) and folder.weights_are_whole()


def sentences(corpus: Corpus, device: torch.device) -> Iterator[Batch]:
    """Each test sentence with its first reference, one at a time, so that nothing is padded."""
    _, first = np.unique(corpus.test_sentence, return_index=True)
    for row in first:
        yield pad_to_longest(corpus.test, np.array([row]), device)


def entry(spec: RunSpec) -> list[Any]:
    return [spec.cell, spec.seed, spec.id]


def recorded(path: Path) -> dict[str, Any]:
    """What the file holds; no runs where there is no file or a damaged one."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        sizes = {len(row) for stack in STACKS for row in [value[stack], *value[stack]]}
        if sizes <= {len(value["runs"])} and isinstance(value["tokens"], int):
            return dict(value)
    except (OSError, ValueError, LookupError, TypeError):
        pass
    return {"runs": []}


def rounded(matrix: torch.Tensor) -> list[list[float | None]]:
    return [[round(value, 4) if math.isfinite(value) else None for value in row] for row in matrix.tolist()]
