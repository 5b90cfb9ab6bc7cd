"""What a grid shows (tune=): each cell at its own best point of it, and how much the learning rate matters to it.

A cell's point is the one with the lowest mean validation loss over all seeds. Test scores are compared at these points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from ablate.analysis.effects import Comparison, adjusted, compare
from ablate.analysis.estimators import Estimator
from ablate.analysis.metrics import Record, finite
from ablate.analysis.statistics import Effect
from ablate.analysis.verdicts import Reading
from ablate.study import RATE, Point, Study, name_without


class Finding(Enum):
    """What is left of a difference between two variants when each is at its own best point of the grid."""

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
    """The point chosen for a cell, and the cell's mean validation losses, point -> nats a target token."""

    values: dict[str, float]  # what is tuned -> its value
    edges: dict[str, str]  # what is at an end of its grid, beyond which a better value may lie -> "lowest", "highest"
    losses: dict[Point, float]

    @property
    def point(self) -> Point:
        return tuple(self.values.values())

    @property
    def rate(self) -> float | None:
        return self.values.get(RATE)


@dataclass(frozen=True)
class Tuned:
    """A cell compared with its baseline: both at the shared point, and each at its own best."""

    cell: str
    best: Best
    baseline: Best
    shared: Comparison
    own: Comparison
    change: Effect  # the difference at own best points less that at the shared one, within a seed
    sensitivity: Comparison
    finding: Finding


@dataclass(frozen=True)
class Tuning:
    """A study over a grid, with what was tuned taken out of its cells."""

    study: Study  # without the factors that were tuned
    records: tuple[Record, ...]  # runs of each cell at its own best point, with `lr_sensitivity`
    best: dict[str, Best]
    shared: dict[str, float]  # what was tuned -> the configuration's value
    rows: tuple[Tuned, ...]  # a row for each cell that has a baseline
    neighbours: dict[str, tuple[Record, ...]]  # in words -> runs of each cell at a point next to its best


ByPoint = dict[Point, list[Record]]  # the runs of a cell


def tuning(
    study: Study,
    records: Sequence[Record],
    shared: Mapping[str, float],
    unlearned: float,
    estimator: Estimator,
    fixed: Mapping[str, Point] | None = None,
) -> Tuning:
    """Compare every cell with its baseline at the shared point, and at the best point of each.

    `study` was tuned, and `records` are of its cells; `shared` has the configuration's value of what was tuned. Losses
    are capped at `unlearned`, the loss of a model that has learned nothing, in nats a target token; a diverged run has
    that loss. `fixed`, cell -> point, are those chosen at an earlier look: they are kept, so that looking again cannot
    switch to another.
    """
    plain, by_cell = study.untuned, by_points(study, records)
    best = best_of_each(study, by_cell, unlearned, fixed or {})
    chosen = tuple(
        {**record, "variant": name, "lr_sensitivity": sensitivity(study, found, best[name], record["seed"], unlearned)}
        for name, found in by_cell.items()
        if name in best
        for record in found[best[name].point]
    )
    at_shared = tuple(shared[name] for name in study.searched)
    alike = tuple({**record, "variant": name} for name, found in by_cell.items() for record in found.get(at_shared, ()))
    held = [
        (cell.name, cell.baseline)
        for cell in plain.cells()
        if cell.baseline is not None and cell.name in best and cell.baseline in best
    ]
    columns = [
        adjusted([compare(runs, name, *pair, estimator) for pair in held])
        for runs, name in ((alike, plain.metric), (chosen, plain.metric), (chosen, "lr_sensitivity"))
    ]
    rows = tuple(
        Tuned(cell, best[cell], best[baseline], first, own, change(first, own, estimator), sensitive,
              finding(first, own, sensitive))
        for (cell, baseline), first, own, sensitive in zip(held, *columns)
    )  # fmt: skip
    return Tuning(plain, chosen, best, dict(shared), rows, neighbours(study, by_cell, best))


WAYS = {
    "lr": ("the next lower learning rate", "the next higher learning rate"),
    "warmup": ("the next shorter warmup", "the next longer warmup"),
}


