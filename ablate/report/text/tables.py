"""The tables of a report, in Markdown."""

from __future__ import annotations

import math
from typing import Any

from ablate.analysis.effects import compare, mean_of, of_cell
from ablate.analysis.judging import shares
from ablate.analysis.metrics import Metric, metric
from ablate.analysis.statistics import pairing
from ablate.records.report_data import ReportData
from ablate.report.levels import coordinates
from ablate.report.text.answer import reading
from ablate.report.wording import ABSENT, decimals_for, escape, estimate, name, number, table

OTHERS = ("test_bleu", "test_bleu_greedy", "test_chrf", "test_loss", "validation_loss")


def variants(data: ReportData) -> str:
    """A row for each trained cell: score, paired difference and its reading, outcomes."""
    measure = metric(data.study.metric)
    held = {found.variant: found for found in data.comparisons}
    any_known = any(run["trained"] is not None for run in data.runs)
    header = ["variant", f"{measure.label}{better(measure)} [95 %]", "paired difference [95 %]", "reading"]
    header += [f"p ({data.estimator.correction})", "pairs", "diverged", "learned"]
    header += ["trained"] if any_known else []
    rows = []
    for cell in data.trained_cells:
        runs, found = data.runs_of(cell.name), held.get(cell.name)
        score = estimate(data.mean_of(cell.name, data.study.metric), measure)
        compared = [ABSENT, "baseline", ABSENT, ABSENT]
        if found:
            difference = estimate(found.effect, measure, signed=True)
            compared = [difference, reading(found), p_value(found.p_holm), str(found.effect.seeds)]
        diverged = f"{sum(run['status'] == 'diverged' for run in runs)} of {len(runs)}"
        bars = [counted(*shares(data.runs, cell.name, bar)) for bar in ("learned", *(["trained"] if any_known else []))]
        rows.append([name(cell.name), score, *compared, diverged, *bars])
    return table(header, rows, right=[1, 2, 4, 5, 6, 7, 8])


def counted(those: int, known: int) -> str:
    return f"{those} of {known}" if known else ABSENT


def beside(data: ReportData) -> list[tuple[str, str]]:
    """The table of variants by each further stand-in for the study's metric, with its label."""
    return [(metric(each).label, variants(data.judged_by(each))) for each in data.stand_ins[1:]]


def changes(data: ReportData) -> str:
    """A row for each interaction: how a difference changes from the first level; empty without a factor."""
    measure, cells = metric(data.study.metric), {cell.name: cell for cell in data.cells}
    rows = []
    for each in data.interactions:
        assert each.than is not None
        levels = [escape(coordinates(cells[cell].factors)) for cell in (each.variant, each.than[0])]
        change = estimate(each.effect, measure, signed=True) + (" among survivors" if each.conditional else "")
        variant = name(cells[each.variant].variant)
        rows.append([variant, *levels, change, p_value(each.p_holm), str(each.effect.seeds)])
    header = ["variant", "difference at", "minus that at", f"change, {measure.unit} [95 %]"]
    header += [f"p ({data.estimator.correction})", "pairs"]
    return table(header, rows, right=[3, 4, 5]) if rows else ""


def others(data: ReportData) -> str:
    """A row for each comparison: paired differences by other metrics; empty if nothing is compared."""
    wanted = [*OTHERS, "test_bits_per_byte"] if "corpora" in data.manifest else OTHERS
    names = [name for name in wanted if name != data.study.metric and name not in data.unmeasured]
    rows = []
    for cell in data.trained_cells:
        if cell.baseline is not None:
            found = [compare(data.runs, name, cell.name, cell.baseline, data.estimator) for name in names]
            rows.append([name(cell.name), *(estimate(each.effect, metric(each.metric), signed=True) for each in found)])
    header = ["variant", *(metric(name).label for name in names)]
    return table(header, rows, right=range(1, len(header))) if rows else ""


def initial(data: ReportData) -> str:
    """A row for each cell: means of the metrics of claims about untrained models; empty without such claims."""
    parts = [part for claim in data.study.claims for part in claim.parts]
    names = [name for name in dict.fromkeys(part.metric for part in parts) if name.startswith("initial_")]
    rows = []
    study, runs = (data.tuning.study, data.tuning.records) if data.tuning else (data.study, data.runs)
    for cell in study.cells():  # before the first update a learning rate has done nothing
        found = [(mean_of(of_cell(runs, cell.name), metric(each), data.estimator), metric(each)) for each in names]
        rows.append([name(cell.name), *(estimate(interval, measure) for interval, measure in found)])
    header = ["variant", *(metric(name).label.removesuffix(" at update 0") for name in names)]
    return table(header, rows, right=range(1, len(header))) if names else ""


def inside(data: ReportData) -> str:
    """A row for each trained cell: means of its last diagnostics, over parts and seeds."""
    rows = []
    for cell in data.trained_cells:
        finished = [run for run in data.runs_of(cell.name) if run["status"] == "finished" and run.get("diagnostics")]
        if finished:
            last = [run["diagnostics"][-1] for run in finished]
            means = [mean_over(last, diagnostic) for diagnostic in INSIDE]
            rows.append([name(cell.name), *(number(mean, decimals_for(mean, abs(mean) / 10, 4)) for mean in means)])
    return table(["variant", *INSIDE.values()], rows, right=range(1, len(INSIDE) + 1)) if rows else ""


def mean_over(entries: list[dict[str, Any]], diagnostic: str) -> float:
    """The mean of a diagnostic over the parts of a model and over runs; nan if it was not measured in every run."""
    found = [list((entry.get(diagnostic) or {}).values()) for entry in entries]
    flat = [value for each in found for value in each]
    return sum(flat) / len(flat) if all(found) and None not in flat else math.nan


INSIDE = {  # diagnostic -> its name in the table
    "attention_entropy": "entropy of attention, nats",
    "largest_attention_weight": "largest attention weight",
    "score_variance": "variance of scores",
    "dead_units": "dead units, on one batch",
    "negative_preactivations": "negative pre-activations",
}


def pairs(data: ReportData) -> list[str]:
    """A line for each variant: how much pairing by seed reduces the variance."""
    lines = []
    for found in data.comparisons:
        bought = pairing(found.arms.baseline, found.arms.variant)
        if bought.correlation == bought.correlation:
            correlation, ratio = number(bought.correlation, 1, signed=True), number(bought.variance_ratio, 1)
            lines.append(
                f"{name(found.variant)}: correlation {correlation} over {bought.n} pairs; "
                f"the variance of the difference is {ratio} times that between unrelated runs."
            )
    return lines


def better(measure: Metric) -> str:
    return ", lower is better" if measure.higher_is_better is False else ""


def p_value(p: float) -> str:
    return ABSENT if p != p else "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"
