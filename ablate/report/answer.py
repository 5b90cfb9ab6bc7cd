"""What a report opens with: the answer in a sentence, what qualifies it, and what would settle the rest."""

from __future__ import annotations

import re
from collections import Counter

from ablate.analysis.effects import Comparison, comparisons, of_cell, values
from ablate.analysis.metrics import Metric, metric
from ablate.analysis.statistics import mean_interval
from ablate.analysis.verdicts import Reading
from ablate.report.records import ReportData
from ablate.report.wording import escape, estimate, listed, number, plural

READINGS = (Reading.better, Reading.worse, Reading.higher, Reading.lower, Reading.equivalent, Reading.unresolved)


def answer(data: ReportData) -> tuple[str, list[str]]:
    """The sentence, and further lines where there is more than one sentence holds. Markdown."""
    found = comparisons(data.study, data.runs)
    if not found:
        return alone(data), []
    sentences = [compared(data, each) for each in found]
    if len(found) <= 2:
        return "; ".join(sentences) + ".", []
    return tally(found) + ".", [f"{sentence}." for sentence in sentences]


def alone(data: ReportData) -> str:
    """A study of one variant compares nothing."""
    measure, cell = metric(data.study.metric), data.cells[0].name
    interval = mean_interval(list(values(of_cell(data.runs, cell), measure).values()))
    if not interval.n:
        return f"{escape(cell)} has no {measure.label} to report."
    text = estimate(interval.mean, interval.low, interval.high, measure)
    seeds = plural(interval.n, "seed")
    return f"{escape(cell)}: {text} {in_units(measure)} over {seeds}; there is nothing to compare it with."


def compared(data: ReportData, found: Comparison) -> str:
    """Names, means, the difference with its interval, and the reading."""
    measure, effect = metric(found.metric), found.effect
    names = f"{escape(found.variant)} against {escape(found.baseline)}"
    if not found.arms.seeds:
        return f"{names}: no pair of runs with this number, so no difference in {measure.label}"
    variant, baseline = (
        number(arm.mean(), min(measure.digits, 2)) for arm in (found.arms.variant, found.arms.baseline)
    )
    difference = estimate(effect.mean, effect.low, effect.high, measure, signed=True)
    return (
        f"{escape(found.variant)} reaches {variant} {in_units(measure)}, {escape(found.baseline)} {baseline}: "
        f"a difference of {difference}, {worded(found)}"
    )


def worded(found: Comparison) -> str:
    """The reading, never without the condition it stands under."""
    if not found.arms.seeds:
        return "no pair"
    if found.effect.seeds == 1 and found.reading is Reading.unresolved:
        return "unresolved (one pair)"
    return f"{found.reading.name} among survivors" if found.conditional else found.reading.name


def tally(found: list[Comparison]) -> str:
    counts = Counter(each.reading if each.arms.seeds else None for each in found)
    parts = [f"{counts[reading]} {reading.name}" for reading in READINGS if counts[reading]]
    parts += [f"{counts[None]} without a pair of runs"] if counts[None] else []
    baselines = {each.baseline for each in found}
    against = escape(baselines.pop()) if len(baselines) == 1 else "the baseline at the same level"
    return f"Of {len(found)} variants held against {against} by {metric(found[0].metric).label}: {listed(parts)}"


def qualifications(data: ReportData) -> list[str]:
    """What a reader must know before believing the answer. Markdown."""
    lines = []
    for cell in data.cells:
        runs, name = data.runs_of(cell.name), escape(cell.name)
        lost = Counter(run["status"] for run in runs if run["status"] != "finished")
        if lost:
            words = listed([f"{count} {status}" for status, count in sorted(lost.items())])
            lines.append(
                f"Of {plural(len(runs), 'run')} of {name}, {words}: its mean difference is conditional on survival."
            )
        idle = sum(run["status"] == "finished" and run["learned"] == 0 for run in runs)
        if idle:
            ended = f"Of {plural(len(runs), 'run')} of {name}, {idle} finished without having learned"
            lines.append(f"{ended}: their scores compare noise.")
    for found in comparisons(data.study, data.runs):
        if found.arms.mixed:
            seeds = listed(found.arms.mixed)
            where = "on another device or precision than the baseline"
            lines.append(f"{escape(found.variant)}: seeds {seeds} ran {where} and decide nothing.")
    planned = len(data.manifest["plan"])
    if planned > len(data.runs):
        lines.append(f"{len(data.runs)} of {planned} planned runs are in the records.")
    return lines


def needs(data: ReportData) -> tuple[list[str], str | None]:
    """How many more seeds each unresolved variant calls for, and the command that runs them."""
    lines, most = [], 0
    for found in comparisons(data.study, data.runs):
        if found.reading is not Reading.unresolved or not found.arms.seeds or found.conditional:
            continue
        name, more = escape(found.variant), found.more_seeds
        if found.effect.seeds < 2:
            lines.append(f"{name}: one seed shows no spread; run at least 3.")
            most = max(most, 3)
        elif more is None:
            lines.append(f"{name}: more than 1000 seeds, at the spread seen; this study will not tell.")
        else:
            lines.append(f"{name}: about {plural(more, 'more seed')}, if mean and spread stay as seen.")
            most = max(most, found.effect.seeds + more)
    return lines, with_seeds(data.manifest["command"], most) if most else None


def with_seeds(command: str, seeds: int) -> str:
    """The command of a study with this many seeds."""
    return re.sub(r"\s+seeds=\S+", "", command) + f" seeds={seeds}"


def in_units(measure: Metric) -> str:
    """After a number."""
    return measure.label if measure.unit in measure.label else f"{measure.unit} of {measure.label}"
