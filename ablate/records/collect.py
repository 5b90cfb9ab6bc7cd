"""Evidence: what the runs of a study left in `runs/`, gathered into `experiments/<study>/<setting>/`.

Everything that a report or a later analysis needs is here, the weights aside, so that nothing has to be trained again.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ablate.config import BadInput, Until
from ablate.data.corpus import Corpus
from ablate.evaluation.scores import unmeasured
from ablate.plan.composition import Plan
from ablate.store.folders import ALSO, BY_LAYER, CURVES, RESULT_COLUMNS, RunFolder, Store
from ablate.store.ids import RunSpec, bleu_tokenizer, evaluation_id
from ablate.store.plain import config_to_plain
from ablate.store.plugin_files import described
from ablate.store.study_file import study_to_plain
from ablate.study import Cell
from ablate.system.atomic import sweep, write_atomic

# What says where and how, and not what.
LOCAL = ("root", "workers", "device", "dry_run", "cost_probe", "wandb", "hydra", "hydra/launcher")


def collect(store: Store, plan: Plan, corpus: Corpus) -> Path:
    """Write the records of every run that has ended, and say how the study was put together."""
    folder = store.root / "experiments" / plan.study.name / plan.setting
    sweep(folder)
    cells = {cell.name: cell for cell in plan.cells}
    overrides = anywhere(plan.overrides)
    runs = [run_record(store.run(spec.id), spec, cells[spec.cell]) for spec in plan.runs]
    scores = [store.run(spec.id).scores(evaluation_id(spec.config)) for spec in plan.runs]
    scored = [(spec, score) for spec, score in zip(plan.runs, scores) if score is not None]
    signatures = scored[0][1]["signatures"] if scored else {"bleu": None, "chrf": None}
    why = unmeasured(corpus.references, bleu_tokenizer(plan.config)) if scored else {}
    runs = [{**run, **dict.fromkeys(why)} for run in runs]  # scores of earlier versions have 0 there
    manifest = {
        "study": study_to_plain(plan.declared),
        "setting": plan.setting,
        "preset": plan.config.preset,
        "overrides": overrides,
        "command": shlex.join(["python", "-m", "ablate", *overrides]),
        "corpus": corpus.metadata,
        "seeds": plan.config.seeds,
        **plan.added,
        **({"max_seeds": plan.config.max_seeds} if plan.config.until is Until.resolved else {}),
        "config": determining(config_to_plain(plan.config)),
        "cells": [cell_record(cell) for cell in plan.cells],
        "plan": [[spec.cell, spec.seed, spec.id] for spec in plan.runs],
        "bleu_signature": signatures["bleu"],
        "chrf_signature": signatures["chrf"],
        **({"unmeasured": why} if why else {}),
    }
    sentences = zip(corpus.sources, corpus.references, strict=True)
    write_atomic(folder / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    write_atomic(folder / "runs.jsonl", lines(without(run, BY_LAYER) for run in runs))
    write_gzip(folder / "layers.jsonl.gz", ({key: run[key] for key in ("run_id", *BY_LAYER)} for run in runs))
    write_gzip(folder / "curves.jsonl.gz", (curve(store.run(spec.id)) for spec in plan.runs))
    write_gzip(folder / "test.jsonl.gz", ({"source": source, "references": of} for source, of in sentences))
    write_gzip(
        folder / "hypotheses.jsonl.gz",
        (
            {"run_id": spec.id, **{key: score[key] for key in ("beam", "greedy", "loss", "tokens")}}
            for spec, score in scored
        ),
    )
    return folder


def without_curves(store: Store, plan: Plan) -> list[str]:
    """A line for each run of whose curves the records show nothing, because they are damaged."""
    return [
        f"{spec.cell}/seed{spec.seed}: its curves were damaged after it was trained and are left out, its scores are "
        f"not; without runs/{spec.id} the same command trains it anew"
        for spec in plan.runs
        if store.run(spec.id).result() is not None and not store.run(spec.id).curves_are_whole()
    ]


def check_corpus(store: Store, plan: Plan) -> None:
    """Raise BadInput where this setting's records are of another corpus of that name: a folder holds one setting."""
    path = store.root / "experiments" / plan.study.name / plan.setting / "manifest.json"
    try:
        recorded = json.loads(path.read_text(encoding="utf-8"))["corpus"]["fingerprint"]
    except (OSError, ValueError, LookupError, TypeError):
        return
    if recorded != plan.corpus:
        raise BadInput(
            f"{plan.study.name}/{plan.setting} has records of another corpus called {plan.config.data.label}: its text "
            "has changed, or is not the same; give this one a name of its own with data.name="
        )


