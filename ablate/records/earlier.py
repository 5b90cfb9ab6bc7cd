"""Settings whose runs were judged under earlier rules: their verdicts are kept as they were, and never made anew.

A rule that is made after data were seen could be made to fit them. Claims are tested again on fresh seeds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ablate.analysis.effects import Comparison
from ablate.analysis.judging import ClaimVerdict
from ablate.analysis.tuning import Finding, Tuning
from ablate.analysis.verdicts import Reading, Verdict

Kept = Mapping[str, Any]  # the summary.json of the last report under earlier rules; empty where there is none


def without_reading(found: Iterable[Comparison]) -> list[Comparison]:
    """Comparisons that show their numbers and have no reading."""
    return [replace(each, p_holm=math.nan, reading=Reading.earlier) for each in found]


def as_judged(found: ClaimVerdict, kept: Kept) -> ClaimVerdict:
    """A claim with the verdict that it had, and the numbers of its contrasts without one."""
    said: Kept = next((each for each in kept.get("claims", ()) if each["id"] == found.claim.id), {})
    parts = tuple(replace(part, verdict=None, p=math.nan, more_seeds=None, earlier=True) for part in found.parts)
    verdict = Verdict[said["verdict"]] if said.get("verdict") else None
    return replace(found, verdict=verdict, parts=parts, command=said.get("command"), earlier=True)


def as_found(found: Tuning, kept: Kept) -> Tuning:
    """What a grid of learning rates showed, in the words of the report then."""
    said = {each["variant"]: each["finding"] for each in kept.get("tuned", ())}
    rows = []
    for row in found.rows:
        shared, own, sensitivity = without_reading([row.shared, row.own, row.sensitivity])
        finding = Finding(said[row.cell]) if said.get(row.cell) else Finding.unresolved
        rows.append(replace(row, shared=shared, own=own, sensitivity=sensitivity, finding=finding))
    return replace(found, rows=tuple(rows))
