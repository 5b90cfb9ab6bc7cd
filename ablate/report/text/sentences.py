"""What depends on the choice of test sentences: how uncertain results are, and which sentences are easy. Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from ablate.analysis.bleu import bleu
from ablate.analysis.effects import Comparison, compare, mean_of, of_cell, pair
from ablate.analysis.metrics import metric
from ablate.analysis.noise import Noise
from ablate.analysis.variance import apportion, per_sentence, pseudo_values
from ablate.evaluation.scores import statistics
from ablate.records.read import evaluation_of
from ablate.records.report_data import ReportData
from ablate.report.wording import ABSENT, estimate, name, number, table

LOSS = "test_loss"
BLEUS = {"test_bleu": "beam", "test_bleu_greedy": "greedy"}  # metric -> key of its translations


def seeds_and_sentences(data: ReportData) -> str:
    """A row for each comparison and metric: how much of the variance of the difference each of the two makes."""
    first = [data.study.metric] if data.study.metric in BLEUS else []
    rows = []
    for each in data.comparisons:
        for measure in dict.fromkeys([*first, LOSS, "test_bleu"]):
            differences = None if measure in data.unmeasured else sentence_differences(data, each, measure)
            parts = None if differences is None else apportion(differences)
            if parts is not None and parts.total > 0 and np.isfinite(parts.widening):
                shares = [f"{100 * part / parts.total:.0f} %" for part in (parts.seeds, parts.sentences, parts.both)]
                of = f"{parts.n[1]:,} sentences"
                rows.append([name(each.variant), metric(measure).label, of, *shares, number(parts.widening, 2)])
    header = ["variant", "difference in", "over", "seeds", "sentences", "their interaction", "times as wide"]
    return table(header, rows, right=range(2, len(header))) if rows else ""


def sentence_differences(data: ReportData, found: Comparison, measure: str) -> np.ndarray | None:
    """What each sentence adds to the difference of each pair of runs, [seed, sentence].

    A sentence with several references is one sentence. None without two pairs, or where records lack what it takes.
    """
    seeds = compare(data.recorded, measure, found.variant, found.baseline, data.estimator).arms.seeds
    runs = {(run["variant"], pair(run)): data.hypotheses.get(evaluation_of(run), {}) for run in data.runs}
    arms = [[runs[cell, seed] for seed in seeds] for cell in (found.baseline, found.variant)]
    if len(seeds) < 2 or not all(run for arm in arms for run in arm):
        return None
    if measure == LOSS:
        return loss_differences(data, arms)
    baseline, variant = (
        pseudo_values(bleu, np.array([sums_of(data, run[BLEUS[measure]]) for run in arm])) for arm in arms
    )
    return variant - baseline


def loss_differences(data: ReportData, arms: Sequence[Sequence[dict[str, Any]]]) -> np.ndarray | None:
    references = [len(sentence["references"]) for sentence in (*data.test, *data.rest)]
    known = [run for arm in arms for run in arm]
    if any(len(run.get("loss") or ()) != sum(references) or None in run["loss"] for run in known):
        return None
    counts = known[0].get("tokens") or ()
    if len(counts) != sum(references):
        return None
    starts = np.cumsum([0, *references[:-1]])
    baseline, variant = (np.add.reduceat([run["loss"] for run in arm], starts, axis=1) for arm in arms)
    return per_sentence(variant - baseline, np.add.reduceat(np.array(counts), starts))


def sums_of(data: ReportData, translations: Sequence[str]) -> np.ndarray:
    """The statistics of BLEU of each test sentence, [sentence, statistic]."""
    references = tuple(tuple(sentence["references"]) for sentence in data.test)
    return counted(tuple(translations), references, data.bleu_tokenizer)


@cache  # more than one table needs them, and settings share runs
def counted(translations: tuple[str, ...], references: tuple[tuple[str, ...], ...], tokenizer: str) -> np.ndarray:
    return np.array(statistics(translations, references, tokenizer))


def nearness(data: ReportData) -> str:
    """How many test sources are within one word of a training source, in a sentence; empty where it is not known."""
    near = flags(data)
    if near is None:
        return ""
    return (
        f"{near.sum():,} of {len(near):,} test sources have the words of a training source but for at most one, which "
        "is added, left out or replaced. They are near the training set, the others far from it."
    )


def near_and_far(data: ReportData) -> str:
    """A row for each variant: BLEU, and its difference, on the sentences near the training set and on the others.

    Empty where the records do not know them, or there are none of either.
    """
    near, measure = flags(data), metric("test_bleu")
    if near is None or not 0 < near.sum() < len(near) or "test_bleu" in data.unmeasured:
        return ""
    parts = [[scored_on(data, run, chosen) for run in data.runs] for chosen in (near, ~near)]
    estimator = data.estimator.knowing(Noise())  # what is known is the spread of BLEU on all sentences
    rows = []
    for cell in data.trained_cells:
        means = [mean_of(of_cell(runs, cell.name), measure, estimator) for runs in parts]
        row = [name(cell.name), *(estimate(mean, measure) for mean in means)]
        if cell.baseline is None:
            rows.append([*row, ABSENT, ABSENT])
        else:
            found = [compare(runs, "test_bleu", cell.name, cell.baseline, estimator).effect for runs in parts]
            rows.append([*row, *(estimate(effect, measure, signed=True) for effect in found)])
    header = ["variant", "BLEU near [95 %]", "BLEU far [95 %]", "difference near [95 %]", "difference far [95 %]"]
    return table(header, rows, right=range(1, len(header)))


def scored_on(data: ReportData, run: dict[str, Any], chosen: np.ndarray) -> dict[str, Any]:
    """A run with the BLEU of these test sentences alone."""
    entry = data.hypotheses.get(evaluation_of(run))
    if entry is None or run.get("test_bleu") is None:
        return run | {"test_bleu": None}
    return run | {"test_bleu": float(bleu(sums_of(data, entry["beam"])[chosen].sum(axis=0)))}


def flags(data: ReportData) -> np.ndarray | None:
    """Whether each test sentence is near the training set, [sentence]; None where the records do not say."""
    found = [sentence.get("near") for sentence in data.test]
    return np.array(found) if found and None not in found else None
