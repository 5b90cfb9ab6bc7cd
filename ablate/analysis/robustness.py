"""Other ways to look at a contrast: by other metrics, without one of the seeds, at other rates, after other budgets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ablate.analysis.budgets import BUDGET, budget_factor
from ablate.analysis.effects import pair
from ablate.analysis.estimators import Estimator
from ablate.analysis.judging import ClaimVerdict, Judgement, View
from ablate.analysis.kinds import Tested, oriented, tested
from ablate.analysis.metrics import Record, metric
from ablate.analysis.quality import OPPOSITE, Beside, beside, losses_compare
from ablate.analysis.verdicts import Verdict
from ablate.study import Contrast, Kind, Study

METRICS = ("test_loss", "validation_loss", "test_bleu", "test_chrf")
OF_MEANS = (Kind.directional, Kind.at_least_as_good, Kind.no_difference, Kind.trend)


def with_views(
    found: ClaimVerdict,
    study: Study,
    records: Sequence[Record],
    estimator: Estimator,
    why: Mapping[str, str],
    elsewhere: Mapping[str, Sequence[Record]],
) -> ClaimVerdict:
    """The verdict with every other way to look at each of its contrasts."""
    seen = (views(part, study, records, estimator, why, elsewhere) for part in found.parts)
    return replace(found, views=tuple(view for each in seen for view in each))


def views(
    part: Judgement,
    study: Study,
    records: Sequence[Record],
    estimator: Estimator,
    why: Mapping[str, str],
    elsewhere: Mapping[str, Sequence[Record]],
) -> Iterator[View]:
    """Every other way to look at a contrast that was tested.

    `why` says which metrics measure nothing; `elsewhere` has the records of other circumstances by their names.
    """
    if part.verdict is None:
        return
    look = Look(part, part.verdict, study, estimator)
    yield from by_other_metrics(look, records, why)
    yield from without_each_seed(look, records)
    for level, contrast in other_budgets(part.contrast, study):
        yield from look.at(f"{level} updates", contrast, records)
    for way, others in elsewhere.items():
        yield from look.at(way, part.contrast, others)


@dataclass(frozen=True)
class Look:
    part: Judgement
    verdict: Verdict
    study: Study
    estimator: Estimator

    def found(self, contrast: Contrast, records: Sequence[Record]) -> Tested | None:
        found = tested(contrast, self.study, records, self.estimator, 0.95)
        return found if isinstance(found, Tested) and not found.conditional else None

    def at(self, way: str, contrast: Contrast, records: Sequence[Record]) -> Iterator[View]:
        found = self.found(contrast, records)
        if found is not None:
            yield View(way, self.says(found))

    def says(self, found: Tested) -> Beside:
        """A view of an undecided verdict agrees where it decides nothing either."""
        if self.verdict is Verdict.unresolved:
            undecided = found.verdict(found.p) is Verdict.unresolved
            return Beside.agrees if undecided else Beside.unclear
        if found.part.kind in OF_MEANS:
            return beside(found.part.kind, self.verdict, oriented(found.effect, found.part), found.margin)
        other = found.verdict(found.p)
        opposed = {self.verdict, other} == {Verdict.supported, Verdict.contradicted}
        return Beside.agrees if other is self.verdict else Beside.disagrees if opposed else Beside.unclear


def by_other_metrics(look: Look, records: Sequence[Record], why: Mapping[str, str]) -> Iterator[View]:
    part = look.part.contrast
    if part.kind not in OF_MEANS or part.metric not in METRICS:
        return
    for name in METRICS:
        lossy = not metric(name).higher_is_better
        if name == part.metric or name in why or (lossy and not losses_compare(records, part.cells)):
            continue
        turned = metric(name).higher_is_better != metric(part.metric).higher_is_better
        direction = OPPOSITE[part.direction] if turned else part.direction
        other = replace(part, metric=name, direction=direction, margin=None, relative=False)
        yield from look.at(metric(name).label, other, records)


def without_each_seed(look: Look, records: Sequence[Record]) -> Iterator[View]:
    """Leaving out one seed: whether the mean stays on its side of zero and of the margin."""
    part = look.part.contrast
    whole = look.found(part, records)
    seeds = sorted({pair(record) for record in records})
    if whole is None or len(seeds) < 3:
        return
    for seed in seeds:
        found = look.found(part, [record for record in records if pair(record) != seed])
        if found is not None and found.effect.seeds != whole.effect.seeds:
            same = region(found, look.verdict) == region(whole, look.verdict)
            yield View(f"leaving out seed {seed}", Beside.agrees if same else Beside.disagrees, seed)


def region(found: Tested, verdict: Verdict) -> tuple[bool, ...]:
    """Where the mean lies, as far as it matters for the verdict."""
    mean, margin, part = oriented(found.effect, found.part).mean, found.margin, found.part
    if part.kind in (Kind.in_range, Kind.exponent):
        return part.low is None or mean >= part.low, part.high is None or mean <= part.high
    if part.kind is Kind.at_least_as_good:
        return (mean > -margin,)
    if part.kind is Kind.no_difference or verdict is Verdict.negligible:
        return (abs(mean) < margin,)
    return mean > 0, abs(mean) > margin


def other_budgets(part: Contrast, study: Study) -> Iterator[tuple[object, Contrast]]:
    """The same contrast after other numbers of updates, where a factor of the study sets them."""
    factor = budget_factor(study)
    if factor is None or factor == part.factor:
        return
    levels = study.factors[factor]
    for level, overrides in levels.items():
        mine, others = f",{factor}={level}", [f",{factor}={each}" for each in levels if each != level]
        here = next((each for each in others if all(f"{each}," in f"{cell}," for cell in part.cells)), None)
        if here is not None:
            yield overrides[BUDGET], moved(part, here, mine)


def moved(part: Contrast, here: str, there: str) -> Contrast:
    """The contrast of the same variants at another level."""

    def cell(name: str) -> str:
        return f"{name},".replace(f"{here},", f"{there},").removesuffix(",")

    return replace(
        part,
        variant=cell(part.variant),
        baseline=part.baseline and cell(part.baseline),
        than=part.than and (cell(part.than[0]), cell(part.than[1])),
    )
