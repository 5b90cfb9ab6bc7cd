"""What a grid of learning rates shows (tune=lr): each cell at its own best rate, and how much the rate matters to it.

A cell's rate is the one with the lowest mean validation loss over all seeds. Test scores are compared at these rates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from ablate.analysis.effects import Comparison, adjusted, compare
from ablate.analysis.estimators import Estimator
from ablate.analysis.metrics import Record, finite
from ablate.analysis.statistics import Effect
from ablate.analysis.verdicts import Reading
from ablate.study import RATE, Cell, Study


class Finding(Enum):
    """What is left of a difference between two variants when each has its own best learning rate."""

    gain = "a gain"
    loss = "a loss"
    higher = "higher"
    lower = "lower"
    artefact = "an artefact of tuning"
    robustness = "a gain in robustness only"
    sensitivity = "a loss of robustness only"
    none = "no difference"
    unresolved = "unresolved"


@dataclass(frozen=True)
class Best:
    """The rate chosen for a cell, and the cell's mean validation losses, rate -> nats a target token."""

    rate: float
    edge: str | None  # "lowest" or "highest" if it is at that end of the grid, beyond which a better one may lie
    losses: dict[float, float]


@dataclass(frozen=True)
class Tuned:
    """A cell compared with its baseline: both at the shared rate, and each at its own best rate."""

    cell: str
    best: Best
    baseline: Best
    shared: Comparison
    own: Comparison
    change: Effect  # the difference at own best rates less that at the shared rate, within a seed
    sensitivity: Comparison
    finding: Finding


@dataclass(frozen=True)
class Tuning:
    """A study over a grid of rates, with the rates taken out of its cells."""

    study: Study  # without the factor of rates
    records: tuple[Record, ...]  # runs of each cell at its own best rate, with `lr_sensitivity`
    best: dict[str, Best]
    shared_rate: float
    rows: tuple[Tuned, ...]  # a row for each cell that has a baseline
    neighbours: dict[str, tuple[Record, ...]]  # in words -> runs of each cell at a rate next to its best


def tuning(
    study: Study,
    records: Sequence[Record],
    shared_rate: float,
    unlearned: float,
    estimator: Estimator,
    fixed: Mapping[str, float] | None = None,
) -> Tuning:
    """Compare every cell with its baseline at the shared rate, and at the best rate of each.

    `study` has the rates as a factor, and `records` are of its cells. Losses are capped at `unlearned`, the loss of a
    model that has learned nothing, in nats a target token; a diverged run has that loss. `fixed`, cell -> rate, are the
    rates chosen at an earlier look: they are kept, so that looking again cannot switch to another rate.
    """
    rates = list(study.factors[RATE])
    plain = without_rates(study)
    by_cell = {cell.name: of_rates(study, cell, records) for cell in plain.cells()}
    best = {name: best_of(found, rates, unlearned, (fixed or {}).get(name)) for name, found in by_cell.items() if found}
    chosen = tuple(
        {**record, "variant": name, "lr_sensitivity": sensitivity(found, record["seed"], rates, unlearned)}
        for name, found in by_cell.items()
        if name in best
        for record in found[best[name].rate]
    )
    shared = tuple(
        {**record, "variant": name} for name, found in by_cell.items() for record in found.get(shared_rate, ())
    )
    held = [
        (cell.name, cell.baseline)
        for cell in plain.cells()
        if cell.baseline is not None and cell.name in best and cell.baseline in best
    ]
    columns = [
        adjusted([compare(runs, name, *pair, estimator) for pair in held])
        for runs, name in ((shared, plain.metric), (chosen, plain.metric), (chosen, "lr_sensitivity"))
    ]
    rows = tuple(
        Tuned(cell, best[cell], best[baseline], first, own, change(first, own, estimator), sensitive,
              finding(first, own, sensitive))
        for (cell, baseline), first, own, sensitive in zip(held, *columns)
    )  # fmt: skip
    return Tuning(plain, chosen, best, shared_rate, rows, neighbours(by_cell, best, rates))


def neighbours(
    by_cell: Mapping[str, Mapping[float, list[Record]]], best: Mapping[str, Best], rates: Sequence[float]
) -> dict[str, tuple[Record, ...]]:
    """The runs of each cell one step of the grid below and above its best rate, where the grid goes so far."""
    found: dict[str, tuple[Record, ...]] = {}
    for step, way in ((-1, "the next lower learning rate"), (1, "the next higher learning rate")):
        grid = sorted(rates)
        places = {name: grid.index(each.rate) + step for name, each in best.items() if each.rate in grid}
        found[way] = tuple(
            {**record, "variant": name}
            for name, place in places.items()
            if 0 <= place < len(grid)
            for record in by_cell[name].get(grid[place], ())
        )
    return found


