"""From records to effects: differences between runs with the same seed, and how many more seeds they call for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ablate.analysis.estimators import FIXED, Estimator
from ablate.analysis.metrics import Known, Metric, Record, metric
from ablate.analysis.moderated import Prior
from ablate.analysis.noise import Noise, budget_of, mark, references_of
from ablate.analysis.statistics import Effect, Interval
from ablate.analysis.verdicts import Reading, is_small, reading
from ablate.study import HALVES, Study, matched_in


@dataclass(frozen=True)
class Arms:
    """Two cells side by side, matched by seed. Arrays are [seed]; only seeds with both values are in them."""

    seeds: tuple[int, ...]
    baseline: np.ndarray
    variant: np.ndarray
    lost: tuple[int, ...]  # seeds with a run, in either arm, that did not finish and so has no value
    mixed: tuple[int, ...]  # seeds whose two runs had different devices or precisions: they are left out


@dataclass(frozen=True)
class Comparison:
    """A variant compared with its baseline by one metric. The effect is variant - baseline.

    For an interaction the two arms are differences themselves.
    """

    metric: str
    variant: str
    baseline: str
    arms: Arms
    effect: Effect
    p_holm: float  # adjusted over the rows of its table, by the estimator's correction; that of the effect where alone
    margin: float
    reading: Reading
    estimator: Estimator  # that made the effect
    expected: float  # standard deviation to expect of the difference: the noise library's, or the one observed
    than: tuple[str, str] | None = None  # (variant, baseline) of the difference that this one is compared with

    @property
    def conditional(self) -> bool:
        """Whether some run did not finish, so that the mean difference is over the surviving seeds only."""
        return bool(self.arms.lost)

    @property
    def more_seeds(self) -> int | None:
        """How many more seeds detect a difference as large as the margin with 80 % power; None where none would help.

        Without a margin it is the difference that was seen.
        """
        if self.reading is not Reading.unresolved or self.conditional or self.effect.seeds < 2:
            return None
        wanted = self.estimator.needed(self.margin or abs(self.effect.mean), self.expected)
        return None if wanted is None else max(wanted - self.effect.seeds, 0)

    @property
    def is_small(self) -> bool:
        """Whether there is a difference, and it is smaller than the margin."""
        return is_small(self.effect.low, self.effect.high, self.margin)


def of_cell(records: Iterable[Record], cell: str) -> list[Record]:
    return [record for record in records if record["variant"] == cell]


def values(records: Iterable[Record], measure: Metric) -> dict[int, float]:
    """Seed, or pair of halves -> value, of the runs of one cell that have one, in the order of seeds."""
    usable = [record for record in records if measure.known is not Known.finished or trained(record)]
    found = {pair(record): measure.value(record) for record in sorted(usable, key=pair)}
    return {seed: value for seed, value in found.items() if value is not None}


def mean_of(records: Iterable[Record], measure: Metric, estimator: Estimator) -> Interval:
    """The mean over the runs of one cell, with its interval. Counted numbers have none that depends on looks."""
    found = list(values(records, measure).values())
    return (FIXED if measure.known is Known.counted else estimator).interval(found)


def pair(record: Record) -> int:
    """The number that both runs of a pair share: their seed, or the first one's seed where two halves are compared."""
    return int(record.get("pair", record["seed"]))


