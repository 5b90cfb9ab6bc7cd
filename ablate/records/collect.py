"""Collect the results of a study's runs from `runs/` into its records, `experiments/<study>/<setting>/`.

Records hold everything that a report or a later analysis needs, except the weights, so that nothing is trained again.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from msgspec import Struct

from ablate.config import BadInput, Until
from ablate.data.corpus import Corpus
from ablate.data.near import near_training
from ablate.evaluation.scores import unmeasured
from ablate.plan.composition import Plan
from ablate.records.history import looks_after
from ablate.store.folders import Store
from ablate.store.ids import MEANING, RunSpec, bleu_tokenizer
from ablate.store.plain import config_to_plain
from ablate.store.plugin_files import described
from ablate.store.record_schema import (
    POOL,
    CurvesRecord,
    LayersRecord,
    Look,
    Manifest,
    RunRecord,
    TestSentence,
    Translations,
    Validation,
)
from ablate.store.run_folder import CURVES, RunFolder
from ablate.store.schema import VERSION, EvaluationResult, mapped, to_plain
from ablate.store.study_file import study_to_plain
from ablate.study import Cell
from ablate.system.atomic import sweep, write_atomic

Corpora = Mapping[str, Corpus]  # by fingerprint
# Sections and keys that set where and how a command runs, but not what it computes.
LOCAL = ("root", "workers", "device", "dry_run", "cost_probe", "wandb", "hydra", "hydra/launcher")


def collect(store: Store, plan: Plan, corpora: Corpora) -> Path:
    """Write the records of every run that has ended, and the plan that they belong to. Returns their folder."""
    folder = store.records(plan.study.name, plan.setting)
    sweep(folder)
    cells = {cell.name: cell for cell in plan.cells}
    corpus = corpora[plan.corpus]
    trainings = {spec.id: store.run(spec.id) for spec in plan.runs}
    evaluations = {spec.evaluation: spec for spec in plan.runs}
    scores = {id: score for id, spec in evaluations.items() if (score := store.run(spec.id).scores(id)) is not None}
    signatures = next((score.signatures for score in scores.values()), {})
    why = unmeasured(corpus.references, bleu_tokenizer(plan.config)) if signatures else {}
    runs = [run_record(trainings[spec.id], spec, cells[spec.cell], why) for spec in plan.runs]
    looks = looks_after(folder, plan, [to_plain(run) for run in runs], corpus.metadata["unigram_cross_entropy"])
    write_json(folder / "manifest.json", manifest_of(plan, corpora, signatures, why, looks))
    write_atomic(folder / "runs.jsonl", lines(runs))
    write_gzip(folder / "layers.jsonl.gz", map(layers, trainings.values()))
    write_gzip(folder / "curves.jsonl.gz", map(curves, trainings.values()))
    write_sentences(folder, corpus)
    write_gzip(folder / "hypotheses.jsonl.gz", (translations(evaluations[id], scores[id]) for id in scores))
    return folder


def write_sentences(folder: Path, corpus: Corpus) -> None:
    """The sentences that are translated, and those beyond them over which the loss is taken too."""
    count, whole = len(corpus.sources), corpus.loss_set
    references = list(map(list, whole.references))
    write_gzip(folder / "test.jsonl.gz", map(TestSentence, corpus.sources, references, near_training(corpus)))
    if len(whole.sources) > count:
        write_gzip(folder / POOL, map(TestSentence, whole.sources[count:], references[count:]))
    else:
        (folder / POOL).unlink(missing_ok=True)  # of an earlier command


def freeze_noise(root: Path, folder: Path, default: dict[str, Any]) -> None:
    """Copy the noise library into the records of a setting, where this is the first report on its seeds.

    `default` is the configuration of the preset, whose losses are kept with it.
    """
    # here, because they load scipy and pandas, which planning does without
    from ablate.records.noise_library import frozen, is_frozen
    from ablate.records.read import NOISE, read_manifest

    manifest = read_manifest(folder)
    if not is_frozen(folder, manifest):
        write_gzip(folder / NOISE, [frozen(root, manifest, default)])


def manifest_of(
    plan: Plan, corpora: Corpora, signatures: Mapping[str, str], why: dict[str, str], looks: list[Look]
) -> Manifest:
    overrides = portable(plan.overrides)
    metadata = {mark: corpora[mark].metadata for mark in plan.corpora.values()}
    return Manifest(
        version=VERSION,
        study=study_to_plain(plan.declared),
        setting=plan.setting,
        preset=plan.config.preset,
        overrides=overrides,
        command=shlex.join(["python", "-m", "ablate", *overrides]),
        corpus=metadata[plan.corpus],
        corpora=metadata if len(metadata) > 1 else {},
        seeds=plan.config.seeds,
        first_seed=plan.config.first_seed,
        looks=looks,
        **plan.added,
        max_seeds=plan.config.max_seeds if plan.config.until is Until.resolved else None,
        config=determining(config_to_plain(plan.config)),
        cells=[asdict(cell) for cell in plan.cells],
        plan=[[spec.cell, spec.seed, spec.id, spec.evaluation] for spec in plan.runs],
        bleu_signature=signatures.get("bleu"),
        chrf_signature=signatures.get("chrf"),
        unmeasured=why,
    )


def without_curves(store: Store, plan: Plan) -> list[str]:
    """A line for each run whose curves are damaged, so that the records have none."""
    return [
        f"{spec.label}: its curve files were damaged after training, so the records have its scores but "
        f"no curves; delete runs/{spec.id}, and the same command trains it again"
        for spec in plan.runs
        if not store.run(spec.id).curves_are_whole()
    ]


def check_test_set(corpora: Corpora) -> None:
    """Raise BadInput if the cells of a study would be scored on different sentences."""
    sets = [(corpus.sources, corpus.loss_set.sources, corpus.loss_set.references) for corpus in corpora.values()]
    if any(found != sets[0] for found in sets):
        raise BadInput(
            "the study's variants have corpora with different test sentences, so their scores do not compare: vary "
            "only keys of data that leave the test set as it is"
        )


def portable(overrides: list[str]) -> list[str]:
    """The overrides that have the same effect on another machine, with PATH instead of the path of a file."""
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


def run_record(folder: RunFolder, spec: RunSpec, cell: Cell, unmeasured: Iterable[str] = ()) -> RunRecord:
    """A row of results.csv and more. Null: does not exist, or is in `unmeasured`."""
    result, scores = folder.result(), folder.scores(spec.evaluation)
    ended = folder.done(spec)
    parts = [part for part in (scores, result) if part is not None]
    found = {name: getattr(part, name) for part in parts for name in part.__struct_fields__}
    numbers = {name: value for name, value in found.items() if name in RunRecord.__struct_fields__}
    exact = {name: float(numbers[name]) for name in EXACT if numbers.get(name) is not None}
    known = mapped(short, numbers) | {name: value for name, value in exact.items() if math.isfinite(value)}
    return RunRecord(
        **{
            **dict.fromkeys(NUMBERS),
            **known,
            **dict.fromkeys(unmeasured),
            "version": VERSION,
            "study": spec.study,
            "setting": spec.setting,
            "variant": spec.cell,
            "seed": spec.seed,
            "run_id": spec.id,
            "evaluation_id": spec.evaluation,
            "status": result.status if result is not None and ended else "failed",
            "seconds": sum(part.seconds for part in parts) if parts else None,
            "loss_references": len(scores.loss) if scores is not None else None,
            "factors": cell.factors,
            "meaning": MEANING,
            "parents": list(spec.parents),
            "corpus": spec.corpus,
            "config": determining(config_to_plain(spec.config)),
            "plugins": described(spec.config),
        }
    )


EXACT = ("test_bleu", "test_bleu_greedy", "test_bleu_lower", "test_chrf", "test_loss", "validation_loss", "seconds",
         "flops_per_token", "tokens_per_second")  # fmt: skip # columns of results.csv, with all their digits
NUMBERS = ("learned", *EXACT, "parameters", "peak_memory")  # keys that every record has, some of them null


def layers(folder: RunFolder) -> LayersRecord:
    result = folder.result()
    if result is None:
        return LayersRecord(run_id=folder.id)
    return LayersRecord(
        run_id=folder.id,
        parameter_counts=result.parameter_counts,
        diagnostics=mapped(short, result.diagnostics),
        final_dead_units=mapped(short, result.final_dead_units),
    )


def curves(folder: RunFolder) -> CurvesRecord:
    """A run's curves, a list a column; a loss that is not finite is null.

    Empty and marked as `damaged` if the files of a trained run are not what it wrote.
    """
    damaged = not folder.curves_are_whole()
    rows, validation = (list(csv.DictReader([] if damaged else folder.lines(name))) for name in CURVES)

    def floats(rows: list[dict[str, str]], column: str) -> list[float | None]:
        return [short(float(row[column])) for row in rows]

    return CurvesRecord(
        run_id=folder.id,
        update=[int(row["update"]) for row in rows],
        **{column: floats(rows, column) for column in ("loss", "lr", "gradient_norm")},
        tokens=[int(row["tokens"]) for row in rows],
        validation=Validation(update=[int(row["update"]) for row in validation], loss=floats(validation, "loss")),
        damaged=damaged,
    )


def translations(spec: RunSpec, score: EvaluationResult) -> Translations:
    return Translations(
        run_id=spec.id,
        evaluation_id=spec.evaluation,
        beam=score.beam,
        greedy=score.greedy,
        loss=[loss if math.isfinite(loss) else None for loss in score.loss],
        tokens=score.tokens,
    )


def determining(plain: dict[str, Any]) -> dict[str, Any]:
    """The sections of a resolved configuration that determine a result, without any path."""
    kept = {key: plain[key] for key in ("model", "optim", "train", "data", "evaluation", "precision", "preset")}
    return {**kept, "data": {key: value for key, value in kept["data"].items() if key != "path"}}


def short(value: Any) -> Any:
    """A number with six figures, so that records stay small; null if it is not finite. Other values as they are."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None


def lines(values: Iterable[Struct]) -> str:
    return "".join(json.dumps(to_plain(value), ensure_ascii=False) + "\n" for value in values)


def write_json(path: Path, value: Struct) -> None:
    write_atomic(path, json.dumps(to_plain(value), indent=1, ensure_ascii=False) + "\n")


def write_gzip(path: Path, values: Iterable[Struct]) -> None:
    """JSON lines, compressed to the same bytes each time."""
    write_atomic(path, gzip.compress(lines(values).encode(), mtime=0))
