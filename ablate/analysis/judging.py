"""Judge claims: the runs that a claim is about, the effect that they show, and the verdict that follows."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import stdev

from ablate.analysis.effects import Comparison, compare, lost_seeds, mean_of, of_cell, values
from ablate.analysis.estimators import Estimator, Outcomes, counts
from ablate.analysis.measured import unmeasured
from ablate.analysis.metrics import Known, Record, check_metrics, metric
from ablate.analysis.statistics import Effect, Interval, seeds_needed
from ablate.analysis.verdicts import (
    ALPHA,
    Verdict,
    at_least_as_good,
    directional,
    in_range,
    no_difference,
    several,
    share_learned,
)
from ablate.study import Claim, Contrast, Direction, Kind, Study

SURVIVORS = "conditional on survival, decides nothing alone"


@dataclass(frozen=True)
class Judgement:
    """The verdict on one contrast. The effect is variant - baseline, or the value of one variant; nan where unknown."""

    contrast: Contrast
    verdict: Verdict | None  # None: not tested or not measured here
    effect: float
    low: float
    high: float
    seeds: int
    p: float  # adjusted for several comparisons, or that of the shares
    more_seeds: int | None
    note: str  # what limits the verdict; may be empty
    measured: bool = True  # False: the metric measures nothing in this setting, which no other command would change


@dataclass(frozen=True)
class ClaimVerdict:
    claim: Claim
    verdict: Verdict | None
    parts: tuple[Judgement, ...]
    command: str | None  # what would test it, where it was not tested and a command would

    @property
    def measured(self) -> bool:
        """False where there is no verdict because a metric measures nothing here, and for no other reason."""
        lacking = [part for part in self.parts if part.verdict is None]
        return self.verdict is not None or not lacking or any(part.measured for part in lacking)

    @property
    def unmeasured(self) -> dict[str, str]:
        """Metric -> why it measures nothing here, of the contrasts that speak of such a one."""
        return {part.contrast.metric: part.note for part in self.parts if not part.measured}

    @property
    def only(self) -> Judgement | None:
        """The contrast of a claim that has a single one. Several contrasts have no effect in common."""
        return self.parts[0] if len(self.parts) == 1 else None


def judge_all(
    study: Study,
    records: Sequence[Record],
    command: str,
    estimator: Estimator,
    why: Mapping[str, str] | None = None,
) -> list[ClaimVerdict]:
    """Judge every claim of a study that `command` ran. Raises BadInput for a metric that does not exist.

    Where the number of seeds depends on earlier results, `estimator` must be `ANYTIME`. `why` says which metrics
    measure nothing in the setting (`ablate.analysis.measured`); None finds it out from `records`.
    """
    check_metrics(study)
    why = unmeasured(records) if why is None else why
    return [judge(claim, study, records, command, estimator, why) for claim in study.claims]


def judge(
    claim: Claim,
    study: Study,
    records: Sequence[Record],
    command: str,
    estimator: Estimator,
    why: Mapping[str, str] | None = None,
) -> ClaimVerdict:
    why = unmeasured(records) if why is None else why
    cells = {cell.name for cell in study.cells()}
    parts = tuple(
        untested(part, f"this setting has no {' and no '.join(absent)}")
        if (absent := [name for name in part.cells if name not in cells])
        else replace(untested(part, why[part.metric]), measured=False)
        if part.metric in why
        else explained(KINDS[part.kind](part, study, records, estimator), records)
        for part in claim.parts
    )
    verdict = several(part.verdict for part in parts) if len(parts) > 1 else parts[0].verdict if parts else None
    found = ClaimVerdict(claim, verdict, parts, None)
    if verdict is not None or not found.measured:
        return found
    if claim.command:
        return replace(found, command=carried_over(claim.command, command))
    if any(cell not in cells for part in parts for cell in part.contrast.cells):  # this preset has other levels
        return replace(found, command=without_preset(command))
    lacking = any(is_unfinished(records, cell) for part in parts for cell in part.contrast.cells)
    return replace(found, command=command if lacking else None)


def is_unfinished(records: Sequence[Record], cell: str) -> bool:
    """Whether the same command would train runs of a cell: it has none, or some that failed."""
    runs = of_cell(records, cell)
    return not runs or any(run["status"] == "failed" for run in runs)


def explained(found: Judgement, records: Sequence[Record]) -> Judgement:
    """A judgement that found nothing to compare says so where the reason is that every run of a cell diverged."""
    lost = [cell for cell in found.contrast.cells if has_diverged(of_cell(records, cell))]
    if found.verdict is not None or not lost:
        return found
    return replace(found, note=f"every run of {' and of '.join(lost)} diverged, which more seeds will hardly change")


def has_diverged(runs: Sequence[Record]) -> bool:
    return bool(runs) and all(run["status"] == "diverged" for run in runs)


def without_preset(command: str) -> str | None:
    """The command at the default size; None where it is at that size already."""
    words = shlex.split(command)
    kept = [word for word in words if not word.startswith("preset=")]
    return shlex.join(kept) if len(kept) < len(words) else None


def carried_over(wanted: str, ran: str) -> str:
    """The command that would test a claim, in the setting of the command that was run: on its corpus, at its size."""

    def key(word: str) -> str:
        return word.lstrip("+~").partition("=")[0]

    given = {key(word) for word in shlex.split(wanted)} | {"sweep", "seeds"}
    return shlex.join([*shlex.split(wanted), *(word for word in shlex.split(ran)[3:] if key(word) not in given)])


def judge_directional(part: Contrast, study: Study, records: Sequence[Record], estimator: Estimator) -> Judgement:
    found = comparison(part, study, records, estimator)
    verdict = directional(oriented(found.effect, part), found.p_holm, found.margin)
    return of_comparison(part, found, verdict, found.more_seeds)


def judge_at_least_as_good(part: Contrast, study: Study, records: Sequence[Record], estimator: Estimator) -> Judgement:
    found = comparison(part, study, records, estimator)
    effect = oriented(found.effect, part)
    need = seeds_needed(effect.spread, effect.seeds, abs(effect.mean + found.margin), estimator.half_width)
    return of_comparison(part, found, at_least_as_good(effect, found.margin), need)


def judge_no_difference(part: Contrast, study: Study, records: Sequence[Record], estimator: Estimator) -> Judgement:
    found = comparison(part, study, records, estimator)
    effect = found.effect
    need = seeds_needed(effect.spread, effect.seeds, abs(found.margin - abs(effect.mean)), estimator.half_width)
    return of_comparison(part, found, no_difference(effect, found.margin), need)


def judge_share_learned(part: Contrast, study: Study, records: Sequence[Record], estimator: Estimator) -> Judgement:
    assert part.baseline is not None
    baseline, variant = (outcomes(records, cell) for cell in (part.baseline, part.variant))
    effect = estimator.shares(baseline, variant)
    if effect.seeds == 0:
        return untested(part, "no run of one arm says whether it learned")
    verdict = share_learned(oriented(effect, part))
    note = ", ".join(
        f"{cell}: {learned} of {n} learned [{share.low:.0%}, {share.high:.0%}]"
        for cell, arm in ((part.variant, variant), (part.baseline, baseline))
        for (learned, n), share in [(counts(arm), estimator.share(arm))]
    )
    if verdict is Verdict.unresolved and not decidable(baseline, variant, estimator):
        note += f"; {len(variant)} against {len(baseline)} runs are too few to show any difference"
    need = estimator.runs_needed(baseline, variant) if verdict is Verdict.unresolved else None
    return Judgement(part, verdict, effect.mean, effect.low, effect.high, effect.seeds, effect.p, need, note)


def decidable(baseline: Outcomes, variant: Outcomes, estimator: Estimator) -> bool:
    """Whether arms of these sizes could be told apart if all of one learned and none of the other."""
    return estimator.shares(dict.fromkeys(baseline, 0), dict.fromkeys(variant, 1)).p < ALPHA


def judge_in_range(part: Contrast, study: Study, records: Sequence[Record], estimator: Estimator) -> Judgement:
    measure, runs = metric(part.metric), of_cell(records, part.variant)
    found = list(values(runs, measure).values())
    if not found:
        return untested(part, f"no run of {part.variant} has this number")
    interval = mean_of(runs, measure, estimator)
    if measure.known is Known.counted:
        interval = Interval(interval.mean, min(found), max(found), len(found))
    verdict, note = in_range(interval.low, interval.high, part.low, part.high), ""
    if lost_seeds(runs, measure) and verdict is not Verdict.unresolved:
        verdict, note = Verdict.unresolved, SURVIVORS
    need = None
    if verdict is Verdict.unresolved and not note and len(found) > 1:
        distance = min(abs(interval.mean - end) for end in (part.low, part.high) if end is not None)
        need = seeds_needed(stdev(found), len(found), distance, estimator.half_width) or None
    return Judgement(part, verdict, interval.mean, interval.low, interval.high, interval.n, math.nan, need, note)


def comparison(part: Contrast, study: Study, records: Sequence[Record], estimator: Estimator) -> Comparison:
    assert part.baseline is not None
    return compare(study, records, part.metric, part.variant, part.baseline, estimator, part.margin, part.than)


def oriented(effect: Effect, part: Contrast) -> Effect:
    """The effect, with its sign changed where the claim predicts a negative one."""
    if part.direction is Direction.higher:
        return effect
    return replace(effect, mean=-effect.mean, low=-effect.high, high=-effect.low)


def of_comparison(part: Contrast, found: Comparison, verdict: Verdict, need: int | None) -> Judgement:
    """A difference among survivors alone decides nothing, whichever way it points."""
    if not found.arms.seeds:
        return untested(part, "no pair of runs has this number")
    note = (
        f"pairs across devices or precisions left out: seeds {', '.join(map(str, found.arms.mixed))}"
        if found.arms.mixed
        else ""
    )
    if found.conditional:
        verdict, need, note = Verdict.unresolved, None, SURVIVORS
    need = (need or None) if verdict is Verdict.unresolved else None
    effect = found.effect
    return Judgement(part, verdict, effect.mean, effect.low, effect.high, effect.seeds, found.p_holm, need, note)


def untested(part: Contrast, note: str) -> Judgement:
    return Judgement(part, None, math.nan, math.nan, math.nan, 0, math.nan, None, note)


def outcomes(records: Sequence[Record], cell: str) -> Outcomes:
    """Seed -> whether that run of a cell learned. Runs that failed and runs of no updates are left out."""
    return values(of_cell(records, cell), metric("learned"))


def shares(records: Sequence[Record], cell: str) -> tuple[int, int]:
    """How many runs of a cell learned, and of how many this is known."""
    return counts(outcomes(records, cell))


KINDS: dict[Kind, Callable[[Contrast, Study, Sequence[Record], Estimator], Judgement]] = {
    Kind.directional: judge_directional,
    Kind.at_least_as_good: judge_at_least_as_good,
    Kind.no_difference: judge_no_difference,
    Kind.share_learned: judge_share_learned,
    Kind.in_range: judge_in_range,
}  # Kind.several is a claim of several parts, each of one of these
