"""Read the records in `experiments/<study>/<setting>/`. A missing or damaged file is bad input."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import regex
from msgspec import Struct, convert

from ablate.analysis.effects import halved
from ablate.analysis.noise import Noise, Spread
from ablate.analysis.quality import study_metric
from ablate.analysis.trained import Default, has_trained
from ablate.analysis.training_length import epochs
from ablate.config import WORD, BadInput, plain_line
from ablate.plan.rates import overrides_of
from ablate.records.report_data import ReportData
from ablate.store.crossing import crossed
from ablate.store.record_schema import (
    POOL,
    CostRecord,
    CurvesRecord,
    EarlierRecord,
    LayersRecord,
    Manifest,
    NoiseRecord,
    RunRecord,
    TakenRates,
    TestSentence,
    Translations,
)
from ablate.store.schema import Damaged, Level, decoded, to_plain
from ablate.store.study_checks import check_names, check_texts
from ablate.store.study_file import study_from
from ablate.study import HALVES, Pairs, Study

NOISE, EARLIER = "noise.json.gz", "earlier.json"
SAFE = regex.compile(rf"(?!\p{{M}})[{WORD}][{WORD}.,=+-]*")  # the name of a study or a setting


def read_records(folder: Path) -> ReportData:
    """Read the records of a study at one setting (corpus, preset, overrides). Raises BadInput that names a bad file."""
    data = read_outline(folder)
    test = tuple(read_lines(folder / "test.jsonl.gz", TestSentence))
    rest = tuple(read_lines(folder / POOL, TestSentence)) if (folder / POOL).exists() else ()
    path = folder / "hypotheses.jsonl.gz"
    hypotheses = {evaluation_of(each): each for each in read_lines(path, Translations)}
    for name, entry in hypotheses.items():
        if len(entry["beam"]) != len(test):
            raise BadInput(f"{path}: {name} has {len(entry['beam'])} translations of {len(test)} sentences")
    path = folder / "cost.json"
    cost = read_object(path, CostRecord) if path.exists() else None
    if cost and data.declared.pairs is Pairs.halves:  # the probe measured the one variant
        cost["cells"] = dict.fromkeys(HALVES, *cost["cells"].values())
    return replace(data, test=test, rest=rest, hypotheses=hypotheses, cost=cost)


def read_outline(folder: Path) -> ReportData:
    """The records without sentences, translations and costs: all that verdicts and headlines need. Raises BadInput."""
    manifest, study, runs = read_runs(folder)
    curves = {each["run_id"]: each for each in read_lines(folder / "curves.jsonl.gz", CurvesRecord)}
    runs = tuple(run | {"epochs": epochs_of(manifest, run, curves)} for run in runs)
    return ReportData(folder, study, manifest, runs, curves, (), {}, None, *read_context(folder))


def epochs_of(manifest: dict[str, Any], run: Mapping[str, Any], curves: Mapping[str, dict[str, Any]]) -> float | None:
    """For how many epochs a run trained."""
    corpus = manifest.get("corpora", {}).get(run.get("corpus"), manifest["corpus"])
    return epochs(curves.get(run["run_id"], {}).get("tokens", ()), corpus)


def read_context(folder: Path) -> tuple[Noise, dict[str, Any]]:
    """What a setting is judged with besides its runs: the noise library, and its summary under earlier rules."""
    path = folder / EARLIER
    return read_noise(folder), read_object(path, EarlierRecord)["summary"] if path.exists() else {}


def read_noise(folder: Path) -> Noise:
    """The noise library that a setting is judged with; empty where it has none."""
    if not (folder / NOISE).exists():
        return Noise()
    record = read_object(folder / NOISE, NoiseRecord)
    spreads = tuple(Spread(**{**each, "cells": tuple(each["cells"])}) for each in record.get("spreads", ()))
    return Noise(spreads, (folder.parent.name, folder.name))


def evaluation_of(record: Mapping[str, Any]) -> str:
    """The id of the evaluation in a record. In version 1 each training had one evaluation, with the training's id."""
    return str(record.get("evaluation_id") or record["run_id"])


