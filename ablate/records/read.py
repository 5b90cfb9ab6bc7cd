"""Records as `experiments/<study>/<setting>/` keeps them, read back. What is missing or damaged is bad input."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import regex
from msgspec import Struct

from ablate.analysis.budgets import OverBudget, over_budgets
from ablate.analysis.effects import Comparison, comparisons, halved, interactions, mean_of, of_cell
from ablate.analysis.estimators import ANYTIME, FIXED, Estimator
from ablate.analysis.judging import ClaimVerdict, judge_all
from ablate.analysis.kinds import outcomes
from ablate.analysis.measured import incomparable, masked, stand_ins, unmeasured
from ablate.analysis.metrics import metric
from ablate.analysis.noise import Noise, Spread
from ablate.analysis.quality import study_metric
from ablate.analysis.robustness import with_views
from ablate.analysis.statistics import Interval
from ablate.analysis.trained import Default, has_trained
from ablate.analysis.tuning import Tuning, tuning
from ablate.config import WORD, BadInput, plain_line
from ablate.records.earlier import as_found, as_judged, without_reading
from ablate.records.looks import Look, looks_in, rates_of, rules_of, sequential
from ablate.store.bleu_tokenizers import DEFAULT, tokenizer_for
from ablate.store.crossing import crossed
from ablate.store.record_schema import (
    RESULT_COLUMNS,
    CostRecord,
    CurvesRecord,
    EarlierRecord,
    LayersRecord,
    Manifest,
    NoiseRecord,
    RunRecord,
    TestSentence,
    Translations,
)
from ablate.store.schema import RULES, Damaged, Level, decoded, to_plain
from ablate.store.study_checks import check_names, check_texts
from ablate.store.study_file import study_from
from ablate.study import HALVES, MATCHED, Cell, Pairs, Study

NOISE, EARLIER = "noise.json.gz", "earlier.json"
SAFE = regex.compile(rf"(?!\p{{M}})[{WORD}][{WORD}.,=+-]*")  # a study's name, or a setting's


@dataclass(frozen=True)
class ReportData:
    """Everything a report can speak of."""

    folder: Path
    declared: Study  # as its file has it, for this preset
    manifest: dict[str, Any]
    recorded: tuple[dict[str, Any], ...]  # the runs as the records have them, in order of cells, then seeds
    curves: dict[str, dict[str, Any]]  # run id -> curves
    test: tuple[dict[str, Any], ...]  # source and references of each test sentence
    hypotheses: dict[str, dict[str, Any]]  # evaluation (`evaluation_of`) -> translations and losses
    cost: dict[str, Any] | None = None  # what the probe measured; None where there was none
    noise: Noise = Noise()  # the spread of other contrasts, as it was at the first report
    kept: Mapping[str, Any] = field(default_factory=dict)  # summary.json under earlier rules, of settings that have one

    @cached_property
    def unmeasured(self) -> dict[str, str]:
        """Metric -> why it measures nothing here."""
        corpora = self.manifest.get("corpora", {})
        known = incomparable([*corpora]) | self.manifest.get("unmeasured", {})
        return unmeasured(self.recorded, known)

    @property
    def unigram(self) -> float | None:
        """Cross-entropy of the tokens' frequencies, nats a token; None where variants have different vocabularies."""
        return None if "corpora" in self.manifest else self.manifest["corpus"].get("unigram_cross_entropy")

    def corpus_of(self, run: Mapping[str, Any]) -> dict[str, Any]:
        """corpus.json of the corpus that a run was trained on."""
        return dict(self.manifest.get("corpora", {}).get(run["corpus"], self.manifest["corpus"]))

    @cached_property
    def stand_ins(self) -> tuple[str, ...]:
        """What the study is judged by instead of its metric; empty where that measures something."""
        return stand_ins(self.declared.metric, self.recorded, self.unmeasured)

    @property
    def bleu_tokenizer(self) -> str:
        """sacreBLEU's tokeniser for these scores. Records without the key are older than it, and were made with 13a."""
        config = self.manifest["config"]
        evaluation = config.get("evaluation", {})
        if "bleu_tokenizer" not in evaluation:
            return DEFAULT
        target = config.get("data", {}).get("target", self.manifest["corpus"].get("target", ""))
        return str(evaluation["bleu_tokenizer"] or tokenizer_for(target))

    @cached_property
    def study(self) -> Study:
        """The study with the first of the stand-ins for its metric, where there are any."""
        return replace(self.declared, metric=self.stand_ins[0]) if self.stand_ins else self.declared

    @cached_property
    def runs(self) -> tuple[dict[str, Any], ...]:
        """The runs without the scores that measure nothing here."""
        return masked(self.recorded, self.unmeasured)

    def by(self, metric: str) -> ReportData:
        """The same records looked at by another metric."""
        return replace(self, declared=replace(self.declared, metric=metric))

    @cached_property
    def tuning(self) -> Tuning | None:
        """Under tune=lr, the study at each variant's own best rate."""
        if "grid" not in self.manifest:
            return None
        shared, unlearned = self.manifest["config"]["optim"]["lr"], self.manifest["corpus"]["unigram_cross_entropy"]
        found = tuning(self.study, self.runs, float(shared), float(unlearned), self.estimator, self.fixed_rates)
        return as_found(found, self.kept) if self.earlier else found

    @property
    def twins(self) -> dict[str, str]:
        """Under match=parameters, each twin and the variant that it is a twin of."""
        return {twin: twin.removesuffix(f",{MATCHED}") for twin in self.manifest.get("twins") or {}}

    @property
    def first_seed(self) -> int:
        return int(self.manifest.get("first_seed", 0))

    @property
    def seeds(self) -> list[int]:
        """The seeds of the plan, sorted."""
        return sorted({run[1] for run in self.manifest["plan"]})

    @cached_property
    def looks(self) -> list[Look]:
        return looks_in(self.manifest)

    @cached_property
    def sequential(self) -> bool:
        """Whether the number of seeds depends on earlier results, so that intervals must be valid at every look."""
        return "max_seeds" in self.manifest or sequential(self.looks, self.seeds)

    @cached_property
    def earlier(self) -> bool:
        """Whether these seeds were judged under earlier rules, so that the present ones are no test of them."""
        return rules_of(self.looks, self.seeds) < RULES

    @property
    def fixed_rates(self) -> dict[str, float] | None:
        """Under tune=lr, the learning rates that the first look at a sequential setting chose, by cell."""
        return rates_of(self.looks, self.seeds) if self.sequential else None

    @property
    def estimator(self) -> Estimator:
        """What makes every interval and p value of the report."""
        return (ANYTIME if self.sequential else FIXED).knowing(self.noise)

    def mean_of(self, cell: str, name: str) -> Interval:
        """The mean of a metric over the runs of a cell, with its interval."""
        return mean_of(of_cell(self.runs, cell), metric(name), self.estimator)

    @property
    def bar(self) -> str:
        """What is asked of a run: whether it trained, or learned, where nothing says what it takes to train."""
        return "trained" if any(run["trained"] is not None for run in self.runs) else "learned"

    def share_of(self, cell: str) -> Interval:
        """The share of a cell's runs that trained (`bar`), with its interval."""
        return self.estimator.share(outcomes(self.runs, cell, self.bar))

    @cached_property
    def comparisons(self) -> list[Comparison]:
        found = comparisons(self.study, self.runs, self.estimator)
        return without_reading(found) if self.earlier else found

    @cached_property
    def interactions(self) -> list[Comparison]:
        found = interactions(self.study, self.runs, self.estimator)
        return without_reading(found) if self.earlier else found

    @cached_property
    def over_budgets(self) -> list[OverBudget]:
        """How each difference goes on from one number of updates to the next; empty under earlier rules."""
        return [] if self.earlier else over_budgets(self.study, self.runs, self.comparisons, self.estimator)

    @cached_property
    def verdicts(self) -> list[ClaimVerdict]:
        """Of every claim; under tune=lr at each variant's own best rate."""
        study, runs = (self.tuning.study, self.tuning.records) if self.tuning else (self.study, self.runs)
        found = judge_all(study, runs, self.manifest["command"], self.estimator, self.unmeasured)
        if self.earlier:
            return [as_judged(each, self.kept) for each in found]
        elsewhere = self.tuning.neighbours if self.tuning else {}
        return [with_views(each, study, runs, self.estimator, self.unmeasured, elsewhere) for each in found]

    @property
    def setting(self) -> str:
        return str(self.manifest["setting"])

    @property
    def cells(self) -> list[Cell]:
        return self.study.cells()

    @cached_property
    def trained_cells(self) -> list[Cell]:
        """Without those whose runs were only looked at before the first update."""
        idle = {cell.name for cell in self.cells if (runs := self.runs_of(cell.name)) and not any(map(updated, runs))}
        return [cell for cell in self.cells if cell.name not in idle]

    @property
    def columns(self) -> list[str]:
        """Of results.csv."""
        return [*RESULT_COLUMNS, *self.study.factors]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """results.csv as a table: a row a run, missing where a number does not exist."""
        rows = [[run.get(column) for column in self.columns] for run in self.recorded]
        return pd.DataFrame(rows, columns=self.columns).astype(RESULT_COLUMNS)

    def runs_of(self, cell: str) -> list[dict[str, Any]]:
        return [run for run in self.runs if run["variant"] == cell]