def halved(runs: Sequence[Record], seeds: int, first_seed: int = 0) -> list[dict[str, Any]]:
    """Split the 2n runs of one variant into two halves: seed n + i of the second is paired with seed i of the first.

    Seeds begin at `first_seed`, and a pair is called by its lower seed. A study of one variant against itself is
    analysed like this. No other pairs have different seeds.
    """
    n = seeds // 2
    return [
        {**run, "variant": HALVES[place // n], "pair": first_seed + place % n}
        for run in runs
        for place in [run["seed"] - first_seed]
    ]


def trained(record: Record) -> bool:
    """Whether a run was trained and finished. A run of no updates counts in no mean."""
    return record["status"] == "finished" and record.get("updates") != 0


def lost_seeds(records: Iterable[Record], measure: Metric) -> set[int]:
    """Seeds of runs without the number that other runs of the cell have, for a metric that only finished runs have."""
    if measure.known is not Known.finished:
        return set()
    records = list(records)
    known = any(measure.value(record) is not None for record in records if trained(record))
    return {
        pair(record)
        for record in records
        if record["status"] != "finished" or (known and trained(record) and measure.value(record) is None)
    }


def arms(records: Sequence[Record], measure: Metric, variant: str, baseline: str) -> Arms:
    sides = [of_cell(records, cell) for cell in (baseline, variant)]
    machines = [{pair(record): machine(record) for record in side} for side in sides]
    first, second = (values(side, measure) for side in sides)
    both = sorted(first.keys() & second.keys())
    mixed = [seed for seed in both if machines[0][seed] != machines[1][seed] and measure.known is not Known.counted]
    seeds = [seed for seed in both if seed not in mixed]
    return Arms(
        tuple(seeds),
        np.array([first[seed] for seed in seeds]),
        np.array([second[seed] for seed in seeds]),
        tuple(sorted(lost_seeds(sides[0], measure) | lost_seeds(sides[1], measure))),
        tuple(mixed),
    )


def machine(record: Record) -> tuple[str, str]:
    """Type of device ("cuda", whatever its index or model) and precision."""
    provenance = record.get("provenance") or {}
    words = str(provenance.get("device", "")).replace(":", " ").split() or [""]
    return words[0], str(provenance.get("precision", ""))


def effect_of(
    pairs: Arms, measure: Metric, estimator: Estimator, prior: Prior | None = None, level: float = 0.95
) -> Effect:
    """The paired difference. One seed is enough for a number that is counted, and looking again adds no error."""
    if measure.known is not Known.counted:
        return estimator.guard(estimator.effect(pairs.baseline, pairs.variant, level), prior, level)
    if len(pairs.seeds) == 1:
        difference = float(pairs.variant[0] - pairs.baseline[0])
        return Effect(difference, difference, difference, float(difference == 0), 1, 0.0)
    return FIXED.effect(pairs.baseline, pairs.variant, level)


def prior_for(
    records: Sequence[Record], name: str, variant: str, baseline: str, noise: Noise
) -> tuple[Prior | None, float | None]:
    """What the noise library says of a contrast: the prior of its variance, and the spread to expect.

    Nothing where its cells have different budgets.
    """
    cells = [of_cell(records, cell) for cell in (variant, baseline)]
    budgets = {budget_of(runs) for runs in cells}
    if not noise.spreads or len(budgets) > 1:
        return None, None
    budget, first, second = *budgets, *sorted(map(mark, cells))
    references = references_of(name, cells[0])
    prior = noise.prior(name, budget, variant, baseline, (first, second), references)
    return prior, noise.spread(name, budget, references)


def interaction(first: Arms, second: Arms) -> Arms:
    """By how much the second difference exceeds the first, over the seeds that have both."""
    seeds = tuple(sorted(set(first.seeds) & set(second.seeds)))
    sides = [
        np.array([(pairs.variant - pairs.baseline)[pairs.seeds.index(seed)] for seed in seeds])
        for pairs in (first, second)
    ]
    lost, mixed = {*first.lost, *second.lost}, {*first.mixed, *second.mixed}
    return Arms(seeds, sides[0], sides[1], tuple(sorted(lost)), tuple(sorted(mixed)))


def compare(
    records: Sequence[Record],
    name: str,
    variant: str,
    baseline: str,
    estimator: Estimator,
    margin: float | None = None,
    than: tuple[str, str] | None = None,
    level: float = 0.95,
) -> Comparison:
    """Compare one cell with another; with `than`, compare their difference with that of the two cells in `than`.

    `margin` is in the metric's unit; None takes the metric's default. p is not adjusted.
    """
    measure = metric(name)
    pairs = arms(records, measure, variant, baseline)
    if margin is None:
        margin = measure.margin_at(float(pairs.baseline.mean())) if pairs.seeds else measure.margin
    prior, expected = None, None
    if than is None:
        prior, expected = prior_for(records, name, variant, baseline, estimator.noise)
    else:
        pairs = interaction(arms(records, measure, *than), pairs)
    effect = effect_of(pairs, measure, estimator, prior, level)
    word = reading(effect, effect.p, margin, measure.higher_is_better)
    spread = effect.spread if expected is None else expected
    return Comparison(name, variant, baseline, pairs, effect, effect.p, margin, word, estimator, spread, than)


def adjusted(found: Sequence[Comparison]) -> list[Comparison]:
    """The rows of one table, with p and readings that allow for their number."""
    if not found:
        return []
    p_values = found[0].estimator.adjusted([each.effect.p for each in found])
    return [
        replace(
            each,
            p_holm=float(p),
            reading=reading(each.effect, float(p), each.margin, metric(each.metric).higher_is_better),
        )
        for each, p in zip(found, p_values)
    ]


def comparisons(study: Study, records: Sequence[Record], estimator: Estimator) -> list[Comparison]:
    """Compare every cell that has a baseline with it, by the study's metric.

    Twins (match=) are a table of their own, or one for each thing that is matched, so that to add them changes nobody's
    p.
    """
    found = {
        cell.name: compare(records, study.metric, cell.name, cell.baseline, estimator)
        for cell in study.cells()
        if cell.baseline is not None
    }
    tables: dict[str | None, list[Comparison]] = {}
    for cell in study.cells():
        if cell.name in found:
            tables.setdefault(matched_in(cell.variant), []).append(found[cell.name])
    by_name = {each.variant: each for table in tables.values() for each in adjusted(table)}
    return [by_name[name] for name in found]


def interactions(study: Study, records: Sequence[Record], estimator: Estimator) -> list[Comparison]:
    """By how much each variant's difference to the baseline exceeds that at the first level where it has one.

    By the study's metric, within a seed. Empty without a factor.
    """
    cells = {cell.name: cell.variant for cell in study.cells()}
    held = [each for each in comparisons(study, records, estimator) if each.arms.seeds]
    first: dict[str, tuple[str, str]] = {}
    found = []
    for each in sorted(held, key=lambda each: list(study.variants).index(cells[each.variant])):
        than = first.setdefault(cells[each.variant], (each.variant, each.baseline))
        if than != (each.variant, each.baseline):
            found.append(compare(records, study.metric, each.variant, each.baseline, estimator, None, than))
    return adjusted(found)
