"""The records of a setting, and what follows from them: effects, intervals, verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ablate.analysis.budgets import OverBudget, over_budgets
from ablate.analysis.effects import Comparison, comparisons, interactions, mean_of, of_cell
from ablate.analysis.estimators import ANYTIME, FIXED, Estimator
from ablate.analysis.judging import ClaimVerdict, judge_all
from ablate.analysis.kinds import outcomes
from ablate.analysis.measured import incomparable, masked, stand_ins, unmeasured
from ablate.analysis.metrics import metric
from ablate.analysis.noise import Noise
from ablate.analysis.robustness import with_views
from ablate.analysis.shared_rate import at_one_rate
from ablate.analysis.statistics import Interval
from ablate.analysis.tuning import Tuning, tuning
from ablate.records.earlier import as_found, as_judged, without_reading
from ablate.records.looks import Look, looks_in, rates_of, rules_of, sequential
from ablate.store.bleu_tokenizers import DEFAULT, tokenizer_for
from ablate.store.record_schema import RESULT_COLUMNS
from ablate.store.schema import RULES
from ablate.study import RATE, TWINS, Cell, Point, Study, matched_in, place_of


@dataclass(frozen=True)
class ReportData:
    """The records of a setting, with all that reports compute from them."""

    folder: Path
    declared: Study  # the study with the metric of its file
    manifest: dict[str, Any]
    recorded: tuple[dict[str, Any], ...]  # the runs of runs.jsonl with their layers, in order of cells, then seeds
    curves: dict[str, dict[str, Any]]  # run id -> curves
    test: tuple[dict[str, Any], ...]  # source and references of each test sentence
    hypotheses: dict[str, dict[str, Any]]  # evaluation (`evaluation_of`) -> translations and losses
    cost: dict[str, Any] | None = None  # the results of the probe, if there are any
    noise: Noise = Noise()  # the spread of other contrasts, as it was at the first report
    kept: Mapping[str, Any] = field(default_factory=dict)  # summary.json under earlier rules, of settings that have one
    rest: tuple[dict[str, Any], ...] = ()  # sentences beyond the test set over which the loss is taken

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
        """The metrics that replace the study's own; empty if that measures something."""
        return stand_ins(self.declared.metric, self.recorded, self.unmeasured)

    @property
    def bleu_tokenizer(self) -> str:
        """sacreBLEU's tokeniser for these scores. Records from before the key existed were made with 13a."""
        config = self.manifest["config"]
        evaluation = config.get("evaluation", {})
        if "bleu_tokenizer" not in evaluation:
            return DEFAULT
        target = config.get("data", {}).get("target", self.manifest["corpus"].get("target", ""))
        return str(evaluation["bleu_tokenizer"] or tokenizer_for(target))

    @cached_property
    def study(self) -> Study:
        """The study with the first of the stand-ins as its metric, where there are any."""
        return replace(self.declared, metric=self.stand_ins[0]) if self.stand_ins else self.declared

    @cached_property
    def runs(self) -> tuple[dict[str, Any], ...]:
        """The runs without the scores that measure nothing here."""
        return masked(self.recorded, self.unmeasured)

    def judged_by(self, metric: str) -> ReportData:
        """The same records, judged by another metric."""
        return replace(self, declared=replace(self.declared, metric=metric))

    @cached_property
    def tuning(self) -> Tuning | None:
        """Under tune=, the study at each variant's own best point."""
        if not self.study.searched:
            return None
        optim, unlearned = self.manifest["config"]["optim"], self.manifest["corpus"]["unigram_cross_entropy"]
        shared = {name: float(optim[name]) for name in self.study.searched}
        found = tuning(self.study, self.runs, shared, float(unlearned), self.estimator, self.fixed_rates)
        return as_found(found, self.kept) if self.earlier else found

    @cached_property
    def at_own_best(self) -> ReportData:
        """Under tune=, the same records with the runs of each variant's own best point alone."""
        found = self.tuning
        if found is None:
            return self
        at = {cell + place_of(best.values): cell for cell, best in found.best.items()}
        plan = [[at[cell], *run] for cell, *run in self.manifest["plan"] if cell in at]
        kept = {key: value for key, value in self.manifest.items() if key not in ("grid", "refined")}
        manifest = kept | {"plan": plan, "unmeasured": self.unmeasured}
        cost = self.cost
        if cost is not None:
            cost = {**cost, "cells": {at[cell]: each for cell, each in cost["cells"].items() if cell in at}}
        declared = replace(found.study, metric=self.declared.metric)
        return replace(self, declared=declared, recorded=tuple(map(dict, found.records)), cost=cost, manifest=manifest)

    @property
    def shown(self) -> ReportData:
        """What tables and figures show. All points of a grid of two things are too many: those chosen."""
        return self.at_own_best if len(self.study.searched) > 1 else self

    def twins(self, kind: str) -> dict[str, str]:
        """Each twin that match= made in this kind, and the variant that it is a twin of."""
        names = [name for name in self.manifest.get("twins") or {} if matched_in(name) == kind]
        return {twin: twin.removesuffix(f",{TWINS[kind]}") for twin in names}

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
    def fixed_rates(self) -> dict[str, Point] | None:
        """Under tune=, the points that the first look at a sequential setting chose, by cell."""
        return rates_of(self.looks, self.seeds, self.study.searched) if self.sequential else None

    @property
    def estimator(self) -> Estimator:
        """The method of every interval and p value of the report."""
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
        """How each difference goes on from one number of updates to the next; empty under earlier rules.

        Under tune=, each variant at its own best point.
        """
        if self.earlier:
            return []
        if self.tuning is not None:
            return self.at_own_best.over_budgets
        return over_budgets(self.study, self.runs, self.comparisons, self.estimator)

    @cached_property
    def verdicts(self) -> list[ClaimVerdict]:
        """The verdict of every claim; under tune= at each variant's own best point."""
        study, runs = (self.tuning.study, self.tuning.records) if self.tuning else (self.study, self.runs)
        found = judge_all(study, runs, self.manifest["command"], self.estimator, self.unmeasured)
        if self.earlier:
            return [as_judged(each, self.kept) for each in found]
        if RATE not in self.study.searched:
            found = [replace(each, one_rate=at_one_rate(each.claim, study)) for each in found]
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
        """The cells without those whose runs all train for no update."""
        idle = {
            cell.name for cell in self.cells if (runs := self.runs_of(cell.name)) and not any(map(has_updates, runs))
        }
        return [cell for cell in self.cells if cell.name not in idle]

    @property
    def columns(self) -> list[str]:
        """The columns of results.csv."""
        return [*RESULT_COLUMNS, *self.study.factors]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """results.csv as a table: a row a run, missing where a number does not exist."""
        rows = [[run.get(column) for column in self.columns] for run in self.recorded]
        return pd.DataFrame(rows, columns=self.columns).astype(RESULT_COLUMNS)

    def runs_of(self, cell: str) -> list[dict[str, Any]]:
        return [run for run in self.runs if run["variant"] == cell]


def has_updates(run: dict[str, Any]) -> bool:
    """Whether a run trains for at least one update."""
    return run.get("updates") != 0
