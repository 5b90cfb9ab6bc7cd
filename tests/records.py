"""Synthetic records: what a study would leave in `experiments/`, with known effects and no training."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ablate.store.record_schema import BY_LAYER
from ablate.store.schema import RULES
from ablate.store.study_file import study_from, study_to_plain
from ablate.study import Study

SENTENCES = ("A man sleeps .", "She reads a book .", "We are late .", "Tom runs fast .", "I like tea .")
CORPUS = {
    "name": "synthetic",
    "fingerprint": "feedbeef",
    "source": "en",
    "target": "fr",
    "credit": "nobody",
    "train_pairs": 20000,
    "validation_pairs": 1000,
    "unigram_cross_entropy": 5.0,
}
LAYERS, WIDTH, UPDATES = 2, 128, 400


def a_study(
    variants: Sequence[str] = ("pre", "post"),
    claims: Sequence[Mapping[str, Any]] = (),
    factors: Mapping[str, Any] | None = None,
    name: str = "toy",
    metric: str = "test_bleu",
) -> Study:
    overrides: dict[str, dict[str, Any]] = {
        variant: {"model.ffn_ratio": index + 1} for index, variant in enumerate(variants)
    }
    return study_from(
        {
            "name": name,
            "question": "Does it matter?",
            "baseline": variants[0],
            "variants": overrides,
            "factors": factors or {},
            "metric": metric,
            "claims": list(claims),
        }
    )


def a_run(
    study: Study, cell: str, seed: int, bleu: float | None = 40.0, status: str = "finished", **changes: Any
) -> dict[str, Any]:
    """An object of runs.jsonl. A run that did not finish has no scores."""
    finished = status == "finished"
    of_cell = next(each for each in study.cells() if each.name == cell)
    factors = of_cell.factors
    rng, others = (np.random.default_rng([*first, seed, *cell.encode()]) for first in ([], [1]))
    counts = {f"{stack}.{layer}.{part}": size for stack in ("encoder", "decoder") for layer in range(LAYERS)
              for part, size in (("self_attention", 4 * WIDTH**2), ("feedforward", 8 * WIDTH**2))}  # fmt: skip
    record = {
        "study": study.name,
        "setting": "synthetic-laptop",
        "variant": cell,
        "seed": seed,
        "run_id": f"{cell.replace(',', '-').replace('=', '-')}{seed:04d}",
        "status": status,
        "learned": {"finished": 1, "diverged": 0}.get(status),
        "trained": {"finished": 1, "diverged": 0}.get(status),
        "test_bleu": bleu if finished else None,
        "test_bleu_greedy": bleu - 1 if finished and bleu is not None else None,
        "test_bleu_lower": bleu + 1 if finished and bleu is not None else None,
        "test_chrf": round(60 + 0.3 * float(others.normal()), 4) if finished else None,
        "test_loss": round(1.6 + 0.02 * float(others.normal()), 4) if finished else None,
        "validation_loss": round(1.5 + 0.05 * float(rng.normal()), 4) if finished else None,
        "parameters": 1_234_567,
        "flops_per_token": 8_400_000,
        "peak_memory": 512 * 2**20 if finished else None,
        "tokens_per_second": 5000.0 + seed,
        "seconds": 150.5,
        **factors,
        "diverged_at": 120 if status == "diverged" else None,
        "best_update": UPDATES if finished else None,
        "updates": UPDATES if finished else 120,
        "batch_real_share": 0.93,
        "parameter_counts": {"embedding": 320_000, **counts, "encoder.final_norm": 256, "decoder.final_norm": 256},
        "diagnostics": [diagnosis(rng, update) for update in ((0, UPDATES) if finished else (0,))],
        "final_dead_units": dead_units(rng) if finished else None,
        "config": a_config(of_cell.overrides),
        "provenance": {"commit": "0123abc", "dirty": False, "torch": "2.13.0", "device": "cpu", "precision": "fp32",
                       "finished_at": f"2026-01-0{seed % 9 + 1}"},
        "corpus": "feedbeef",
    }  # fmt: skip
    return record | changes


def a_config(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """As much of a configuration as reports read, with the overrides of a cell."""
    config: dict[str, dict[str, Any]] = {
        "model": {"layers": LAYERS, "d_model": WIDTH},
        "train": {"updates": UPDATES},
        "optim": {},
    }
    for key, value in overrides.items():
        section, _, name = key.partition(".")
        config.setdefault(section, {})[name] = value
    return config


def dead_units(rng: np.random.Generator) -> dict[str, float]:
    layers = [(stack, layer) for stack in ("encoder", "decoder") for layer in range(LAYERS)]
    return {f"{stack}.{layer}": round(0.1 * layer + 0.05 * float(rng.uniform()), 4) for stack, layer in layers}


def diagnosis(rng: np.random.Generator, update: int) -> dict[str, Any]:
    parts = [f"{stack}.{layer}" for stack in ("encoder", "decoder") for layer in range(LAYERS)]
    norms = {
        f"{part}.{sublayer}": float(np.exp(rng.normal()))
        for part in parts
        for sublayer in ("self_attention", "feedforward")
    }
    attentions = [f"{part}.self_attention" for part in parts] + [
        f"decoder.{layer}.cross_attention" for layer in range(LAYERS)
    ]
    shares = (
        "largest_attention_weight",
        "softmax_slope",
        "attention_entropy",
        "score_variance",
        "query_key_gradient_norm",
    )
    return {
        "update": update,
        "gradient_norm": norms,
        "dead_units": dict.fromkeys(parts, 0.1),
        "negative_preactivations": dict.fromkeys(parts, 0.5),
        **{name: {part: float(rng.uniform(0.2, 0.8)) for part in attentions} for name in shares},
    }


def some_runs(
    study: Study, seeds: int = 5, step: float = 1.0, diverged: Iterable[tuple[str, int]] = ()
) -> list[dict[str, Any]]:
    """Every cell with every seed; cell number i scores about `step` x i below the first."""
    lost, runs = set(diverged), []
    for index, cell in enumerate(study.cells()):
        for seed in range(seeds):
            common, own = np.random.default_rng(seed).normal(), np.random.default_rng([seed, index]).normal()
            status = "diverged" if (cell.name, seed) in lost else "finished"
            runs.append(
                a_run(study, cell.name, seed, round(float(42 - step * index + 0.4 * common + 0.15 * own), 4), status)
            )
    return runs


def write_records(
    root: Path,
    study: Study,
    runs: Sequence[Mapping[str, Any]],
    preset: str = "laptop",
    sentences: Sequence[str] = SENTENCES,
    translation: str = "Un homme dort .",
    **more: Any,
) -> Path:
    """Put the records of one setting under `root` and return their folder. `more` goes into the manifest."""
    folder = root / "experiments" / study.name / f"synthetic-{preset}"
    folder.mkdir(parents=True)
    manifest = {
        "study": study_to_plain(study),
        "setting": folder.name,
        "preset": preset,
        "overrides": [],
        "command": f"python -m ablate +sweep={study.name}",
        "corpus": CORPUS | {"test_sentences": len(sentences)},
        "seeds": len({run["seed"] for run in runs}),
        "config": {"model": {"layers": LAYERS, "d_model": WIDTH}, "train": {"updates": UPDATES}},
        "cells": [vars(cell) for cell in study.cells()],
        "plan": [[run["variant"], run["seed"], run["run_id"]] for run in runs],
        "bleu_signature": "nrefs:var|case:mixed|eff:no|tok:13a|smooth:exp|version:2.5.1",
        "chrf_signature": None,
        "looks": [{"seeds": sorted({run["seed"] for run in runs}), "purpose": "report", "runs": []}] if runs else None,
        **more,
    }
    for look in manifest["looks"] or ():
        look.setdefault("rules", RULES)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "runs.jsonl").write_text(
        lines(
            {key: value for key, value in run.items() if key not in BY_LAYER} | {"setting": folder.name} for run in runs
        )
    )
    write_gzip(folder / "layers.jsonl.gz", ({key: run.get(key) for key in ("run_id", *BY_LAYER)} for run in runs))
    write_gzip(folder / "curves.jsonl.gz", (curve(run) for run in runs))
    write_gzip(
        folder / "test.jsonl.gz", ({"source": source, "references": [source, "Une autre ."]} for source in sentences)
    )
    scored = [run for run in runs if run["test_bleu"] is not None]
    beams = [translation] * len(sentences)
    write_gzip(
        folder / "hypotheses.jsonl.gz",
        (
            {"run_id": run["run_id"], "beam": beams, "greedy": beams, **sentence_losses(run, len(sentences))}
            for run in scored
        ),
    )
    return folder


def sentence_losses(run: Mapping[str, Any], sentences: int) -> dict[str, Any]:
    """Of each of two references a sentence: its loss, in nats over all its tokens, and their number."""
    rng = np.random.default_rng([run["seed"], *run["variant"].encode()])
    tokens = [5 + index % 7 for index in range(2 * sentences)]
    return {"loss": [round(count * (1.6 + 0.2 * float(rng.normal())), 4) for count in tokens], "tokens": tokens}


def curve(run: Mapping[str, Any]) -> dict[str, Any]:
    """Losses fall from 8 nats; those of a run that diverged rise, and end in one that was not finite."""
    updates = np.arange(20, run["updates"] + 1, 20)
    rng = np.random.default_rng([run["seed"], *run["variant"].encode()])
    pace = rng.uniform(40, 80)
    falling = 1.5 + 6 * np.exp(-updates / pace) + 0.03 * rng.normal(size=len(updates)) + 0.05 * rng.normal()
    loss = falling if run["status"] == "finished" else np.linspace(7, 9, len(updates))
    losses: list[float | None] = [round(float(value), 4) for value in loss]
    if run["status"] == "diverged":
        losses[-1] = None
    return {
        "run_id": run["run_id"],
        "update": updates.tolist(),
        "loss": losses,
        "lr": [1e-3] * len(updates),
        "gradient_norm": [1.0] * len(updates),
        "tokens": [1000] * len(updates),
        "validation": {"update": updates.tolist(), "loss": losses},
    }


def lines(values: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


def write_gzip(path: Path, values: Iterable[Mapping[str, Any]]) -> None:
    path.write_bytes(gzip.compress(lines(values).encode(), mtime=0))


def update_line(path: Path, which: int, **values: Any) -> None:
    """Set keys of one object of a file of JSON lines."""
    zipped = path.suffix == ".gz"
    text = gzip.decompress(path.read_bytes()).decode() if zipped else path.read_text()
    objects = [json.loads(line) for line in text.splitlines()]
    objects[which].update(values)
    path.write_bytes(gzip.compress(lines(objects).encode(), mtime=0) if zipped else lines(objects).encode())