def read_runs(folder: Path) -> tuple[dict[str, Any], Study, tuple[dict[str, Any], ...]]:
    """The manifest, its study, and the runs in the order of cells and seeds: all that verdicts need."""
    manifest = read_manifest(folder)
    try:
        study = study_from(manifest["study"])
        check_texts(manifest, "it")
        check_names(study)
    except BadInput as error:
        raise BadInput(f"{folder / 'manifest.json'} is damaged: {error}") from None
    study = study.at(manifest["preset"])
    study = crossed(study, manifest["across"]) if "across" in manifest else study
    study = study.twinned(manifest.get("twins") or {}, manifest.get("twin_cells") or {})
    study = study.tuned(manifest["grid"]).refine(manifest.get("refined", {})) if "grid" in manifest else study
    study = study.with_values(overrides_of(convert(manifest["rates"], TakenRates))) if "rates" in manifest else study
    layers = {each["run_id"]: each for each in read_lines(folder / "layers.jsonl.gz", LayersRecord)}
    path, cells = folder / "runs.jsonl", {cell.name for cell in study.cells()}
    runs = []
    for number, line in enumerate(text_of(path).split("\n"), start=1):
        if line:
            run = read_run(line, study, f"{path}, line {number},")
            if run["variant"] not in cells:
                raise BadInput(f"{path}: {run['variant']} is not a cell of the study: {', '.join(sorted(cells))}")
            runs.append(run | layers.get(run["run_id"], {}))
    if study.pairs is Pairs.halves:
        half, first = manifest["seeds"] // 2, manifest.get("first_seed", 0)
        if not all(first <= run["seed"] < first + 2 * half for run in runs):
            raise BadInput(f"{path}: a seed is not among the {2 * half} whose halves are compared")
        runs = list(halved(runs, 2 * half, first))
    known = defaults_of(folder)
    runs = [run | {"trained": has_trained(run, unigram_of(manifest, run), known)} for run in runs]
    study = study.compared
    return manifest, replace(study, metric=study_metric(study, runs)), tuple(runs)


def defaults_of(folder: Path) -> list[Default]:
    """What the preset's default configuration reaches, as it was known at the first report; empty where it was not."""
    if not (folder / NOISE).exists():
        return []
    found = read_object(folder / NOISE, NoiseRecord).get("defaults", ())
    return [Default(**{**each, "runs": tuple(each["runs"])}) for each in found]


def unigram_of(manifest: dict[str, Any], run: Mapping[str, Any]) -> float:
    """Cross-entropy of the tokens' frequencies in the corpus of a run, nats a token; 0 where it is not known."""
    corpus = manifest.get("corpora", {}).get(run.get("corpus"), manifest["corpus"])
    return float(corpus.get("unigram_cross_entropy", 0))


def read_run(line: str, study: Study, where: str) -> dict[str, Any]:
    """A line of runs.jsonl with a key for each factor, as version 1 has it already."""
    run = parsed(line, RunRecord, where)
    levels = run.pop("factors") or {factor: parsed(line, dict, where).get(factor) for factor in study.factors}
    if levels.keys() != study.factors.keys() or not all(isinstance(level, Level) for level in levels.values()):
        raise BadInput(f"{where} is damaged: it does not have a level of each factor ({', '.join(study.factors)})")
    return run | levels


def read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    manifest = read_object(path, Manifest)
    names, folders = (manifest["study"].get("name"), manifest["setting"]), (folder.parent.name, folder.name)
    if names != folders:
        raise BadInput(f"{path} is the manifest of {'/'.join(map(str, names))}, and its folder is {'/'.join(folders)}")
    if not all(SAFE.fullmatch(name) for name in folders):
        raise BadInput(f"{path}: {'/'.join(folders)} is not a valid name of a study and a setting")
    return manifest


def read_object(path: Path, kind: type[Struct]) -> dict[str, Any]:
    """A file that is one JSON object, checked and as plain types, without keys that have their default value."""
    return parsed(text_of(path), kind, str(path))


def read_lines(path: Path, kind: type[Struct]) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines, gzipped or not, checked and as plain types."""
    for number, line in enumerate(text_of(path).split("\n"), start=1):
        if line:
            yield parsed(line, kind, f"{path}, line {number},")


def parsed(text: str, kind: type, where: str) -> dict[str, Any]:
    try:
        return to_plain(decoded(text, kind))
    except Damaged as error:
        raise BadInput(f"{where} is damaged: {plain_line(str(error))}") from None


def text_of(path: Path) -> str:
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content or b"?")  # refuse an empty file, which would decompress to nothing
        return content.decode("utf-8")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise BadInput(f"{path} cannot be read: {reason}") from None


def settings(root: Path) -> dict[str, list[str]]:
    """Study -> the settings that have records under `root`, both in alphabetical order."""
    found: dict[str, list[str]] = {}
    for path in sorted((root / "experiments").glob("*/*/manifest.json")):
        found.setdefault(path.parent.parent.name, []).append(path.parent.name)
    return found
