"""Gather what the runs of a study left in `runs/` into `experiments/<study>/<setting>/`.

Records hold everything that a report or a later analysis needs, the weights aside, so that nothing is trained again.
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

from ablate.config import BadInput, DataConfig, Until
from ablate.data.cache import check_contents
from ablate.data.corpus import Corpus
from ablate.data.prepare import fingerprint_of, source_hash
from ablate.evaluation.scores import unmeasured
from ablate.plan.composition import Plan
from ablate.records import looks as looks_module
from ablate.records.history import looks_after
from ablate.records.looks import Look
from ablate.store.folders import CURVES, RunFolder, Store
from ablate.store.ids import MEANING, RunSpec, bleu_tokenizer
from ablate.store.plain import config_to_plain
from ablate.store.plugin_files import described
from ablate.store.record_schema import CurvesRecord, LayersRecord, Manifest, RunRecord, TestSentence, Translations
from ablate.store.record_schema import Validation as ValidationCurve
from ablate.store.schema import VERSION, EvaluationResult, TrainingResult, to_plain
from ablate.store.study_file import study_to_plain
from ablate.study import Cell
from ablate.system.atomic import sweep, write_atomic

Corpora = Mapping[str, Corpus]  # by fingerprint
# Sections and keys that say where and how a command runs, and not what.
LOCAL = ("root", "workers", "device", "dry_run", "cost_probe", "wandb", "hydra", "hydra/launcher")


def collect(store: Store, plan: Plan, corpora: Corpora) -> Path:
    """Write the records of every run that has ended, and how the study was put together. Returns their folder."""
    folder = store.root / "experiments" / plan.study.name / plan.setting
    sweep(folder)
    cells = {cell.name: cell for cell in plan.cells}
    corpus = corpora[plan.corpus]
    trainings = {spec.id: store.run(spec.id) for spec in plan.runs}
    scores = {spec.evaluation: store.run(spec.id).scores(spec.evaluation) for spec in plan.runs}
    signatures = next((score.signatures for score in scores.values() if score is not None), {})
    why = unmeasured(corpus.references, bleu_tokenizer(plan.config)) if signatures else {}
    runs = [run_record(trainings[spec.id], spec, cells[spec.cell], why) for spec in plan.runs]
    looks = looks_after(folder, plan, [to_plain(run) for run in runs], corpus.metadata["unigram_cross_entropy"])
    write_json(folder / "manifest.json", manifest_of(plan, corpora, signatures, why, looks))
    write_atomic(folder / "runs.jsonl", lines(runs))
    write_gzip(folder / "layers.jsonl.gz", map(layers, trainings.values()))
    write_gzip(folder / "curves.jsonl.gz", map(curves, trainings.values()))
    sentences = zip(corpus.sources, corpus.references, strict=True)
    write_gzip(
        folder / "test.jsonl.gz",
        (TestSentence(source=source, references=list(references)) for source, references in sentences),
    )
    evaluations = {spec.evaluation: spec for spec in plan.runs}
    write_gzip(
        folder / "hypotheses.jsonl.gz",
        (translations(evaluations[id], score) for id, score in scores.items() if score is not None),
    )
    freeze_noise(store.root, folder, config_to_plain(plan.preset))
    return folder


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
        looks=[looks_module.record(look) for look in looks],
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
    """A line for each run of whose curves the records show nothing, because they are damaged."""
    return [
        f"{spec.cell}/seed{spec.seed}: its curves were damaged after it was trained and are left out, its scores are "
        f"not; delete runs/{spec.id}, and the same command trains it again"
        for spec in plan.runs
        if has_damaged_curves(store.run(spec.id))
    ]


def check_corpus(store: Store, plan: Plan) -> None:
    """Raise BadInput where this setting's records are of another text under the same name.

    Records of the same text by another recipe are accepted; the study writes them anew.
    """
    manifest, data = recorded_manifest(store, plan), plan.config.data
    recorded = manifest["corpus"]
    if recorded.get("fingerprint") in (None, plan.corpus):
        return
    content = source_hash(data)
    if "content" in recorded:
        same = recorded["content"] == content
    else:  # in records of early versions only the fingerprint, together with the recipe, stands for the text
        try:
            same = recorded["fingerprint"] == fingerprint_of(DataConfig(**manifest["config"]["data"]), content)
        except (TypeError, LookupError, ValueError):
            same = False
    if not same:
        raise BadInput(
            f"{plan.study.name}/{plan.setting} has records of another corpus called {data.label}: its text "
            "has changed, or is not the same; give this one a name of its own with data.name="
        )


def check_test_set(corpora: Corpora) -> None:
    """Raise BadInput where the cells of a study would be scored on different sentences."""
    first, *others = corpora.values()
    if any((corpus.sources, corpus.references) != (first.sources, first.references) for corpus in others):
        raise BadInput(
            "the study's variants have corpora with different test sentences, so their scores do not compare: vary "
            "only keys of data that leave the test set as it is"
        )


def check_prepared(store: Store, plan: Plan, mark: str, metadata: dict[str, Any]) -> None:
    """Raise BadInput where records or trained runs used another preparation of a corpus (`check_contents`)."""
    recorded = recorded_manifest(store, plan)["corpus"]
    if recorded.get("fingerprint") == mark:
        records = f"experiments/{plan.study.name}/{plan.setting}"
        check_contents(recorded, metadata, records, "give this corpus a name of its own with data.name=")
    for spec in plan.runs:
        if spec.corpus == mark and (result := store.run(spec.id).result()) is not None:
            known = {
                "sha256": result.provenance.get("corpus_sha256"),
                "tokenizers": result.provenance.get("tokenizers"),
            }
            check_contents(known, metadata, f"run {spec.id}", f"delete {store.run(spec.id).path}")


def recorded_manifest(store: Store, plan: Plan) -> dict[str, Any]:
    """The manifest of this setting's records; one with an empty corpus where there is none, or a damaged one."""
    path = store.root / "experiments" / plan.study.name / plan.setting / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        return manifest if isinstance(manifest["corpus"], dict) else {"corpus": {}}
    except (OSError, ValueError, LookupError, TypeError):
        return {"corpus": {}}


