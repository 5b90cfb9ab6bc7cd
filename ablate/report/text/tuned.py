"""The results of a grid of learning rates, in Markdown: each variant at its own best rate and at the shared one."""

from __future__ import annotations

from ablate.analysis.metrics import metric
from ablate.analysis.tuning import Best, Finding, Tuned, Tuning
from ablate.records.looks import related
from ablate.records.report_data import ReportData
from ablate.report.wording import PHRASES, decimals_for, escape, estimate, in_units, name, number, plural, spoken, table


def own_rates(found: Tuning) -> str:
    """A row for each variant: its rate, the differences at the shared rate and at own best rates, and the finding."""
    measure, sensitivity = metric(found.study.metric), metric("lr_sensitivity")
    header = ["variant", "own best rate", "baseline's", f"difference at {found.shared_rate:g} [95 %]"]
    header += ["at own best rates [95 %]", "change [95 %]", "sensitivity, difference [95 %]", "finding"]
    rows = []
    for row in found.rows:
        effects = [estimate(each, measure, signed=True) for each in (row.shared.effect, row.own.effect, row.change)]
        finding = f"**{row.finding.value}**" + (" (among survivors)" if row.own.conditional else "")
        less_sensitive = estimate(row.sensitivity.effect, sensitivity, signed=True)
        rows.append([name(row.cell), rate(row.best), rate(row.baseline), *effects, less_sensitive, finding])
    return table(header, rows, right=range(1, 7))


def rate(best: Best) -> str:
    return f"{best.rate:g}" + (f" ({best.edge} of the grid)" if best.edge else "")


def answer(found: Tuning) -> str:
    """The findings at each variant's own best rate, a sentence each. Markdown."""
    return "Each at its own best rate, " + "; ".join(sentence(found, row) for row in found.rows) + "."


def sentence(found: Tuning, row: Tuned) -> str:
    measure = metric(found.study.metric)
    ends = dict.fromkeys([f"{row.best.rate:g}", f"{row.baseline.rate:g}"])
    rates = f"({'each ' * (len(ends) == 1)}{' and '.join(ends)})"
    if not row.own.arms.seeds:
        return f"{name(row.cell)} has no pair of runs left to compare at own best rates"
    own, shared = (estimate(each.effect, measure, signed=True) for each in (row.own, row.shared))
    outcome = PHRASES[row.own.reading].format(
        variants=name(row.cell), be="is", differ="differs", baseline=name(row.own.baseline)
    )
    survivors = " among the runs that finished" if row.own.conditional else ""
    alike = row.best.rate == row.baseline.rate == found.shared_rate
    aside = "" if alike else f" (at the shared rate {found.shared_rate:g}: {shared})"
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
    """A line where a best rate lies on the edge of the grid."""
    names = [f"{name(cell)} ({best.rate:g}, the {best.edge})" for cell, best in found.best.items() if best.edge]
    return [f"On the edge of the grid, so that a better rate may lie beyond: {spoken(names)}."] if names else []


def fixed_at(data: ReportData) -> str:
    """When the rates of a sequential setting were chosen, in a sentence; empty if they were chosen on all seeds."""
    if data.tuning is None or not data.fixed_rates:
        return ""
    seeds = plural(len(related(data.looks, data.seeds)[0].seeds), "seed")
    return (
        f"The rates were chosen at the first look, on {seeds}, and were kept when seeds were added. The chosen rate "
        "may therefore not be the one whose loss is lowest now."
    )


def losses(found: Tuning) -> str:
    """A row for each variant: mean validation loss by rate; that of the chosen rate in bold."""
    rates = sorted({rate for best in found.best.values() for rate in best.losses})
    rows = []
    for cell, best in found.best.items():
        losses = [best.losses.get(each, float("nan")) for each in rates]
        shown = [number(loss, decimals_for(loss, float("nan"), 3)) for loss in losses]
        rows.append([name(cell), *(f"**{text}**" if each == best.rate else text for each, text in zip(rates, shown))])
    return table(["variant", *(escape(f"{each:g}") for each in rates)], rows, right=range(1, len(rates) + 1))
