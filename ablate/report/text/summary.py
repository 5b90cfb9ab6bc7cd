"""summary.json: the results of a report for programs. What does not exist is null."""

from __future__ import annotations

import math
from typing import Any

from ablate.analysis.effects import Comparison
from ablate.analysis.judging import ClaimVerdict, shares
from ablate.analysis.quality import Beside
from ablate.analysis.sequential import METHOD as SEQUENTIAL
from ablate.analysis.statistics import Effect, Interval
from ablate.analysis.tuning import Tuned
from ablate.records.looks import rules_of
from ablate.records.report_data import ReportData
from ablate.study import Cell


def summary(data: ReportData) -> dict[str, Any]:
    """The results by the study's metric. If that measures nothing, they are null, and `stand_ins` has others."""
    rules = rules_of(data.looks, data.seeds)
    if data.kept:
        return {**data.kept, "rules": rules}
    study, why = data.declared, data.unmeasured
    numbers = compared(data) if study.metric not in why else without_numbers(data)
    by_stand_in = [{"metric": name, **compared(data.judged_by(name))} for name in data.stand_ins]
    return {
        "study": study.name,
        "setting": data.setting,
        "metric": study.metric,
        "baseline": study.baseline,
        "variants": numbers.pop("variants"),
        "interactions": numbers.pop("interactions"),
        "claims": [claim(found) for found in data.verdicts],
        "rules": rules,
        **numbers,
        **({"rates": data.manifest["rates"]} if "rates" in data.manifest else {}),
        **({"unmeasured": why} if study.metric in why else {}),
        **({"stand_ins": by_stand_in} if by_stand_in else {}),
    }


def compared(data: ReportData) -> dict[str, Any]:
    """Every cell and every comparison, by the study's metric."""
    held = {found.variant: found for found in data.comparisons}
    return {
        "variants": [variant(data, cell, held.get(cell.name)) for cell in data.cells],
        "interactions": [interaction(found) for found in data.interactions],
        **({"tuned": [tuned(row) for row in data.tuning.rows]} if data.tuning else {}),
    }


def without_numbers(data: ReportData) -> dict[str, Any]:
    """The same with nulls, for a metric that measures nothing."""
    nothing = dict.fromkeys(("mean", "low", "high"))
    return {
        "variants": [variant(data, cell, None) | nothing for cell in data.cells],
        "interactions": [],
        **({"tuned": [tuned(row) | nothing | {"finding": None} for row in data.tuning.rows]} if data.tuning else {}),
    }


def variant(data: ReportData, cell: Cell, found: Comparison | None) -> dict[str, Any]:
    runs = data.runs_of(cell.name)
    learned, known = shares(data.runs, cell.name)
    return {
        "variant": cell.name,
        "factors": cell.factors,
        "runs": len(runs),
        "diverged": sum(run["status"] == "diverged" for run in runs),
        "learned": learned if known else None,
        **ends(data.mean_of(cell.name, data.study.metric)),
        "baseline": cell.baseline if cell.factors else None,
        "difference": difference(found) if found and found.effect.seeds else None,
    }


def difference(found: Comparison) -> dict[str, Any]:
    """The unadjusted paired interval, over the pairs that finished."""
    effect = found.effect
    return {
        **ends(effect),
        "p_holm": rounded(found.p_holm),
        "seeds": effect.seeds,
        "method": effect.method,
        "paired_t": paired_t(effect),
    }


def paired_t(effect: Effect) -> dict[str, float | None] | None:
    """The plain interval, which need not be the one that decides; None where looks were repeated."""
    if effect.method == SEQUENTIAL:
        return None
    low, high = effect.plain or (effect.low, effect.high)
    return {"low": rounded(low), "high": rounded(high)}


def tuned(found: Tuned) -> dict[str, Any]:
    """A variant against its baseline, each at its own best point."""
    best, baseline = found.best.values, found.baseline.values
    points = {name: value for key in best for name, value in ((key, best[key]), (f"baseline_{key}", baseline[key]))}
    return {
        "variant": found.cell,
        **points,
        **ends(found.own.effect),
        "edge": bool(found.best.edges or found.baseline.edges),
        "finding": found.finding.value,
    }


def interaction(found: Comparison) -> dict[str, Any]:
    """By how much the difference of two cells exceeds that of the two in `than`."""
    return {"variant": found.variant, "baseline": found.baseline, "than": found.than, **difference(found)}


def claim(found: ClaimVerdict) -> dict[str, Any]:
    """A claim of several contrasts has a verdict but no effect in common."""
    tested = found.only if found.only is not None and found.only.seeds else None
    return {
        "id": found.claim.id,
        "verdict": found.verdict.name if found.verdict else None,
        **{key: rounded(getattr(tested, key)) if tested else None for key in ("effect", "low", "high")},
        "seeds": min((each.seeds for each in found.parts), default=0) or None,
        "command": found.command,
        "robustness": robustness(found),
        **({} if found.measured else {"unmeasured": found.unmeasured}),
    }


def robustness(found: ClaimVerdict) -> dict[str, Any] | None:
    """How many other ways to look at the claim agree, and the names of those that do not; None if there are none."""
    if not found.views:
        return None
    ways = {says: [view.way for view in found.views if view.says is says] for says in Beside}
    return {"agree": len(ways[Beside.agrees]), "disagree": ways[Beside.disagrees], "unclear": ways[Beside.unclear]}


def ends(found: Interval | Effect) -> dict[str, float | None]:
    return {key: rounded(getattr(found, key)) for key in ("mean", "low", "high")}


def rounded(value: float) -> float | None:
    """Six figures, so that machines whose last bits differ write the same file."""
    return float(f"{value:.6g}") + 0.0 if math.isfinite(value) else None