def updated(run: dict[str, Any]) -> bool:
    """Whether a run was to be trained at all."""
    return run.get("updates") != 0


def read_records(folder: Path) -> ReportData:
    """Read the records of a study at one setting (corpus, preset, overrides). Raises BadInput that names a bad file."""
    manifest, study, runs = read_runs(folder)
    curves = {each["run_id"]: each for each in read_lines(folder / "curves.jsonl.gz", CurvesRecord)}
    test = tuple(read_lines(folder / "test.jsonl.gz", TestSentence))
    path = folder / "hypotheses.jsonl.gz"
    hypotheses = {evaluation_of(each): each for each in read_lines(path, Translations)}
    for name, entry in hypotheses.items():
        if len(entry["beam"]) != len(test):
            raise BadInput(f"{path}: {name} has {len(entry['beam'])} translations of {len(test)} sentences")
    path = folder / "cost.json"
    cost = read_object(path, CostRecord) if path.exists() else None
    if cost and study.pairs is Pairs.halves:  # the probe knows one variant
        cost["cells"] = dict.fromkeys(HALVES, *cost["cells"].values())
    return ReportData(folder, study, manifest, runs, curves, test, hypotheses, cost, *read_context(folder))


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
    """What a record calls an evaluation: in those of the first version a training had one, and its id."""
    return str(record.get("evaluation_id") or record["run_id"])


