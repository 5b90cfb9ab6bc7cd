"""The opening of a report: the answer in a sentence, and its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from ablate.analysis.effects import Comparison
from ablate.analysis.judging import shares
from ablate.analysis.metrics import metric
from ablate.analysis.verdicts import Reading
from ablate.records.report_data import ReportData
from ablate.report.text import taken, tuned
from ablate.report.wording import PHRASES, decimals_for, escape, estimate, in_units, name, number, plural, spoken

DIFFERENT = (Reading.better, Reading.worse, Reading.higher, Reading.lower)


def answer(data: ReportData) -> str:
    """The findings, and which metric replaces the study's own if that measures nothing. Markdown."""
    declared = data.declared.metric
    at = f" {taken.headline(data)}".rstrip()
    if declared not in data.unmeasured:
        return findings(data) + at
    replacement = escape(replaced_metric(declared, data.unmeasured[declared], data.stand_ins))
    return f"{findings(data)}{at} {replacement}" if data.stand_ins else replacement


def replaced_metric(declared: str, why: str, stand_ins: Sequence[str]) -> str:
    """A sentence about the metrics that replace the study's own, in plain text."""
    names = [metric(name).label for name in stand_ins]
    stand = f"{spoken(names)} {'stand' if len(names) > 1 else 'stands'}" if names else "nothing stands"
    return f"{metric(declared).label} is not measured here, because {why}: {stand} in for it."


def findings(data: ReportData) -> str:
    """The findings by the study's metric in a sentence, with the difference if there is only one. Markdown."""
    if data.tuning is not None and data.tuning.rows:
        return tuned.answer(data.tuning)
    cells = {cell.name: cell for cell in data.trained_cells}
    held = [each for each in data.comparisons if each.variant in cells]
    found = [each for each in held if each.arms.seeds]
    if not held:
        return alone(data)
    if some_did_not_train(data):
        return trained_counts(data)
    groups: dict[tuple[str, Reading, bool], list[Comparison]] = {}
    for each in found:
        groups.setdefault((cells[each.variant].variant, each.reading, each.conditional), []).append(each)
    by_reading: dict[tuple[Reading, bool, str], dict[str, list[Comparison]]] = {}
    for (variant, reading, conditional), members in groups.items():
        where = spoken_levels([cells[each.variant].factors for each in members], data)
        by_reading.setdefault((reading, conditional, where), {})[name(variant)] = members
    sentences = [
        PHRASES[reading].format(
            variants=spoken(list(variants)),
            be="is" if len(variants) == 1 else "are",
            differ="differs" if len(variants) == 1 else "differ",
            baseline=name(data.study.baseline),
        )
        + (f" at {where}" if where else "")
        + by_how_much(list(chain(*variants.values()))) * (len(held) > 1 and reading in DIFFERENT)
        + (" among the runs that finished" if conditional else "")
        for (reading, conditional, where), variants in by_reading.items()
    ]
    lost = [name(each.variant) for each in held if not each.arms.seeds]
    sentences += (
        [f"{spoken(lost)} {'has' if len(lost) == 1 else 'have'} no pair of runs left to compare"] if lost else []
    )
    measure = metric(data.study.metric)
    if len(held) == len(found) == 1:
        (effect,) = (each.effect for each in found)
        return f"{sentences[0]}: {estimate(effect, measure, signed=True)} {in_units(measure)}."
    decided = any(reading in DIFFERENT for reading, _, _ in by_reading)
    return "; ".join(sentences) + ("." if decided else f" (by {measure.label}).")


def some_did_not_train(data: ReportData) -> bool:
    counts = [shares(data.runs, cell.name, data.bar) for cell in data.trained_cells]
    return any(trained < known for trained, known in counts)


def trained_counts(data: ReportData) -> str:
    """How many runs of each variant trained. If some did not, this is the answer, before any difference in score."""
    clauses = []
    for variant in data.study.variants:
        groups: dict[str, list[dict]] = {}
        for cell in data.trained_cells:
            if cell.variant == variant:
                trained, known = shares(data.runs, cell.name, data.bar)
                groups.setdefault(f"{trained} of {known}", []).append(cell.factors)
        places = {count: spoken_levels(levels, data) for count, levels in groups.items()}
        counts = [count + (f" at {where}" if where else "") for count, where in places.items()]
        clauses += [f"{name(variant)} {spoken(counts)}"] if counts else []
    return f"Runs that {data.bar}: {'; '.join(clauses)}."


