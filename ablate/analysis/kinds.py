"""The kinds of claims: how the contrast of each is estimated, and which rule makes its verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import stdev

import numpy as np

from ablate.analysis.effects import Arms, Comparison, arms, compare, effect_of, lost_seeds, of_cell, values
from ablate.analysis.estimators import ANYTIME, Estimator, Outcomes, counts
from ablate.analysis.metrics import Known, Metric, Record, metric
from ablate.analysis.quality import BITS, BLEU, LOSS, LOSSES, OPPOSITE, Beside, beside, losses_compare
from ablate.analysis.stability import LEAST, ratio_of_arms, ratio_of_pairs
from ablate.analysis.statistics import Effect, seeds_needed
from ablate.analysis.trends import cells_of, exponent, levels_of, rise
from ablate.analysis.verdicts import (
    ALPHA,
    Verdict,
    at_least_as_good,
    by_test,
    directional,
    in_range,
    no_difference,
)
from ablate.study import Contrast, Direction, Kind, Study

LEAST_SEEDS = 5  # of either arm: fewer decide no claim, for a spread of so few is now and then absurdly narrow
SURVIVORS = "conditional on survival, decides nothing alone"


@dataclass(frozen=True)
class Tested:
    """What the test of one contrast found, before the verdict, which depends on the other contrasts of the study."""

    part: Contrast
    effect: Effect  # as the contrast is written, with the 95 % interval
    wide: Effect  # the same with the interval that allows for the other contrasts of the claim
    margin: float = 0.0
    need: int | None = None  # more seeds
    note: str = ""
    conditional: bool = False  # on survival, so that it decides nothing
    bleu: Effect | None = None  # the same difference in BLEU, where the test loss decides; with the wide interval
    bleu_margin: float = 0.0
    never_more: bool = False  # whether more seeds are never asked for

    @property
    def has_p(self) -> bool:
        return self.part.kind not in WITHOUT_P

    @property
    def too_few(self) -> bool:
        """Whether there are fewer seeds than a claim takes. Counted numbers, which have no chance in them, take one."""
        return self.effect.seeds < LEAST_SEEDS and metric(self.part.metric).known is not Known.counted

    @property
    def needed(self) -> int | None:
        """How many more seeds it takes, at least as many as a claim does; None where none would help."""
        if self.never_more:
            return None
        least = LEAST_SEEDS - self.effect.seeds if self.too_few else 0
        return max(self.need or 0, least) if self.need is not None or least else None

    @property
    def p(self) -> float:
        """Before any correction; nan where there is none."""
        return self.effect.p if self.has_p and not self.conditional else math.nan

    def verdict(self, p: float, strict: bool = False) -> Verdict:
        """`p` is adjusted; a strict verdict allows for the other contrasts of the claim."""
        if self.conditional or self.too_few:
            return Verdict.unresolved
        effect, wide = (oriented(each, self.part) for each in (self.effect, self.wide if strict else self.effect))
        found = RULES[self.part.kind](self, effect, wide, p)
        return Verdict.unresolved if self.says_bleu(found) is Beside.disagrees else found

    def says_bleu(self, verdict: Verdict | None) -> Beside | None:
        """What BLEU says of a verdict by the test loss; None where the loss does not decide."""
        if self.bleu is None or verdict is None:
            return None
        turned = replace(self.part, direction=OPPOSITE[self.part.direction])
        return beside(self.part.kind, verdict, oriented(self.bleu, turned), self.bleu_margin)

    @property
    def split(self) -> bool:
        """Whether BLEU disagrees with what the test loss says, whatever p."""
        if self.conditional or self.bleu is None:
            return False
        effect, wide = (oriented(each, self.part) for each in (self.effect, self.wide))
        return self.says_bleu(RULES[self.part.kind](self, effect, wide, self.effect.p)) is Beside.disagrees


Found = Tested | str  # a string says why the contrast is not tested
WITHOUT_P = (Kind.at_least_as_good, Kind.no_difference, Kind.in_range, Kind.exponent)
RULES: dict[Kind, Callable[[Tested, Effect, Effect, float], Verdict]] = {
    Kind.directional: lambda found, effect, wide, p: directional(effect, p, found.margin, wide),
    Kind.at_least_as_good: lambda found, effect, wide, p: at_least_as_good(wide, found.margin),
    Kind.no_difference: lambda found, effect, wide, p: no_difference(wide, found.margin),
    Kind.share_trained: lambda found, effect, wide, p: by_test(effect, p),
    Kind.share_learned: lambda found, effect, wide, p: by_test(effect, p),
    Kind.in_range: lambda found, effect, wide, p: in_range(wide.low, wide.high, found.part.low, found.part.high),
    Kind.stability: lambda found, effect, wide, p: by_test(effect, p),
    Kind.trend: lambda found, effect, wide, p: directional(effect, p, found.margin, wide),
    Kind.exponent: lambda found, effect, wide, p: in_range(wide.low, wide.high, found.part.low, found.part.high),
}


def oriented(effect: Effect, part: Contrast) -> Effect:
    """The effect, with its sign changed where the claim predicts a negative one."""
    if part.direction is Direction.higher:
        return effect
    return replace(effect, mean=-effect.mean, low=-effect.high, high=-effect.low)


def tested(part: Contrast, study: Study, records: Sequence[Record], estimator: Estimator, level: float) -> Found:
    """What the test of a contrast finds; `level` is that of the wide interval."""
    return TESTS[part.kind](part, study, records, estimator, level)


def of_difference(part: Contrast, study: Study, records: Sequence[Record], estimator: Estimator, level: float) -> Found:
    found, wide = (difference(part, records, estimator, each) for each in (0.95, level))
    if not found.arms.seeds:
        return "no pair of runs has this number"
    if part.metric in LOSSES and not losses_compare(records, part.cells, part.metric == BITS):
        return "label smoothing or the vocabulary differs, so losses do not rank these"
    need = None
    if found.effect.seeds > 1 and metric(part.metric).known is not Known.counted:
        wanted = estimator.needed(found.margin or abs(found.effect.mean), found.expected)
        need = None if wanted is None else max(wanted - found.effect.seeds, 0)
    note = SURVIVORS if found.conditional else mixed(found.arms)
    tested = Tested(part, found.effect, wide.effect, found.margin, need, note, found.conditional)
    if part.metric != LOSS:
        return tested
    by_bleu = replace(part, metric=BLEU, margin=part.bleu_margin, relative=False)
    bleu = difference(by_bleu, records, estimator, level)
    return replace(tested, bleu=bleu.effect, bleu_margin=bleu.margin)


def difference(part: Contrast, records: Sequence[Record], estimator: Estimator, level: float = 0.95) -> Comparison:
    """The contrast's difference of means, with its margin in the metric's unit."""
    assert part.baseline is not None
    margin = None if part.relative else part.margin
    found = compare(records, part.metric, part.variant, part.baseline, estimator, margin, part.than, level)
    if not part.relative or part.margin is None:
        return found
    base = arms(records, metric(part.metric), part.variant, part.baseline).baseline
    return replace(found, margin=part.margin * abs(float(base.mean())) if len(base) else 0.0)


def mixed(pairs: Arms) -> str:
    seeds = ", ".join(map(str, pairs.mixed))
    return f"pairs across devices or precisions left out: seeds {seeds}" if seeds else ""


def of_shares(part: Contrast, study: Study, records: Sequence[Record], estimator: Estimator, level: float) -> Found:
    assert part.baseline is not None
    did = "trained" if part.metric == "trained" else "learned"
    baseline, variant = (outcomes(records, cell, part.metric) for cell in (part.baseline, part.variant))
    effect, wide = (estimator.shares(baseline, variant, each) for each in (0.95, level))
    if effect.seeds == 0:
        return f"no run of one arm says whether it {did}"
    note = ", ".join(
        f"{cell}: {count} of {n} {did} [{share.low:.0%}, {share.high:.0%}]"
        for cell, arm in ((part.variant, variant), (part.baseline, baseline))
        for (count, n), share in [(counts(arm), estimator.share(arm))]
    )
    if not decidable(baseline, variant, estimator):
        note += f"; {len(variant)} against {len(baseline)} runs are too few to show any difference"
    return Tested(part, effect, wide, 0.0, estimator.runs_needed(baseline, variant), note)


def outcomes(records: Sequence[Record], cell: str, name: str = "learned") -> Outcomes:
    """Seed -> whether that run of a cell learned, or trained. Runs that failed and runs of no updates are left out."""
    return values(of_cell(records, cell), metric(name))


def decidable(baseline: Outcomes, variant: Outcomes, estimator: Estimator) -> bool:
    """Whether arms of these sizes could be told apart if all of one did it and none of the other."""
    return bool(estimator.shares(dict.fromkeys(baseline, 0), dict.fromkeys(variant, 1)).p < ALPHA)


def of_value(part: Contrast, study: Study, records: Sequence[Record], estimator: Estimator, level: float) -> Found:
    measure, runs = metric(part.metric), of_cell(records, part.variant)
    found = list(values(runs, measure).values())
    if not found:
        return f"no run of {part.variant} has this number"
    return of_range(part, np.array(found), measure, bool(lost_seeds(runs, measure)), estimator, level)


def of_range(
    part: Contrast, found: np.ndarray, measure: Metric, conditional: bool, estimator: Estimator, level: float
) -> Tested:
    """A mean over seeds, and where it lies; counted numbers need one seed and have no chance in them."""
    plain, need = estimator.interval(found), None
    mean, ends = plain.mean, [(each.low, each.high) for each in (plain, estimator.interval(found, level))]
    if measure.known is Known.counted:
        ends = [(float(found.min()), float(found.max()))] * 2
    if not conditional and len(found) > 1:
        distance = min(abs(mean - end) for end in (part.low, part.high) if end is not None)
        need = seeds_needed(stdev(found.tolist()), len(found), distance, estimator.half_width) or None
    effect, wide = (Effect(mean, low, high, math.nan, len(found)) for low, high in ends)
    return Tested(part, effect, wide, 0.0, need, SURVIVORS if conditional else "", conditional)


def of_spread(part: Contrast, study: Study, records: Sequence[Record], estimator: Estimator, level: float) -> Found:
    """Stability: which arm's runs are more spread. The effect is the logarithm of a ratio of variances."""
    assert part.baseline is not None
    if estimator.name == ANYTIME.name:
        return "no test of a ratio of variances is valid at every look"
    measure = metric(part.metric)
    pairs = arms(records, measure, part.variant, part.baseline)
    sides = [np.array(list(values(of_cell(records, cell), measure).values())) for cell in (part.baseline, part.variant)]
    if len(pairs.seeds) >= LEAST:
        effect, wide = (ratio_of_pairs(pairs.baseline, pairs.variant, each) for each in (0.95, level))
    else:
        effect = wide = ratio_of_arms(*sides)
    if math.isnan(effect.mean):
        return f"it takes {LEAST} runs of either arm with different values"
    return Tested(part, effect, wide, 0.0, None, SURVIVORS if pairs.lost else mixed(pairs), bool(pairs.lost))