def best_rates(study: Study, records: Sequence[Record], unlearned: float) -> dict[str, float]:
    """Cell -> the rate with the lowest mean validation loss; arguments are those of `tuning`."""
    found = {cell.name: of_rates(study, cell, records) for cell in without_rates(study).cells()}
    rates = list(study.factors[RATE])
    return {name: best_of(each, rates, unlearned).rate for name, each in found.items() if each}


def without_rates(study: Study) -> Study:
    return replace(study, factors={name: levels for name, levels in study.factors.items() if name != RATE})


def of_rates(study: Study, plain: Cell, records: Sequence[Record]) -> dict[float, list[Record]]:
    """Rate -> the runs of a cell at that rate."""
    found: dict[float, list[Record]] = {}
    for cell in study.cells():
        others = {name: level for name, level in cell.factors.items() if name != RATE}
        if (cell.variant, others) == (plain.variant, plain.factors):
            runs = [record for record in records if record["variant"] == cell.name and record["status"] != "failed"]
            if runs:
                found[cell.factors[RATE]] = runs
    return found


def loss(record: Record, unlearned: float) -> float:
    """A run's lowest validation loss, capped at the loss of a model that has learned nothing."""
    value = finite(record.get("best_validation_loss"))
    return unlearned if value is None or record["status"] == "diverged" else min(value, unlearned)


def best_of(
    found: dict[float, list[Record]], rates: Sequence[float], unlearned: float, fixed: float | None = None
) -> Best:
    """The rate with the lowest loss, or `fixed` where there are runs at that rate."""
    losses = {rate: float(np.mean([loss(record, unlearned) for record in runs])) for rate, runs in found.items()}
    rate = fixed if fixed is not None and fixed in losses else min(losses, key=lambda each: losses[each])
    edge = {min(rates): "lowest", max(rates): "highest"}.get(rate) if len(rates) > 1 else None
    return Best(rate, edge, losses)


def sensitivity(found: dict[float, list[Record]], seed: int, rates: Sequence[float], unlearned: float) -> float | None:
    """Mean over the grid of the loss less the lowest loss of the grid, for one seed; None where a rate has no run.

    Wortsman et al. 2023 (arXiv:2309.14322), with the loss of having learned nothing in place of that at initialisation.
    """
    losses = [loss(record, unlearned) for rate in rates for record in found.get(rate, ()) if record["seed"] == seed]
    return float(np.mean(losses)) - min(losses) if len(losses) == len(rates) else None


def change(first: Comparison, own: Comparison, estimator: Estimator) -> Effect:
    """The second difference less the first, over the seeds that have both."""
    seeds = sorted(set(first.arms.seeds) & set(own.arms.seeds))
    before, after = (
        [float((each.arms.variant - each.arms.baseline)[each.arms.seeds.index(seed)]) for seed in seeds]
        for each in (first, own)
    )
    return estimator.effect(before, after)


def finding(first: Comparison, own: Comparison, sensitive: Comparison) -> Finding:
    """Classify a difference by the shared rate, the best rates and the sensitivity. Survivors alone decide nothing."""
    if own.conditional or not own.arms.seeds:
        return Finding.unresolved
    shared = Reading.unresolved if first.conditional else first.reading
    return classify(shared, own.reading, sensitive.reading)


def classify(shared: Reading, own: Reading, sensitivity: Reading) -> Finding:
    """The finding from three readings of the variant: at the shared rate, at own best rates, and of its sensitivity.

    A variant whose sensitivity is "better" is less sensitive to the rate, and so more robust.
    """
    if own in DECIDED:
        return DECIDED[own]
    if own is Reading.unresolved:
        return Finding.unresolved
    if shared in DECIDED:
        return Finding.artefact
    return {Reading.better: Finding.robustness, Reading.worse: Finding.sensitivity}.get(sensitivity, Finding.none)


DECIDED = {
    Reading.better: Finding.gain,
    Reading.worse: Finding.loss,
    Reading.higher: Finding.higher,
    Reading.lower: Finding.lower,
}