def by_how_much(found: Sequence[Comparison]) -> str:
    """The sizes of differences with the same sign; only the smallest and the largest if there are many."""
    unit = in_units(metric(found[0].metric))
    if len(found) <= 4:
        return f", by {spoken([number(size(each), digits_of(each)) for each in found])} {unit}"
    ends, digits = (min(map(size, found)), max(map(size, found))), min(map(digits_of, found))
    return f", by {' to '.join(number(each, digits) for each in ends)} {unit}"


def size(found: Comparison) -> float:
    return abs(found.effect.mean)


def digits_of(found: Comparison) -> int:
    """Decimals that the difference's interval leaves."""
    effect = found.effect
    return decimals_for(effect.mean, (effect.high - effect.low) / 2, metric(found.metric).digits)


def spoken_levels(factors: Sequence[dict], data: ReportData) -> str:
    """The levels of a finding, in words; empty if the study has no factor."""
    if not data.study.factors:
        return ""
    levels = {tuple(cell.factors.items()) for cell in data.cells if cell.baseline is not None}
    if len(factors) == len(levels) > 1:
        return "every " + spoken([escape(factor) for factor in data.study.factors])
    if len(data.study.factors) == 1:
        (factor,) = data.study.factors
        return f"{escape(factor)} {spoken([each[factor] for each in factors])}"
    return spoken([name(" ".join(f"{key}={level}" for key, level in each.items())) for each in factors])


def effect_lines(data: ReportData) -> list[str]:
    """A line a comparison with its numbers. Markdown."""
    return [f"{compared(data, each)}." for each in data.comparisons if each.arms.seeds]


def alone(data: ReportData) -> str:
    """The result of a study of one variant, which compares nothing."""
    measure, cell = metric(data.study.metric), data.cells[0].name
    interval = data.mean_of(cell, data.study.metric)
    if not interval.n:
        return f"{name(cell)} has no {measure.label} to report."
    score = f"{estimate(interval, measure)} {in_units(measure)} over {plural(interval.n, 'seed')}"
    return f"{name(cell)}: {score}; there is nothing to compare it with."


def compared(data: ReportData, found: Comparison) -> str:
    """Names, means, the difference with its interval, and the reading."""
    measure, effect = metric(found.metric), found.effect
    arms = [found.estimator.interval(arm) for arm in (found.arms.variant, found.arms.baseline)]
    variant, baseline = (
        number(each.mean, decimals_for(each.mean, (each.high - each.low) / 2, measure.digits)) for each in arms
    )
    return (
        f"{name(found.variant)} reaches {variant} {in_units(measure)}, {name(found.baseline)} {baseline}: "
        f"a difference of {estimate(effect, measure, signed=True)}, {reading(found)}"
    )


def reading(found: Comparison) -> str:
    """The reading in words, with the condition that limits it."""
    if not found.arms.seeds:
        return "no pair"
    if found.effect.seeds == 1 and found.reading is Reading.unresolved:
        return "unresolved (one pair)"
    if found.reading is Reading.unresolved and not found.conditional and found.effect.low * found.effect.high > 0:
        correction = found.estimator.correction
        return f"unresolved (the interval excludes zero, p after {correction} does not: {found.p_holm:.3f})"
    if found.conditional:
        return f"{found.reading.value} among survivors"
    return found.reading.value + smaller(found)


def smaller(found: Comparison) -> str:
    """What to add where there is a difference that is smaller than the margin."""
    if not found.is_small or found.reading not in (*DIFFERENT, Reading.negligible):
        return ""
    if found.reading in DIFFERENT:
        return ", by less than the margin"
    up, down = {True: ("better", "worse"), False: ("worse", "better"), None: ("higher", "lower")}[
        metric(found.metric).higher_is_better
    ]
    return f" ({up if found.effect.mean > 0 else down}, by less than the margin)"
