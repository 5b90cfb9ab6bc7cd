"""Uncertainty besides the intervals over seeds: looks, robust statistics. Markdown."""

from __future__ import annotations

import numpy as np

from ablate.analysis.effects import values
from ablate.analysis.metrics import Metric, metric
from ablate.analysis.robust import MINIMUM_SEEDS, interquartile_mean, probability_of_improvement
from ablate.analysis.statistics import Interval
from ablate.records.looks import UNTIL, related
from ablate.records.report_data import ReportData
from ablate.report.wording import ABSENT, estimate, name, spoken, table
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
