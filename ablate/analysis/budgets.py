"""How a difference goes on as runs train for longer: whether it holds, grows, shrinks or turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ablate.analysis.effects import Comparison
from ablate.analysis.estimators import Estimator
from ablate.analysis.kinds import Tested, tested
from ablate.analysis.metrics import Record
from ablate.analysis.statistics import Effect
from ablate.analysis.trends import cells_of, levels_of
from ablate.analysis.verdicts import ALPHA, Verdict, directional
from ablate.study import Contrast, Kind, Study, name_without

BUDGET = "train.updates"
LEAST, APART = 3, 4  # levels, and how many times as long each trains as the one before


class Course(Enum):
    holds = "holds"
    grows = "grows"
    shrinks = "shrinks"
    turns = "turns"
    unclear = "cannot be told"


@dataclass(frozen=True)
class OverBudget:
    """A variant's difference from its baseline after each number of updates."""

    variant: str  # without the level of the factor that sets the updates
    levels: tuple[Any, ...]
    differences: tuple[Comparison, ...]
    rise: Effect  # the fitted change of the difference from the first level to the last
    course: Course

    @property
    def far_enough(self) -> bool:
        """Whether the levels are many enough and far enough apart to speak of trained models."""
        steps = zip(self.levels, self.levels[1:])
        return len(self.levels) >= LEAST and all(later >= APART * earlier for earlier, later in steps)


def budget_factor(study: Study) -> str | None:
    """The factor whose levels set the number of updates, and nothing else."""
    for factor, levels in study.factors.items():
        numbers = all(isinstance(level, int | float) and level > 0 for level in levels)
        if len(levels) > 1 and numbers and all(overrides.keys() == {BUDGET} for overrides in levels.values()):
            return factor
    return None


def over_budgets(
    study: Study, records: Sequence[Record], rows: Sequence[Comparison], estimator: Estimator
) -> list[OverBudget]:
    """A course for each variant that has a difference at every level; `rows` are those of the table of variants."""
    factor = budget_factor(study)
    if factor is None:
        return []
    held = {each.variant: each for each in rows if each.arms.seeds}
    found: list[tuple[str, tuple[Comparison, ...], Tested]] = []
    for cell in study.cells():
        name = name_without(cell, factor)
        if cell.baseline is None or name in {each[0] for each in found}:
            continue
        at = [held[each] for each in cells_of(study, name, factor) if each in held]
        baseline = study.baseline + name.removeprefix(cell.variant)
        part = Contrast(Kind.trend, study.metric, name, baseline, factor=factor)
        trend = tested(part, study, records, estimator, 0.95)
        if len(at) == len(study.factors[factor]) and isinstance(trend, Tested):
            found.append((name, tuple(at), trend))
    p_values = estimator.adjusted([trend.p for _, _, trend in found])
    levels = tuple(levels_of(study, factor))
    return [
        OverBudget(name, levels, at, trend.effect, course(at, trend, float(p)))
        for (name, at, trend), p in zip(found, p_values)
    ]


def course(at: Sequence[Comparison], trend: Tested, p: float) -> Course:
    """From the differences at each level, and the trend with its adjusted p."""
    if trend.conditional or any(each.conditional for each in at):
        return Course.unclear
    if {-1, 1} <= {sign(each) for each in at}:
        return Course.turns
    word = directional(trend.effect, p, trend.margin)
    if word is Verdict.negligible:
        return Course.holds
    if word is Verdict.unresolved:
        return Course.unclear
    return Course.grows if abs(at[-1].effect.mean) > abs(at[0].effect.mean) else Course.shrinks


def sign(found: Comparison) -> int:
    """Of a difference that is one; 0 of others."""
    effect = found.effect
    return (effect.low > 0) - (effect.high < 0) if found.p_holm < ALPHA else 0
