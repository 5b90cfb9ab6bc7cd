"""Judge claims: the runs that a claim is about, the effect that they show, and the verdict that follows."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ablate.analysis.effects import of_cell
from ablate.analysis.estimators import Estimator, counts
from ablate.analysis.kinds import Tested, outcomes, tested
from ablate.analysis.measured import unmeasured
from ablate.analysis.metrics import Record, check_metrics
from ablate.analysis.quality import Beside, decided
from ablate.analysis.verdicts import ALPHA, Verdict, is_small, several
from ablate.study import Claim, Contrast, Pairs, Study


@dataclass(frozen=True)
class Judgement:
    """The verdict on one contrast. The effect is variant - baseline, or the value of one variant; nan where unknown."""

    contrast: Contrast
    verdict: Verdict | None  # None: not tested or not measured here
    effect: float
    low: float
    high: float
    seeds: int
    p: float  # adjusted for the other claims; of one of several contrasts, as far as its verdict is
    more_seeds: int | None
    note: str  # what limits the verdict; may be empty
    earlier: bool = False  # True: of a claim that was judged under earlier rules, so that it has no verdict of its own
    margin: float = 0.0  # in the metric's unit
    bleu: Beside | None = None  # what BLEU says, where the test loss decides
    measured: bool = True  # False: the metric measures nothing in this setting, which no other command would change

    @property
    def is_small(self) -> bool:
        """Whether there is a difference, and it is smaller than the margin."""
        return is_small(self.low, self.high, self.margin)


@dataclass(frozen=True)
class View:
    """Another way to look at a contrast, and whether it agrees with the verdict."""

    way: str
    says: Beside
    seed: int | None = None  # that was left out


@dataclass(frozen=True)
class ClaimVerdict:
    claim: Claim
    verdict: Verdict | None
    parts: tuple[Judgement, ...]
    command: str | None  # what would test it, where it was not tested and a command would
    earlier: bool = False  # whether the verdict is that of a report under earlier rules
    views: tuple[View, ...] = ()  # of all contrasts
    one_rate: bool = False  # whether it is about quality, and was tested at one learning rate that may suit one arm

    @property
    def fragile(self) -> list[int]:
        """Seeds without any one of which a mean would be on another side of zero or of the margin."""
        if self.verdict in (None, Verdict.unresolved):
            return []
        return sorted({view.seed for view in self.views if view.seed is not None and view.says is Beside.disagrees})

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
    def is_small(self) -> bool:
        """Whether the only contrast shows a difference that is smaller than the margin."""
        return self.only is not None and self.only.is_small

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
    found = [
        Evidence(claim, tuple(parts_of(claim, study, records, estimator, why)), estimator) for claim in study.claims
    ]
    entries = [each.entry for each in found]
    return [
        advised(each.judged(Family(entries, place, estimator), records), study, records, command)
        for place, each in enumerate(found)
    ]


def judge(
    claim: Claim,
    study: Study,
    records: Sequence[Record],
    command: str,
    estimator: Estimator,
    why: Mapping[str, str] | None = None,
) -> ClaimVerdict:
    """Judge a claim as if the study had no other."""
    return judge_all(replace(study, claims=(claim,)), records, command, estimator, why)[0]


def parts_of(
    claim: Claim, study: Study, records: Sequence[Record], estimator: Estimator, why: Mapping[str, str]
) -> Iterator[Tested | Judgement]:
    """What was found of each contrast of a claim; a judgement without a verdict where nothing could be."""
    level = 1 - ALPHA / max(len(claim.parts), 1)
    for part in (decided(each, records, why) for each in claim.parts):
        if absent := [name for name in part.cells if name not in study.names(part.factor)]:
            yield untested(part, f"this setting has no {' and no '.join(absent)}")
        elif part.metric in why:
            yield replace(untested(part, why[part.metric]), measured=False)
        else:
            found = tested(part, study, records, estimator, level)
            if isinstance(found, Tested) and study.pairs is Pairs.halves:  # more would end in a false alarm
                found = replace(found, never_more=True)
            yield untested(part, found) if isinstance(found, str) else found


@dataclass(frozen=True)
class Family:
    """The p values of a study's claims, and the place of one of them."""

    entries: Sequence[float | None]  # None: a claim without a p
    place: int
    estimator: Estimator

    def adjusted(self, p: float) -> float:
        """What this p of the claim counts for among the other claims."""
        others = [each for place, each in enumerate(self.entries) if place != self.place and each is not None]
        return float(self.estimator.adjusted([p, *others])[0])


