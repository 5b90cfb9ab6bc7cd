"""tune=lr, the second pass: around the best of the grid, by factors of the root of 2.

At each level of the study's other factors all variants get the same points, those beside the best of any of them. So
the grid remains the same for all, within each level.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ablate.analysis.tuning import best_points
from ablate.plan.composition import Plan
from ablate.records.collect import Corpora, short
from ablate.records.history import fixed_refinement
from ablate.store.folders import Store
from ablate.store.ids import RunSpec
from ablate.study import RATE, Point, Study, place_of

Points = dict[str, list[dict[str, float]]]  # cell of the baseline in the untuned study -> points off the grid


def refinement(plan: Plan, store: Store, corpora: Corpora, say: Callable[[str], None]) -> Plan | None:
    """The plan with the points around the best of the grid; None if there are none, or a run of the grid failed.

    Where seeds are added to a setting, the points are those of its first look.
    """
    if RATE not in plan.study.searched or not plan.config.refine:
        return None
    points = fixed_refinement(store.records(plan.study.name, plan.setting), plan)
    if points is None:
        if not all(map(store.done, plan.runs)):
            say("the best learning rates are not refined, because runs of the grid failed")
            return None
        unlearned = float(corpora[plan.corpus].metadata["unigram_cross_entropy"])
        trained = [spec for spec in plan.runs if spec.config.train.updates]
        points = around_best(plan.study, best_points(plan.study, [outcome(store, spec) for spec in trained], unlearned))
    if not points:
        return None
    shown = (f"{cell}: {', '.join(spoken(point) for point in each)}" for cell, each in points.items())
    say(f"beside the best of the grid, every variant also at {'; '.join(shown)}")
    return plan.refined(points)


def outcome(store: Store, spec: RunSpec) -> dict[str, Any]:
    """As much of a run's record as choosing needs, with the digits of records, so that reports choose the same."""
    result = store.run(spec.id).result()
    assert result is not None
    loss = short(float(result.best_validation_loss))
    return {"variant": spec.cell, "seed": spec.seed, "status": result.status, "best_validation_loss": loss}


def around_best(study: Study, best: Mapping[str, Point]) -> Points:
    """For each level of the other factors, the points beside the best of any variant that are not in the grid."""
    found: Points = {}
    for cell in [cell for cell in study.untuned.cells() if cell.name in best]:
        place, at = place_of(cell.factors), study.searched.index(RATE)
        known = {*study.points(place)}
        beside = found.setdefault(study.baseline + place, [])
        point = best[cell.name]
        for factor in (1 / math.sqrt(2), math.sqrt(2)):
            rate = float(f"{point[at] * factor:.3g}")  # so that a rate is the same from either side
            new = (*point[:at], rate, *point[at + 1 :])
            if new not in known and (named := dict(zip(study.searched, new))) not in beside:
                beside.append(named)
    return {cell: sorted(points, key=lambda point: tuple(point.values())) for cell, points in found.items() if points}


def spoken(point: Mapping[str, float]) -> str:
    return " ".join(f"{name}={value:g}" for name, value in point.items())