def over_levels(part: Contrast, study: Study, records: Sequence[Record]) -> tuple[Arms, np.ndarray] | str:
    """Values [level, seed] of a variant, or of its difference from the baseline, for the seeds that all levels have."""
    if part.factor not in study.factors:
        return f"this setting has no factor {part.factor}"
    measure = metric(part.metric)
    names = [cells_of(study, name, part.factor) for name in (part.variant, part.baseline) if name is not None]
    if min(map(len, names)) < 2 or len({len(each) for each in names}) > 1:
        return f"this setting has too few levels of {part.factor}"
    lost: set[int] = set()
    levels: list[dict[int, float]] = []
    for cells in zip(*names):
        if len(cells) == 2:
            pairs = arms(records, measure, *cells)
            levels.append(dict(zip(pairs.seeds, (pairs.variant - pairs.baseline).tolist())))
            lost |= set(pairs.lost)
        else:
            levels.append(values(of_cell(records, cells[0]), measure))
            lost |= lost_seeds(of_cell(records, cells[0]), measure)
    seeds = sorted(set.intersection(*(set(each) for each in levels)))
    if not seeds:
        return "no seed has this number at every level"
    found = np.array([[each[seed] for seed in seeds] for each in levels])
    return Arms(tuple(seeds), np.zeros(len(seeds)), np.zeros(len(seeds)), tuple(sorted(lost)), ()), found


