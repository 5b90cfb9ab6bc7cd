"""How long runs trained, and how differences go on as they train for longer. Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ablate.analysis.budgets import APART, LEAST, Course, OverBudget
from ablate.analysis.effects import trained
from ablate.analysis.metrics import metric
from ablate.analysis.training_length import STILL, fall
from ablate.records.report_data import ReportData
from ablate.report.wording import estimate, name, number, spoken

MEANS = {
    Course.holds: "the difference holds",
    Course.grows: "the difference grows",
    Course.shrinks: "the difference shrinks",
    Course.turns: "the difference turns",
    Course.unclear: "whether the difference holds cannot be told",
}


def length(data: ReportData) -> str:
    """For how many epochs the finished runs trained, and how many were still improving; empty where none is known.

    Whatever follows from runs holds after so much training.
    """
    runs = [run for run in data.runs if trained(run) and run.get("updates")]
    budgets = sorted({run["updates"] for run in runs})
    clauses = [found for each in budgets if (found := after(data, [r for r in runs if r["updates"] == each]))]
    text = "; ".join(clauses)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def after(data: ReportData, runs: Sequence[dict[str, Any]]) -> str:
    """The same of runs with one number of updates, in a clause; empty where none is known."""
    known = [run["epochs"] for run in runs if run.get("epochs") is not None]
    curves = [data.curves.get(run["run_id"], {}).get("validation", {}) for run in runs]
    falls = [found for each in curves if (found := fall(each.get("update", ()), each.get("loss", ()))) is not None]
    if not known and not falls:
        return ""
    ends = list(dict.fromkeys(shown(each) for each in (min(known), max(known)))) if known else []
    clause = f"after {runs[0]['updates']:,} updates" + (f" ({' to '.join(ends)} epochs)" if ends else "")
    return f"{clause} {improving(falls)}"


def shown(epochs: float) -> str:
    return number(epochs, 1 if epochs < 10 else 0)


def improving(falls: Sequence[float]) -> str:
    """How many runs were still improving when they ended."""
    if not falls:
        return "it is not known whether runs were still improving"
    count, runs = sum(each > STILL for each in falls), len(falls)
    if runs == 1:
        return f"the run was {'still' if count else 'no longer'} improving"
    who = f"all {runs} runs were" if count == runs else f"{count} of {runs} runs were" if count else "no run was"
    return f"{who} still improving"


def courses(data: ReportData) -> list[str]:
    """A line a variant; none where the study has one budget."""
    return [course(data, each) for each in data.over_budgets]


def course(data: ReportData, found: OverBudget) -> str:
    measure = metric(data.study.metric)
    shown = [
        f"{estimate(each.effect, measure, signed=True)} after {level:,}"
        for level, each in zip(found.levels, found.differences)
    ]
    rise = estimate(found.rise, measure, signed=True)
    line = f"{name(found.variant)}: **{MEANS[found.course]}**. {measure.label} differs by {spoken(shown)} updates "
    line += f"(fitted change from first to last: {rise})."
    if not found.far_enough:
        line += f" It takes {LEAST} budgets, each {APART} times the one before, to speak of trained models."
    return line
