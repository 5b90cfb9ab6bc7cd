"""The results of a grid (tune=), in Markdown: each variant at its own best point of it and at the shared one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ablate.analysis.metrics import metric
from ablate.analysis.tuning import Best, Finding, Tuned, Tuning
from ablate.records.looks import related
from ablate.records.report_data import ReportData
from ablate.report.wording import PHRASES, decimals_for, escape, estimate, in_units, name, number, plural, spoken, table
from ablate.study import RATE, Point

NAMES = {"lr": "learning rate", "warmup": "warmup"}  # what tune= may tune, in words


def together(names: Sequence[str]) -> str:
    """learning rate and warmup"""
    return spoken([NAMES[each] for each in names])


def noun(names: Sequence[str]) -> str:
    """What the values of what was tuned are called: a rate, a warmup, or a point of both."""
    return "point" if len(names) > 1 else "rate" if names[0] == RATE else "warmup"


def values_of(values: Mapping[str, float], edges: Mapping[str, str] | None = None) -> str:
    """0.004, or lr 0.004, warmup 0.15; with what is at an edge of the grid."""
    marks = {each: f" ({edge} of the grid)" for each, edge in (edges or {}).items()}
    if [*values] == [RATE]:
        return f"{values[RATE]:g}" + marks.get(RATE, "")
    return ", ".join(f"{each} {value:g}" + marks.get(each, "") for each, value in values.items())


def own_rates(found: Tuning) -> str:
    """A row for each variant: its point, the differences at the shared and at own best points, and the finding."""
    measure, sensitivity = metric(found.study.metric), metric("lr_sensitivity")
    what, rated = noun([*found.shared]), RATE in found.shared
    header = ["variant", f"own best {what}", "baseline's", f"difference at {values_of(found.shared)} [95 %]"]
    header += [f"at own best {what}s [95 %]", "change [95 %]"]
    header += ["sensitivity, difference [95 %]"] * rated + ["finding"]
    rows = []
    for row in found.rows:
        effects = [estimate(each, measure, signed=True) for each in (row.shared.effect, row.own.effect, row.change)]
        effects += [estimate(row.sensitivity.effect, sensitivity, signed=True)] * rated
        finding = f"**{row.finding.value}**" + (" (among survivors)" if row.own.conditional else "")
        rows.append([name(row.cell), chosen(row.best), chosen(row.baseline), *effects, finding])
    return table(header, rows, right=range(1, len(header) - 1))


def chosen(best: Best) -> str:
    return values_of(best.values, best.edges)


def answer(found: Tuning) -> str:
    """The findings at each variant's own best point, a sentence each. Markdown."""
    what = noun([*found.shared]) if len(found.shared) == 1 else together([*found.shared])
    return f"Each at its own best {what}, " + "; ".join(sentence(found, row) for row in found.rows) + "."


def sentence(found: Tuning, row: Tuned) -> str:
    measure = metric(found.study.metric)
    ends = dict.fromkeys([values_of(row.best.values), values_of(row.baseline.values)])
    rates = f"({'each ' * (len(ends) == 1)}{' and '.join(ends)})"
    if not row.own.arms.seeds:
        return f"{name(row.cell)} has no pair of runs left to compare at own best {noun([*found.shared])}s"
    own, shared = (estimate(each.effect, measure, signed=True) for each in (row.own, row.shared))
    verb = {"be": "is", "differ": "differs"}
    outcome = PHRASES[row.own.reading].format(variants=name(row.cell), baseline=name(row.own.baseline), **verb)
    survivors = " among the runs that finished" if row.own.conditional else ""
    alike = row.best.values == row.baseline.values == found.shared
    aside = "" if alike else f" (at the shared {noun([*found.shared])} {values_of(found.shared)}: {shared})"
    return f"{outcome} {rates}{survivors}: {own} {in_units(measure)}, {MEANS[row.finding]}{aside}"


MEANS = {
    Finding.gain: "a gain that tuning does not explain",
    Finding.loss: "a loss that tuning does not explain",
    Finding.higher: "a difference that tuning does not explain",
    Finding.lower: "a difference that tuning does not explain",
    Finding.artefact: "an artefact of tuning",
    Finding.robustness: "as good, and less sensitive to the learning rate: a gain in robustness only",
    Finding.sensitivity: "as good, but more sensitive to the learning rate: a loss of robustness only",
    Finding.none: "no difference either way",
    Finding.unresolved: "and whether tuning explains it is unresolved",
}


def edges(found: Tuning) -> list[str]:
    """A line for each thing that was tuned, where a best value lies on the edge of its grid."""
    lines = []
    for what in found.shared:
        alone = [*found.shared] == [RATE]
        names = [
            f"{name(cell)} ({'' if alone else f'{what} '}{best.values[what]:g}, the {best.edges[what]})"
            for cell, best in found.best.items()
            if what in best.edges
        ]
        better = f"a better {'rate' if what == RATE else NAMES[what]}"
        lines += [f"On the edge of the grid, so that {better} may lie beyond: {spoken(names)}."] if names else []
    return lines


def refined(data: ReportData) -> str:
    """Where the grid was refined, in a sentence; empty if it was not."""
    points = data.manifest.get("refined") or {}
    if not points:
        return ""
    several = len(points) > 1
    places = [
        ("at the levels of " + name(cell) + ": " if several else "") + "; ".join(values_of(point) for point in each)
        for cell, each in points.items()
    ]
    return (
        "After the grid every variant was also trained beside the best learning rate of each, at that rate divided and "
        f"multiplied by the root of 2 ({'. '.join(places)}). Sensitivity is that of the grid alone."
    )


def fixed_at(data: ReportData) -> str:
    """When the points of a sequential setting were chosen, in a sentence; empty if they were chosen on all seeds."""
    if data.tuning is None or not data.fixed_rates:
        return ""
    seeds, what = plural(len(related(data.looks, data.seeds)[0].seeds), "seed"), noun([*data.tuning.shared])
    return (
        f"The {what}s were chosen at the first look, on {seeds}, and were kept when seeds were added. The chosen "
        f"{what} may therefore not be the one whose loss is lowest now."
    )


def losses(found: Tuning) -> str:
    """Mean losses by the first of what was tuned, with rows for each variant and value of the other; bold: chosen."""
    points = {point for best in found.best.values() for point in best.losses}
    columns, others = sorted({point[0] for point in points}), [*found.shared][1:]
    rows = [row for cell, best in found.best.items() for row in losses_of(cell, best, columns)]
    header = ["variant", *map(escape, others), *(escape(f"{each:g}") for each in columns)]
    return table(header, rows, right=range(1, len(header)))


def losses_of(cell: str, best: Best, columns: Sequence[float]) -> Iterator[list[str]]:
    for rest in sorted({point[1:] for point in best.losses}):
        shown = [loss_at(best, (column, *rest)) for column in columns]
        yield [name(cell), *(f"{value:g}" for value in rest), *shown]


def loss_at(best: Best, point: Point) -> str:
    loss = best.losses.get(point, float("nan"))
    text = number(loss, decimals_for(loss, float("nan"), 3))
    return f"**{text}**" if point == best.point else text