def neighbours(study: Study, by_cell: Mapping[str, ByPoint], best: Mapping[str, Best]) -> dict[str, tuple[Record, ...]]:
    """The runs of each cell one step below and above its best point, in each of the things that were tuned."""
    found: dict[str, tuple[Record, ...]] = {}
    for place, name in enumerate(study.searched):
        for step, way in zip((-1, 1), WAYS[name]):
            beside = {cell: stepped(tried(study, cell), each.point, place, step) for cell, each in best.items()}
            found[way] = tuple(
                {**record, "variant": cell} for cell, point in beside.items() for record in by_cell[cell].get(point, ())
            )
    return found


def tried(study: Study, cell: str) -> list[Point]:
    """The points of the grid and those around the best, of a cell of the untuned study."""
    variant = next(each.variant for each in study.untuned.cells() if each.name == cell)
    return study.points(cell.removeprefix(variant))


def stepped(points: Sequence[Point], point: Point, place: int, step: int) -> Point:
    """The next point in one direction, with everything else as it is; an empty one if there is none."""
    line = sorted({each for each in points if without(each, place) == without(point, place)})
    at = line.index(point) + step if point in line else -1
    return line[at] if 0 <= at < len(line) else ()


def without(point: Point, place: int) -> Point:
    return point[:place] + point[place + 1 :]


def best_points(study: Study, records: Sequence[Record], unlearned: float) -> dict[str, Point]:
    """Cell -> the point with the lowest mean validation loss; arguments are those of `tuning`."""
    best = best_of_each(study, by_points(study, records), unlearned, {})
    return {cell: each.point for cell, each in best.items()}


def by_points(study: Study, records: Sequence[Record]) -> dict[str, ByPoint]:
    """Cell of the untuned study -> its runs at each point; those that failed are left out."""
    runs: dict[str, list[Record]] = {}
    for record in records:
        if record["status"] != "failed":
            runs.setdefault(record["variant"], []).append(record)
    found: dict[str, ByPoint] = {cell.name: {} for cell in study.untuned.cells()}
    for cell in study.cells():
        if cell.name in runs:
            point = tuple(cell.factors[name] for name in study.searched)
            found[name_without(cell, *study.searched)][point] = runs[cell.name]
    return found


def loss(record: Record, unlearned: float) -> float:
    """A run's lowest validation loss, capped at the loss of a model that has learned nothing."""
    value = finite(record.get("best_validation_loss"))
    return unlearned if value is None or record["status"] == "diverged" else min(value, unlearned)


def best_of_each(
    study: Study, by_cell: Mapping[str, ByPoint], unlearned: float, fixed: Mapping[str, Point]
) -> dict[str, Best]:
    return {cell: best_of(study, found, unlearned, fixed.get(cell)) for cell, found in by_cell.items() if found}


def best_of(study: Study, found: ByPoint, unlearned: float, fixed: Point | None = None) -> Best:
    """The point with the lowest loss, or `fixed` where there are runs at that point."""
    losses = {point: float(np.mean([loss(record, unlearned) for record in runs])) for point, runs in found.items()}
    point = fixed if fixed is not None and fixed in losses else min(losses, key=lambda each: losses[each])
    values = dict(zip(study.searched, point))
    edges = {name: edge for name in values if (edge := edge_of(values[name], [*study.factors[name]]))}
    return Best(values, edges, losses)


def edge_of(value: float, grid: Sequence[float]) -> str | None:
    """The end of the grid that a value lies at or beyond. Nothing lies beyond a warmup of zero."""
    if len(grid) < 2 or value == 0:
        return None
    return "lowest" if value <= min(grid) else "highest" if value >= max(grid) else None


def sensitivity(study: Study, found: ByPoint, best: Best, seed: int, unlearned: float) -> float | None:
    """Mean over the grid of rates of the loss less the lowest loss of the grid, for one seed, all else at its best.

    None where a rate has no run, or rates were not tuned. Points off the grid do not count, so that it is the same grid
    for all. Wortsman et al. 2023 (arXiv:2309.14322), with the loss of having learned nothing in place of that at
    initialisation.
    """
    if RATE not in study.searched:
        return None
    points = [tuple((best.values | {RATE: rate}).values()) for rate in study.factors[RATE]]
    losses = [loss(record, unlearned) for point in points for record in found.get(point, ()) if record["seed"] == seed]
    return float(np.mean(losses)) - min(losses) if len(losses) == len(points) else None


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
