"""The looks that a setting's records keep when its runs are collected again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ablate.config import Until
from ablate.plan.composition import Plan
from ablate.plan.runs import runs_of
from ablate.records.looks import REPORT, UNTIL, Look, look_at, looks_in, related, sequential, with_look, with_rates
from ablate.study import RATE


def looks_after(folder: Path, plan: Plan, runs: Sequence[dict[str, Any]], unlearned: float) -> list[Look]:
    """The looks at a setting, including the one that is made now with these runs.

    `folder` holds its earlier records, if there are any. `unlearned` is that of `ablate.analysis.tuning`.
    """
    seeds = {spec.seed for spec in plan.runs}
    purpose = UNTIL if plan.config.until is Until.resolved else REPORT
    now = look_at([(spec.cell, spec.seed, spec.id) for spec in plan.runs], purpose)
    looks = with_look(earlier_looks(folder, plan), now)
    if RATE in plan.study.factors and sequential(looks, seeds):
        from ablate.analysis.tuning import best_rates  # here, because it loads scipy, which planning does without

        first = set(related(looks, seeds)[0].seeds)
        chosen = best_rates(plan.study, [run for run in runs if run["seed"] in first], unlearned)
        looks = with_rates(looks, seeds, chosen)
    return looks


def earlier_looks(folder: Path, plan: Plan) -> list[Look]:
    """The looks in the records so far that concern runs of this plan.

    A look is dropped where the plan has other run ids in every cell: then the meaning of the code, the corpus or the
    study changed, and the results that were seen are not those of the new runs.
    """
    try:
        looks = looks_in(json.loads((folder / "manifest.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):  # no records yet, or damaged ones
        return []
    return [look for look in looks if look.seeds and concerns(look, plan)]


def concerns(look: Look, plan: Plan) -> bool:
    """Whether some cell of the plan has a run that the look saw."""
    seeds = range(look.seeds[0], look.seeds[0] + 1)
    return any(spec.id in look.runs for spec in runs_of(plan.study, plan.setting, plan.configs, seeds, plan.corpora))
