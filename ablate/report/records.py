"""Records as `experiments/<study>/<setting>/` keeps them, read back. What is missing or damaged is bad input."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ablate.analysis.claims import ClaimVerdict, judge_all
from ablate.analysis.effects import Comparison, comparisons, halved, interactions
from ablate.analysis.estimators import ANYTIME, FIXED, Estimator
from ablate.analysis.tuning import Tuning, tuning
from ablate.config import BadInput
from ablate.store import RESULT_COLUMNS
from ablate.study import HALVES, MATCHED, Cell, Pairs, Study
from ablate.study_file import study_from

MANIFEST = ("study", "setting", "preset", "command", "corpus", "seeds", "config", "plan")
COST = ("cells", "rounds", "updates_a_round", "others", "provenance")


@dataclass(frozen=True)
class ReportData:
    """Everything a report can speak of."""

    folder: Path
    study: Study
    manifest: dict[str, Any]
    runs: tuple[dict[str, Any], ...]  # in order of cells, then seeds
    curves: dict[str, dict[str, Any]]  # run id -> curves
    test: tuple[dict[str, Any], ...]  # source and references of each test sentence
    hypotheses: dict[str, dict[str, Any]]  # run id -> translations and losses
    cost: dict[str, Any] | None = None  # what the probe measured; None where there was none

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
        return judge_all(study, runs, self.manifest["command"], self.estimator)

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
        rows = [[run.get(column) for column in self.columns] for run in self.runs]
        return pd.DataFrame(rows, columns=self.columns).astype(RESULT_COLUMNS)

    def runs_of(self, cell: str) -> list[dict[str, Any]]:
        return [run for run in self.runs if run["variant"] == cell]


def updated(run: dict[str, Any]) -> bool:
    """Whether a run was to be trained at all."""
    return run.get("updates") != 0


def read_records(folder: Path) -> ReportData:
    """Read one setting of one study. Raises BadInput that names the file at fault."""
    manifest, study, runs = read_runs(folder)
    curves = {
        curve["run_id"]: curve for curve in read_lines(folder / "curves.jsonl.gz", ("run_id", "update", "validation"))
    }
    hypotheses = {entry["run_id"]: entry for entry in read_lines(folder / "hypotheses.jsonl.gz", ("run_id", "beam"))}
    test = tuple(read_lines(folder / "test.jsonl.gz", ("source", "references")))
    for run_id, entry in hypotheses.items():
        if len(entry["beam"]) != len(test):
            counts = f"{len(entry['beam'])} translations of {len(test)} sentences"
            raise BadInput(f"{folder / 'hypotheses.jsonl.gz'}: run {run_id} has {counts}")
    cost = read_cost(folder / "cost.json")
    if cost and study.pairs is Pairs.halves:  # of which the probe knows but the one variant
        cost["cells"] = dict.fromkeys(HALVES, *cost["cells"].values())
    return ReportData(folder, study, manifest, runs, curves, test, hypotheses, cost)


def read_runs(folder: Path) -> tuple[dict[str, Any], Study, tuple[dict[str, Any], ...]]:
    """The manifest, its study and the runs: what verdicts need."""
    manifest = read_manifest(folder)
    study = study_from(manifest["study"]).at(manifest["preset"]).twinned(manifest.get("twins") or {})
    study = study.tuned(manifest["grid"]) if "grid" in manifest else study
    layers = {entry["run_id"]: entry for entry in read_lines(folder / "layers.jsonl.gz", ("run_id", "diagnostics"))}
    runs = tuple(
        run | layers.get(run["run_id"], {})
        for run in read_lines(folder / "runs.jsonl", (*RESULT_COLUMNS, *study.factors))
    )
    cells = {cell.name for cell in study.cells()}
    for run in runs:
        if run["variant"] not in cells:
            raise BadInput(
                f"{folder / 'runs.jsonl'}: {run['variant']} is no cell of the study: {', '.join(sorted(cells))}"
            )
    if study.pairs is Pairs.halves:
        runs = tuple(halved(runs, int(manifest["seeds"])))
    return manifest, study.compared, runs


def read_manifest(folder: Path) -> dict[str, Any]:
    return read_object(folder / "manifest.json", MANIFEST)


def read_cost(path: Path) -> dict[str, Any] | None:
    return read_object(path, COST) if path.exists() else None


def read_object(path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    """A file that is one JSON object, which must have these keys."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read: {reason(error)}") from None
    missing = [key for key in keys if not isinstance(value, dict) or key not in value]
    if missing:
        raise BadInput(f"{path} lacks {', '.join(missing)}")
    assert isinstance(value, dict)
    return value


def read_lines(path: Path, keys: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines, gzipped or not, each of which must have these keys."""
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content or b"?")  # of nothing it would make nothing, and hide a loss
        text = content.decode("utf-8")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise BadInput(f"{path} cannot be read: {reason(error)}") from None
    for number, line in enumerate(text.split("\n"), start=1):
        if not line:
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise BadInput(f"{path}, line {number}, is damaged: {reason(error)}") from None
        missing = [key for key in keys if not isinstance(value, dict) or key not in value]
        if missing:
            raise BadInput(f"{path}, line {number}, lacks {', '.join(missing)}")
        yield value


def settings(root: Path) -> dict[str, list[str]]:
    """Study -> the settings that have records under `root`, both in alphabetical order."""
    found: dict[str, list[str]] = {}
    for path in sorted((root / "experiments").glob("*/*/manifest.json")):
        found.setdefault(path.parent.parent.name, []).append(path.parent.name)
    return found


def reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error).splitlines()[0]
