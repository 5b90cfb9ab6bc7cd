"""How much mere noise there is, and what the seeds of a setting can detect. Markdown lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median

from ablate.analysis.effects import Comparison, trained
from ablate.analysis.metrics import metric
from ablate.analysis.noise import budget_of
from ablate.analysis.power import POWER, detectable
from ablate.analysis.resampling import resampled
from ablate.records.aa_studies import aa_study
from ablate.records.report_data import ReportData
from ablate.report.text.detectable import amount, reach
from ablate.report.wording import escape, plural
from ablate.study import Pairs

ENOUGH = 40  # runs of an A/A study, below which its shares are rough


def calibration(data: ReportData) -> list[str]:
    """What an A/A study of this corpus, preset and budget showed, and what this design detects; a line for each."""
    budgets: dict[str, Comparison] = {}
    for each in data.comparisons:
        if each.arms.seeds:
            budgets.setdefault(budget_of(data.runs_of(each.baseline)), each)
    several = len(budgets) > 1
    lines = []
    for budget, found in budgets.items():
        at = f"At {described(budget)}: " if several and budget else ""
        lines += [f"{at}{line}" for line in (*noise(data, budget, found), *power(data, budget, found))]
    return lines


def described(budget: str) -> str:
    """`1000 x 4096` in words."""
    updates, _, positions = budget.partition(" x ")
    return f"{int(updates):,} updates" + (f" of {int(positions):,} target positions" if positions != "1" else "")


def noise(data: ReportData, budget: str, found: Comparison) -> Iterator[str]:
    """How often two groups of runs of one configuration would be told apart."""
    aa, measure = aa_study(data, budget), metric(data.study.metric)
    if aa is None:
        return
    name, runs = aa
    scores = [score for run in runs if (score := score_of(run, data.study.metric)) is not None]
    drawn = resampled(scores, min(len(found.arms.seeds), len(scores) // 2), found.margin)
    if drawn is None:
        return
    margin = f"the margin of {amount(found.margin, measure)} {measure.unit}"
    beyond = f", and the two means lie more than {margin} apart in {100 * drawn.beyond:.0f} %" if found.margin else ""
    rough = "" if len(scores) >= ENOUGH else f" These are rough, since they come from {len(scores)} runs only."
    yield (
        f"**Without any difference:** one configuration was trained with {plural(len(scores), 'seed')} "
        f"({escape(name)}). {drawn.draws:,} times {drawn.arm} of these runs were drawn at random and compared with "
        f"{drawn.arm} others: p is below 0.05 in {100 * drawn.alarms:.1f} % of these comparisons (it should be in 5 %)"
        f"{beyond}.{rough}"
    )


def score_of(run: Mapping[str, object], name: str) -> float | None:
    return metric(name).value(run) if trained(run) else None


def power(data: ReportData, budget: str, found: Comparison) -> Iterator[str]:
    """The smallest difference that as many seeds detect; none where seeds are added until something is decided."""
    seeds, judged_by, noise = len(found.arms.seeds), data.study.metric, data.noise
    measure = metric(judged_by)
    if data.sequential or data.study.pairs is Pairs.halves or seeds < 2:
        return
    spread, contrasts = noise.spread(judged_by, budget), noise.alike.get((judged_by, budget), [])
    if spread is not None:
        yield f"**What can be detected:** {reach(spread, len(contrasts), found.margin, seeds, measure)}."
        return
    spreads = [each.effect.spread for each in data.comparisons if each.effect.seeds > 2]
    seen = median(spreads) if spreads else 0.0
    if seen > 0:
        yield (
            f"**What can be detected:** {plural(seeds, 'seed')} detect a difference of "
            f"{amount(seen * detectable(seeds), measure)} {measure.unit} with {100 * POWER:.0f} % power, if "
            f"differences vary over seeds as much as they do here (standard deviation {amount(seen, measure)})."
        )
