"""How differences go on as runs train for longer, in Markdown lines."""

from __future__ import annotations

from ablate.analysis.budgets import APART, LEAST, Course, OverBudget
from ablate.analysis.metrics import metric
from ablate.records.report_data import ReportData
from ablate.report.wording import estimate, name, spoken

MEANS = {
    Course.holds: "the difference holds",
    Course.grows: "the difference grows",
    Course.shrinks: "the difference shrinks",
    Course.turns: "the difference turns",
    Course.unclear: "whether the difference holds cannot be told",
}


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