def of_trend(part: Contrast, study: Study, records: Sequence[Record], estimator: Estimator, level: float) -> Found:
    """A linear contrast over the levels: the change from the first to the last, seed by seed."""
    found = over_levels(part, study, records)
    if isinstance(found, str):
        return found
    empty, measured = found
    pairs, measure = replace(empty, variant=rise(measured)), metric(part.metric)
    effect, wide = (effect_of(pairs, measure, estimator, None, each) for each in (0.95, level))
    first = part.variant if part.baseline is None else part.baseline
    at_first = values(of_cell(records, cells_of(study, first, str(part.factor))[0]), measure)
    size = abs(float(np.mean(list(at_first.values()))))
    margin = measure.margin_at(size) if part.margin is None else part.margin * (size if part.relative else 1)
    wanted = estimator.needed(margin or abs(effect.mean), effect.spread)
    need = None if wanted is None else max(wanted - effect.seeds, 0)
    return Tested(part, effect, wide, margin, need, SURVIVORS if pairs.lost else "", bool(pairs.lost))


def of_exponent(part: Contrast, study: Study, records: Sequence[Record], estimator: Estimator, level: float) -> Found:
    """The slope of log value over log level, seed by seed."""
    found = over_levels(part, study, records)
    if isinstance(found, str):
        return found
    assert part.factor is not None
    (pairs, measured), levels = found, levels_of(study, part.factor)
    if not (np.all(measured > 0) and all(isinstance(each, int | float) and each > 0 for each in levels)):
        return "an exponent takes levels and values above 0"
    return of_range(part, exponent(levels, measured), metric(part.metric), bool(pairs.lost), estimator, level)


TESTS: dict[Kind, Callable[[Contrast, Study, Sequence[Record], Estimator, float], Found]] = {
    Kind.directional: of_difference,
    Kind.at_least_as_good: of_difference,
    Kind.no_difference: of_difference,
    Kind.share_trained: of_shares,
    Kind.share_learned: of_shares,
    Kind.in_range: of_value,
    Kind.stability: of_spread,
    Kind.trend: of_trend,
    Kind.exponent: of_exponent,
}  # Kind.several is a claim of several parts, each of one of these
