"""summary.json: what a program reads of a report. What does not exist is null."""

from __future__ import annotations

import math
from typing import Any

from ablate.analysis.effects import Comparison
from ablate.analysis.judging import ClaimVerdict, shares
from ablate.analysis.tuning import Tuned
from ablate.records.report_data import ReportData
from ablate.study import Cell


def summary(data: ReportData) -> dict[str, Any]:
    """By the study's own metric. Where that measures nothing its numbers are null, and those of `stand_ins` are not."""
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
        **numbers,
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
    """The same by a metric that measures nothing."""
    nothing = dict.fromkeys(("mean", "low", "high"))
    return {
        "variants": [variant(data, cell, None) | nothing for cell in data.cells],
        "interactions": [],
        **({"tuned": [tuned(row) | nothing | {"finding": None} for row in data.tuning.rows]} if data.tuning else {}),
    }


def variant(data: ReportData, cell: Cell, found: Comparison | None) -> dict[str, Any]:
    runs = data.runs_of(cell.name)
    interval = data.mean_of(cell.name, data.study.metric)
    learned, said = shares(data.runs, cell.name)
    return {
        "variant": cell.name,
        "factors": cell.factors,
        "runs": len(runs),
        "diverged": sum(run["status"] == "diverged" for run in runs),
        "learned": learned if said else None,
        "mean": rounded(interval.mean),
        "low": rounded(interval.low),
        "high": rounded(interval.high),
        "baseline": cell.baseline if cell.factors else None,
        "difference": difference(found) if found and found.effect.seeds else None,
    }


def difference(found: Comparison) -> dict[str, Any]:
    """The unadjusted paired interval, over the pairs that finished."""
    effect = found.effect
    return {
        "mean": rounded(effect.mean),
        "low": rounded(effect.low),
        "high": rounded(effect.high),
        "p_holm": rounded(found.p_holm),
        "seeds": effect.seeds,
    }


def tuned(found: Tuned) -> dict[str, Any]:
    """A variant against its baseline, each at its own best rate."""
    effect = found.own.effect
    return {
        "variant": found.cell,
        "lr": found.best.rate,
        "baseline_lr": found.baseline.rate,
        "mean": rounded(effect.mean),
        "low": rounded(effect.low),
        "high": rounded(effect.high),
        "edge": bool(found.best.edge or found.baseline.edge),
        "finding": found.finding.value,
    }


def interaction(found: Comparison) -> dict[str, Any]:
    """By how much the difference of two cells exceeds that of the two in `than`."""
    return {"variant": found.variant, "baseline": found.baseline, "than": found.than, **difference(found)}


def claim(found: ClaimVerdict) -> dict[str, Any]:
    """A claim of several contrasts has a verdict but no effect in common."""
    part = found.only
    tested = part is not None and part.seeds > 0
    return {
        "id": found.claim.id,
        "verdict": found.verdict.name if found.verdict else None,
        "effect": rounded(part.effect) if part and tested else None,
        "low": rounded(part.low) if part and tested else None,
        "high": rounded(part.high) if part and tested else None,
        "seeds": min((each.seeds for each in found.parts), default=0) or None,
        "command": found.command,
        **({} if found.measured else {"unmeasured": found.unmeasured}),
    }


def rounded(value: float) -> float | None:
    """Six figures, so that the last bits of different machines make no different file."""
    return float(f"{value:.6g}") + 0.0 if math.isfinite(value) else None