def anywhere(overrides: list[str]) -> list[str]:
    """The overrides that would do the same on another machine; where a corpus lies is for its owner to fill in."""
    kept = []
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        if key == "data.path":
            kept.append("data.path=PATH")
        elif key == "plugins":
            kept.append(re.sub(r"""(["'])[/~][^"']*/""", r"\1PATH/", override))
        elif key.split(".")[0] not in LOCAL:
            kept.append(override)
    return kept


def run_record(folder: RunFolder, spec: RunSpec, cell: Cell) -> dict[str, Any]:
    """A run as a row of results.csv and more. What does not exist is None."""
    result = folder.result() or {"status": "failed"}
    scores = folder.scores(evaluation_id(spec.config)) or {}
    if not folder.done(spec.config):
        result = {**result, "status": "failed"}  # trained, perhaps, but not scored
    seconds = [part["seconds"] for part in (result, scores) if "seconds" in part]
    known = {
        **scores,
        **result,
        "study": spec.study,
        "setting": spec.setting,
        "variant": spec.cell,
        "seed": spec.seed,
        "run_id": spec.id,
        "seconds": sum(seconds) if seconds else None,
    }
    return {
        **{column: known.get(column) for column in RESULT_COLUMNS},
        **cell.factors,
        **{key: short(known.get(key)) for key in (*ALSO, *BY_LAYER, "provenance")},
        "corpus": spec.corpus,
        "config": determining(config_to_plain(spec.config)),
        **described(spec.config),
    }


def curve(folder: RunFolder) -> dict[str, Any]:
    """A run's curves, a list a column; a loss that is not finite is None. Empty where they are damaged."""
    read = folder.lines if folder.curves_are_whole() else lambda name: []
    rows, validation = (list(csv.DictReader(read(name))) for name in CURVES)
    return {
        "run_id": folder.id,
        "update": [int(row["update"]) for row in rows],
        "loss": [finite(row["loss"]) for row in rows],
        "lr": [finite(row["lr"]) for row in rows],
        "gradient_norm": [finite(row["gradient_norm"]) for row in rows],
        "tokens": [int(row["tokens"]) for row in rows],
        "validation": {
            "update": [int(row["update"]) for row in validation],
            "loss": [finite(row["loss"]) for row in validation],
        },
    }


def cell_record(cell: Cell) -> dict[str, Any]:
    return {
        "name": cell.name,
        "variant": cell.variant,
        "factors": cell.factors,
        "overrides": cell.overrides,
        "baseline": cell.baseline,
    }


def determining(plain: dict[str, Any]) -> dict[str, Any]:
    """A resolved configuration without what says where and how to run it, and without any path."""
    kept = {key: plain[key] for key in ("model", "optim", "train", "data", "evaluation", "precision", "preset")}
    return {**kept, "data": {key: value for key, value in kept["data"].items() if key != "path"}}


def without(record: dict[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in keys}


def finite(text: str) -> float | None:
    value = float(text)
    return float(f"{value:.6g}") if math.isfinite(value) else None


def short(value: Any) -> Any:
    """The value with its numbers as long as anybody reads them, so that records stay small."""
    if isinstance(value, dict):
        return {key: short(item) for key, item in value.items()}
    if isinstance(value, list):
        return [short(item) for item in value]
    return finite(str(value)) if isinstance(value, float) else value


def lines(values: Iterable[Any]) -> str:
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def write_gzip(path: Path, values: Iterable[Any]) -> None:
    """JSON lines, compressed to the same bytes each time."""
    write_atomic(path, gzip.compress(lines(values).encode(), mtime=0))
