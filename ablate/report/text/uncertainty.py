"""Uncertainty besides the intervals over seeds: looks, robust statistics, the choice of test sentences. Markdown."""

from __future__ import annotations

import numpy as np

from ablate.analysis.effects import Comparison, compare, pair, values
from ablate.analysis.metrics import Metric, metric
from ablate.analysis.robust import MINIMUM_SEEDS, interquartile_mean, probability_of_improvement
from ablate.analysis.statistics import Interval
from ablate.analysis.variance import apportion, per_sentence
from ablate.records.looks import UNTIL, related
from ablate.records.read import evaluation_of
from ablate.records.report_data import ReportData
from ablate.report.wording import ABSENT, estimate, name, number, spoken, table
from ablate.study import Cell


def looks(data: ReportData) -> str:
    """Why a setting is sequential, in a sentence; empty if its number of seeds was fixed beforehand."""
    if not data.sequential:
        return ""
    if "max_seeds" in data.manifest:
        return f"Seeds were added until every claim was decided, or {data.manifest['max_seeds']} were trained."
    found = related(data.looks, data.seeds)
    if any(look.purpose == UNTIL for look in found):
        return "An earlier command added seeds until every claim was decided (until=resolved)."
    counts = spoken([len(look.seeds) for look in found])
    return f"This setting was reported more than once while seeds were added (with {counts} seeds)."


def robust(data: ReportData) -> str:
    """A row for each cell with enough seeds: inter-quartile mean, probability of improvement; empty without one.

    Empty for a sequential setting too: bootstrap intervals are not valid at every look.
    """
    if data.sequential:
        return ""
    measure, rows = metric(data.study.metric), []
    for cell in data.trained_cells:
        scores = list(values(data.runs_of(cell.name), measure).values())
        if len(scores) >= MINIMUM_SEEDS:
            middle = estimate(interquartile_mean(scores), measure)
            rows.append([name(cell.name), str(len(scores)), middle, improvement(data, cell, measure)])
    header = ["variant", "seeds", f"inter-quartile mean of {measure.label} [95 %]", f"{ODDS[better(measure)]} [95 %]"]
    return table(header, rows, right=[1, 2, 3]) if rows else ""


ODDS = {True: "probability of improvement over the baseline", False: "probability of exceeding the baseline"}


def better(measure: Metric) -> bool:
    """Whether a metric has a better direction."""
    return measure.higher_is_better is not None


def improvement(data: ReportData, cell: Cell, measure: Metric) -> str:
    """The probability that a run of a cell is better than one of its baseline."""
    if cell.baseline is None:
        return ABSENT
    baseline, variant = (list(values(data.runs_of(each), measure).values()) for each in (cell.baseline, cell.name))
    found = probability_of_improvement(baseline, variant, higher_is_better=measure.higher_is_better is not False)
    return percentages(found) if np.isfinite(found.mean) else ABSENT


def percentages(found: Interval) -> str:
    return f"{found.mean:.0%} [{found.low:.0%}, {found.high:.0%}]"


def seeds_and_sentences(data: ReportData) -> list[str]:
    """A line for each comparison: how much of the variance of the difference in test loss is due to each."""
    lines = []
    for each in data.comparisons:
        found = compare(data.recorded, "test_loss", each.variant, each.baseline, data.estimator)
        differences = sentence_differences(data, found)
        if differences is None:
            continue
        parts = apportion(differences)
        if parts.total > 0 and np.isfinite(parts.widening):
            shares = [round(100 * part / parts.total) for part in (parts.seeds, parts.sentences, parts.both)]
            lines.append(
                f"{name(each.variant)}: {shares[0]} % seeds, {shares[1]} % sentences, {shares[2]} % their interaction; "
                f"an interval that also covers other sentences would be {number(parts.widening, 2)} times as wide."
            )
    return lines


def sentence_differences(data: ReportData, found: Comparison) -> np.ndarray | None:
    """The contribution of each test sentence to the difference in loss of each pair of runs, [seed, sentence].

    A sentence with several references is one sentence. None without two pairs, or where records have no such losses.
    """
    runs = {(run["variant"], pair(run)): data.hypotheses.get(evaluation_of(run), {}) for run in data.runs}
    arms = [[runs[cell, seed] for seed in found.arms.seeds] for cell in (found.baseline, found.variant)]
    references = [len(sentence["references"]) for sentence in data.test]
    if len(found.arms.seeds) < 2 or any(len(run.get("loss") or ()) != sum(references) for arm in arms for run in arm):
        return None
    counts = arms[0][0].get("tokens") or ()
    if any(None in run["loss"] for arm in arms for run in arm) or len(counts) != sum(references):
        return None
    starts = np.cumsum([0, *references[:-1]])
    baseline, variant = (np.add.reduceat([run["loss"] for run in arm], starts, axis=1) for arm in arms)
    tokens = np.add.reduceat(np.array(counts), starts)
    return per_sentence(variant - baseline, tokens)
