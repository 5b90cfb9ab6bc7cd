"""A store full of finished runs that were never trained, and how long it takes to collect their records.

The runs are written by the store's own writers, and are those of one study, so that every one of them is looked at.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig

from ablate.benchmark.subjects.own import Answer, Asked, Measure, serve
from ablate.cli import CONF
from ablate.data.corpus import Corpus
from ablate.evaluation.scores import signatures
from ablate.model.flops import parameter_count
from ablate.plan.composition import Plan, plan
from ablate.records.collect import collect
from ablate.store import speeds
from ablate.store.folders import Store
from ablate.store.ids import RunSpec, scoring
from ablate.store.plain import config_to_plain, schema
from ablate.store.schema import VERSION, EvaluationResult, Real, TrainingResult
from ablate.training.meter import COLUMNS


def composed(overrides: list[str]) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=overrides)


def prepare(asked: Asked) -> Measure:
    ConfigStore.instance().store("schema", schema())
    planned, store = plan(composed, asked["overrides"]), Store(Path(asked["root"]))
    corpus = Corpus.load(planned.corpus)
    fill(store, planned, corpus)

    def measure() -> Answer:
        began = time.perf_counter()
        collect(store, planned, {planned.corpus: corpus})
        return {"seconds": time.perf_counter() - began, "runs": len(planned.runs)}

    return measure


def fill(store: Store, planned: Plan, corpus: Corpus) -> None:
    os.fsync = lambda fd: None  # nothing here has to outlast a power failure
    store.freeze(planned.runs)
    sizes = {
        cell: parameter_count(config.model, corpus.metadata["vocabulary_size"])
        for cell, config in planned.configs.items()
    }
    evaluated = evaluation_of(planned, corpus)
    for number, spec in enumerate(planned.runs):
        folder = store.run(spec.id)
        for name, rows in curves(spec).items():
            folder.append(name, rows)
        result = result_of(spec, sizes[spec.cell], number, folder.curves())
        folder.write("result.json", result)
        folder.write(folder.evaluation_file(spec.evaluation).name, evaluated)
        speeds.record(folder.path.parent, config_to_plain(spec.config), result)


def curves(spec: RunSpec) -> dict[str, list[str]]:
    updates = spec.config.train.updates
    rows = [f"{update},{5 - update / updates:.5g},0.001,1,900,{update / 10:.4g}" for update in range(1, updates + 1)]
    return {"curve.csv": [",".join(COLUMNS), *rows], "validation.csv": ["update,loss", "0,6.0", f"{updates},4.0"]}


def result_of(spec: RunSpec, parameters: int, number: int, hashes: dict[str, str]) -> TrainingResult:
    updates, loss = spec.config.train.updates, Real(4 + number % 7 / 100)
    return TrainingResult(
        version=VERSION, status="finished", scorable=True, learned=1, diverged_at=None, updates=updates,
        best_update=updates, best_validation_loss=loss, validation_loss=loss, parameters=parameters,
        parameter_counts={"embedding": parameters}, flops_per_token=6.0 * parameters, peak_memory=10**8,
        tokens_per_second=5000.0 + number % 100, batch_real_share=0.9, micro_batches=1,
        diagnostics=[{"update": 0}], curves=hashes, final_dead_units={}, seconds=updates / 10,
        provenance={"device": "cpu", "device_name": "none", "torch": "none", "commit": None, "dirty": None},
    )  # fmt: skip


def evaluation_of(planned: Plan, corpus: Corpus) -> EvaluationResult:
    sentences = [references[0] for references in corpus.references]
    return EvaluationResult(
        version=VERSION, test_bleu=20.0, test_bleu_greedy=19.0, test_bleu_lower=21.0, test_chrf=40.0,
        test_loss=Real(4.0), test_bits_per_byte=Real(2.0), decoding_seconds=1.0,
        signatures=signatures(corpus.references), evaluation=scoring(planned.config), seconds=2.0, beam=sentences,
        greedy=sentences, loss=[Real(40.0)] * len(corpus.loss_set.pairs), tokens=[10] * len(corpus.loss_set.pairs),
    )  # fmt: skip


if __name__ == "__main__":
    serve(prepare)