def portable(overrides: list[str]) -> list[str]:
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


def run_record(folder: RunFolder, spec: RunSpec, cell: Cell, unmeasured: Iterable[str] = ()) -> RunRecord:
    """A row of results.csv and more. Null: does not exist, or is in `unmeasured`."""
    result, scores = folder.result(), folder.scores(spec.evaluation)
    ended = folder.done(spec)
    numbers = {
        name: getattr(source, name)
        for source, kind in ((scores, EvaluationResult), (result, TrainingResult))
        if source is not None
        for name in kind.__struct_fields__
        if name in RunRecord.__struct_fields__
    }
    seconds = [part.seconds for part in (result, scores) if part is not None]
    exact = {name: float(numbers[name]) for name in EXACT if numbers.get(name) is not None}
    known = short(numbers) | {name: value for name, value in exact.items() if math.isfinite(value)}
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
            "seconds": sum(seconds) if seconds else None,
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
NUMBERS = ("learned", *EXACT, "parameters", "peak_memory")  # that a record has, if only as null


def layers(folder: RunFolder) -> LayersRecord:
    result = folder.result()
    if result is None:
        return LayersRecord(run_id=folder.id)
    return LayersRecord(
        run_id=folder.id,
        parameter_counts=result.parameter_counts,
        diagnostics=short(result.diagnostics),
        final_dead_units=short(result.final_dead_units),
    )


def curves(folder: RunFolder) -> CurvesRecord:
    """A run's curves, a list a column; a loss that is not finite is null.

    Empty and marked as `damaged` where the files of a trained run are not what it wrote.
    """
    damaged = has_damaged_curves(folder)
    read = folder.lines if not damaged else lambda name: []
    rows, validation = (list(csv.DictReader(read(name))) for name in CURVES)
    return CurvesRecord(
        run_id=folder.id,
        update=[int(row["update"]) for row in rows],
        loss=[finite(row["loss"]) for row in rows],
        lr=[finite(row["lr"]) for row in rows],
        gradient_norm=[finite(row["gradient_norm"]) for row in rows],
        tokens=[int(row["tokens"]) for row in rows],
        validation=ValidationCurve(
            update=[int(row["update"]) for row in validation], loss=[finite(row["loss"]) for row in validation]
        ),
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


def has_damaged_curves(folder: RunFolder) -> bool:
    return folder.result() is not None and not folder.curves_are_whole()


def determining(plain: dict[str, Any]) -> dict[str, Any]:
    """A resolved configuration without what says where and how to run it, and without any path."""
    kept = {key: plain[key] for key in ("model", "optim", "train", "data", "evaluation", "precision", "preset")}
    return {**kept, "data": {key: value for key, value in kept["data"].items() if key != "path"}}


def finite(text: str) -> float | None:
    value = float(text)
    return float(f"{value:.6g}") if math.isfinite(value) else None


def short(value: Any) -> Any:
    """The value with six figures of each number, so that records stay small, and null for what is not finite."""
    if isinstance(value, dict):
        return {key: short(item) for key, item in value.items()}
    if isinstance(value, list):
        return [short(item) for item in value]
    return finite(repr(float(value))) if isinstance(value, float) else value


def lines(values: Iterable[Struct]) -> str:
    return "".join(json.dumps(to_plain(value), ensure_ascii=False) + "\n" for value in values)


def write_json(path: Path, value: Struct) -> None:
    write_atomic(path, json.dumps(to_plain(value), indent=1, ensure_ascii=False) + "\n")


def write_gzip(path: Path, values: Iterable[Struct]) -> None:
    """JSON lines, compressed to the same bytes each time."""
    write_atomic(path, gzip.compress(lines(values).encode(), mtime=0))