def read_runs(folder: Path) -> tuple[dict[str, Any], Study, tuple[dict[str, Any], ...]]:
    """The manifest, its study and the runs: what verdicts need."""
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
    study = study.tuned(manifest["grid"]) if "grid" in manifest else study
    layers = {each["run_id"]: each for each in read_lines(folder / "layers.jsonl.gz", LayersRecord)}
    path, cells = folder / "runs.jsonl", {cell.name for cell in study.cells()}
    runs = []
    for number, line in enumerate(text_of(path).split("\n"), start=1):
        if line:
            run = read_run(line, study, f"{path}, line {number},")
            if run["variant"] not in cells:
                raise BadInput(f"{path}: {run['variant']} is no cell of the study: {', '.join(sorted(cells))}")
            runs.append(run | layers.get(run["run_id"], {}))
    if study.pairs is Pairs.halves:
        half, first = manifest["seeds"] // 2, manifest.get("first_seed", 0)
        if not all(first <= run["seed"] < first + 2 * half for run in runs):
            raise BadInput(f"{path}: a seed is none of the {2 * half} whose halves are compared")
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
    """A line of runs.jsonl as analysis sees it: with a key for each factor."""
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
        raise BadInput(f"{path} is of {'/'.join(folders)}, which could not be the name of a study and a setting")
    return manifest


def read_object(path: Path, kind: type[Struct]) -> dict[str, Any]:
    """A file that is one JSON object, checked and of plain types, without what is at its default."""
    return parsed(text_of(path), kind, str(path))


def read_lines(path: Path, kind: type[Struct]) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines, gzipped or not, checked and of plain types."""
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
            content = gzip.decompress(content or b"?")  # an empty file would decompress to nothing, which hides a loss
        return content.decode("utf-8")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise BadInput(f"{path} cannot be read: {reason(error)}") from None


def settings(root: Path) -> dict[str, list[str]]:
    """Study -> the settings that have records under `root`, both in alphabetical order."""
    found: dict[str, list[str]] = {}
    for path in sorted((root / "experiments").glob("*/*/manifest.json")):
        found.setdefault(path.parent.parent.name, []).append(path.parent.name)
    return found


def reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error).splitlines()[0]
