"""Records as `experiments/<study>/<setting>/` keeps them, read back. What is missing or damaged is bad input."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import regex
from msgspec import Struct

from ablate.analysis.effects import Comparison, comparisons, halved, interactions
from ablate.analysis.estimators import ANYTIME, FIXED, Estimator
from ablate.analysis.judging import ClaimVerdict, judge_all
from ablate.analysis.measured import incomparable, masked, stand_ins, unmeasured
from ablate.analysis.tuning import Tuning, tuning
from ablate.config import WORD, BadInput, plain_line
from ablate.store.bleu_tokenizers import DEFAULT, tokenizer_for
from ablate.store.crossing import crossed
from ablate.store.record_schema import (
    RESULT_COLUMNS,
    CostRecord,
    CurvesRecord,
    LayersRecord,
    Manifest,
    RunRecord,
    TestSentence,
    Translations,
)
from ablate.store.schema import Damaged, Level, decoded, to_plain
from ablate.store.study_checks import check_names, check_texts
from ablate.store.study_file import study_from
from ablate.study import HALVES, MATCHED, Cell, Pairs, Study

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

    @cached_property
    def unmeasured(self) -> dict[str, str]:
        """Metric -> why it measures nothing here."""
        corpora = self.manifest.get("corpora", {})
        known = incomparable([*corpora]) | self.manifest.get("unmeasured", {})
        return unmeasured(self.recorded, known)

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
        shared = float(self.manifest["config"]["optim"]["lr"])
        return tuning(
            self.study, self.runs, shared, float(self.manifest["corpus"]["unigram_cross_entropy"]), self.estimator
        )

    @property
    def twins(self) -> dict[str, str]:
        """Under match=parameters, each twin and the variant that it is a twin of."""
        return {twin: twin.removesuffix(f",{MATCHED}") for twin in self.manifest.get("twins") or {}}

    @property
    def estimator(self) -> Estimator:
        """A study that went on until its claims were decided looked at them again and again."""
        return ANYTIME if self.looked_again else FIXED

    @property
    def looked_again(self) -> bool:
        return "max_seeds" in self.manifest

    @cached_property
    def comparisons(self) -> list[Comparison]:
        return comparisons(self.study, self.runs, self.estimator)

    @cached_property
    def interactions(self) -> list[Comparison]:
        return interactions(self.study, self.runs, self.estimator)

    @cached_property
    def verdicts(self) -> list[ClaimVerdict]:
        """Of every claim; under tune=lr at each variant's own best rate."""
        study, runs = (self.tuning.study, self.tuning.records) if self.tuning else (self.study, self.runs)
        return judge_all(study, runs, self.manifest["command"], self.estimator, self.unmeasured)

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
    """Read one setting of one study. Raises BadInput that names the file at fault."""
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
    return ReportData(folder, study, manifest, runs, curves, test, hypotheses, cost)


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
    study = study.at(manifest["preset"]).twinned(manifest.get("twins") or {})
    study = crossed(study, manifest["across"]) if "across" in manifest else study
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
        half = manifest["seeds"] // 2
        if not all(0 <= run["seed"] < 2 * half for run in runs):
            raise BadInput(f"{path}: a seed is none of the {2 * half} whose halves are compared")
        runs = list(halved(runs, int(manifest["seeds"])))
    return manifest, study.compared, tuple(runs)


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
    named = manifest["study"].get("name"), manifest["setting"]
    if named != (folder.parent.name, folder.name) or not all(SAFE.fullmatch(name) for name in named):
        raise BadInput(f"{path} is of {named[0]}/{named[1]}, which is not the name of its folder, or names no folder")
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