@dataclass(frozen=True)
class Evidence:
    """What was found of each contrast of a claim."""

    claim: Claim
    parts: tuple[Tested | Judgement, ...]
    estimator: Estimator

    @property
    def tested(self) -> list[Tested]:
        return [part for part in self.parts if isinstance(part, Tested)]

    @property
    def entry(self) -> float | None:
        """The p with which the claim counts among those of the study: the largest of its contrasts.

        None where no contrast has one. One that is not known counts as 1.
        """
        p_values = [part.p for part in self.tested if part.has_p]
        return max((1.0 if math.isnan(p) else p for p in p_values), default=None)

    def judged(self, family: Family, records: Sequence[Record]) -> ClaimVerdict:
        """The verdict on the claim, and on each contrast."""
        raw = [part.p if isinstance(part, Tested) else math.nan for part in self.parts]
        adjusted = [family.adjusted(float(p)) for p in self.estimator.adjusted(raw)]
        strict = [
            part.verdict(p, strict=True) if isinstance(part, Tested) else None for part, p in zip(self.parts, adjusted)
        ]
        if len(self.parts) < 2:
            verdict, each, p_values = (strict[0] if strict else None), strict, adjusted
        else:
            alone = [part.verdict(p) if isinstance(part, Tested) else None for part, p in zip(self.parts, raw)]
            verdict = self.together(alone, strict, family)
            each, p_values = (alone, raw) if verdict is Verdict.supported else (strict, adjusted)
        parts = tuple(judgement(part, word, p, records) for part, word, p in zip(self.parts, each, p_values))
        return ClaimVerdict(self.claim, verdict, parts, None)

    def together(
        self, alone: Sequence[Verdict | None], strict: Sequence[Verdict | None], family: Family
    ) -> Verdict | None:
        """The verdict on a conjunction, whose p among the claims is the largest of its contrasts."""
        found = several(alone, strict)
        if found is Verdict.supported and self.entry is not None and not family.adjusted(self.entry) < ALPHA:
            return Verdict.unresolved
        return found


def judgement(part: Tested | Judgement, verdict: Verdict | None, p: float, records: Sequence[Record]) -> Judgement:
    if isinstance(part, Judgement):
        return explained(part, records)
    effect, unresolved = part.effect, verdict is Verdict.unresolved
    bleu = Beside.disagrees if part.split else None if unresolved else part.says_bleu(verdict)
    return Judgement(
        part.part,
        verdict,
        effect.mean,
        effect.low,
        effect.high,
        effect.seeds,
        p,
        part.needed if unresolved and not (part.conditional or part.split) else None,
        "; ".join(text for text in (part.note, f"BLEU {bleu.value}" if bleu else "") if text),
        margin=part.margin,
        bleu=bleu,
    )


def advised(found: ClaimVerdict, study: Study, records: Sequence[Record], command: str) -> ClaimVerdict:
    """The verdict with the command that would test the claim, where it was not tested."""
    if found.verdict is not None or not found.measured:
        return found
    if found.claim.command:
        return replace(found, command=carried_over(found.claim.command, command))
    wanted = [(part.contrast.factor, cell) for part in found.parts for cell in part.contrast.cells]
    if any(cell not in study.names(factor) for factor, cell in wanted):  # this preset has other levels
        return replace(found, command=without_preset(command))
    lacking = any(is_unfinished(records, cell) for factor, cell in wanted if factor is None)
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


def untested(part: Contrast, note: str) -> Judgement:
    return Judgement(part, None, math.nan, math.nan, math.nan, 0, math.nan, None, note)


def shares(records: Sequence[Record], cell: str, name: str = "learned") -> tuple[int, int]:
    """How many runs of a cell learned, or trained, and of how many this is known."""
    return counts(outcomes(records, cell, name))
