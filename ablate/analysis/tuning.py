"""What a grid of learning rates shows (tune=lr): each cell at its own best rate, and how much the rate matters to it.

Rates are chosen on validation, over all seeds together; tests are scored with what was chosen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from ablate.analysis.effects import Comparison, compare
from ablate.analysis.estimators import FIXED, Estimator
from ablate.analysis.metrics import Record, finite
from ablate.analysis.statistics import Effect
from ablate.analysis.verdicts import ALPHA, Reading
from ablate.study import RATE, Cell, Study


class Finding(Enum):
    """What a difference at a shared learning rate comes to when every variant has its own."""

    gain = "a gain"
    loss = "a loss"
    higher = "higher"
    lower = "lower"
    artefact = "an artefact of tuning"
    robustness = "robustness only"
    sensitivity = "sensitivity only"
    none = "no difference"
    unresolved = "unresolved"


@dataclass(frozen=True)
class Best:
    """A cell's rate with the lowest mean validation loss, and those losses, rate -> nats a target token."""

    rate: float
    edge: str | None  # "lowest" or "highest" of the grid: a better rate may lie beyond
    losses: dict[float, float]


@dataclass(frozen=True)
class Tuned:
    """A cell against its baseline, once at the shared rate and once each at its own best one."""

    cell: str
    best: Best
    baseline: Best
    shared: Comparison
    own: Comparison
    change: Effect  # of the difference, from the shared rate to the best ones, over seeds
    sensitivity: Comparison
    finding: Finding


@dataclass(frozen=True)
class Tuning:
    """A study over a grid of rates, seen without the grid."""

    study: Study  # whose cells have no rate
    records: tuple[Record, ...]  # of the runs at each cell's best rate, under the cell's name, with `lr_sensitivity`
    best: dict[str, Best]
    shared_rate: float
    rows: tuple[Tuned, ...]  # a row for each cell that has a baseline


def tuning(
    study: Study, records: Sequence[Record], shared_rate: float, unlearned: float, estimator: Estimator = FIXED
) -> Tuning:
    """`study` has the rates as a factor, `records` are of its cells; `unlearned` is the loss, in nats a target token,
    of a model that has learned nothing, at which losses are capped (a diverged run has that loss)."""
    rates = list(study.factors[RATE])
    plain = without_rates(study)
    by_cell = {cell.name: of_rates(study, cell, records) for cell in plain.cells()}
    best = {name: best_of(found, rates, unlearned) for name, found in by_cell.items() if found}
    chosen = tuple(
        {**record, "variant": name, "lr_sensitivity": sensitivity(found, record["seed"], rates, unlearned)}
        for name, found in by_cell.items()
        if name in best
        for record in found[best[name].rate]
    )
    shared = tuple(
        {**record, "variant": name} for name, found in by_cell.items() for record in found.get(shared_rate, ())
    )
    rows = tuple(
        tuned(plain, cell, best, shared, chosen, estimator)
        for cell in plain.cells()
        if cell.baseline is not None and cell.name in best and cell.baseline in best
    )
    return Tuning(plain, chosen, best, shared_rate, rows)


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
    """The validation loss of the weights that are kept, and no more than that of having learned nothing."""
    value = finite(record.get("best_validation_loss"))
    return unlearned if value is None or record["status"] == "diverged" else min(value, unlearned)


def best_of(found: dict[float, list[Record]], rates: Sequence[float], unlearned: float) -> Best:
    losses = {rate: float(np.mean([loss(record, unlearned) for record in runs])) for rate, runs in found.items()}
    rate = min(losses, key=lambda each: losses[each])
    edge = {min(rates): "lowest", max(rates): "highest"}.get(rate) if len(rates) > 1 else None
    return Best(rate, edge, losses)


def sensitivity(found: dict[float, list[Record]], seed: int, rates: Sequence[float], unlearned: float) -> float | None:
    """How far the loss lies above the best of the grid, in the mean over the grid; None where a rate has no run.

    Wortsman et al. 2023 (arXiv:2309.14322), with the loss of having learned nothing for that at initialisation.
    """
    losses = [loss(record, unlearned) for rate in rates for record in found.get(rate, ()) if record["seed"] == seed]
    return float(np.mean(losses)) - min(losses) if len(losses) == len(rates) else None


def tuned(
    study: Study,
    cell: Cell,
    best: dict[str, Best],
    shared: Sequence[Record],
    chosen: Sequence[Record],
    estimator: Estimator,
) -> Tuned:
    assert cell.baseline is not None
    first = compare(study, shared, study.metric, cell.name, cell.baseline, estimator=estimator)
    own = compare(study, chosen, study.metric, cell.name, cell.baseline, estimator=estimator)
    sensitive = compare(study, chosen, "lr_sensitivity", cell.name, cell.baseline, estimator=estimator)
    return Tuned(
        cell.name, best[cell.name], best[cell.baseline], first, own, change(first, own, estimator), sensitive,
        finding(first, own, sensitive),
    )  # fmt: skip


def change(first: Comparison, own: Comparison, estimator: Estimator) -> Effect:
    """Of the difference, within the seeds that have both."""
    seeds = sorted(set(first.arms.seeds) & set(own.arms.seeds))
    before, after = (
        [float((each.arms.variant - each.arms.baseline)[each.arms.seeds.index(seed)]) for seed in seeds]
        for each in (first, own)
    )
    return estimator.effect(before, after)


def finding(first: Comparison, own: Comparison, sensitive: Comparison) -> Finding:
    """Classify what equal tuning leaves of a difference. A difference among survivors alone decides nothing."""
    if own.conditional or not own.arms.seeds:
        return Finding.unresolved
    if own.reading in DECIDED:
        return DECIDED[own.reading]
    if own.reading is Reading.unresolved:
        return Finding.unresolved
    if first.reading in DECIDED and not first.conditional:
        return Finding.artefact
    if math.isnan(sensitive.p_holm) or sensitive.p_holm >= ALPHA:
        return Finding.none
    return Finding.robustness if sensitive.effect.mean < 0 else Finding.sensitivity


DECIDED = {
    Reading.better: Finding.gain,
    Reading.worse: Finding.loss,
    Reading.higher: Finding.higher,
    Reading.lower: Finding.lower,
}
