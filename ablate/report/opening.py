"""A finished report in a few lines for a terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ablate.analysis.metrics import Metric, metric
from ablate.report.wording import ABSENT, estimate

NAN = float("nan")


def headline(folder: Path) -> list[str]:
    """The variants' scores and differences, then the claims' verdicts, of the summary in a report's folder."""
    found = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    measure = metric(found["metric"])
    rows = [["variant", f"{measure.label} [95 %]", "difference [95 %]", "diverged", "learned"]]
    told = [each for each in found["variants"] if each["mean"] is not None or each["learned"] is not None]
    for each in told or found["variants"]:  # what was only looked at before the first update has nothing to show here
        learned = ABSENT if each["learned"] is None else f"{each['learned']} of {each['runs']}"
        diverged = f"{each['diverged']} of {each['runs']}"
        rows.append(
            [each["variant"], shown(each, measure), shown(each["difference"], measure, signed=True), diverged, learned]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return lines + [
        f"{claim['id']}: {claim['verdict'] or 'not tested here; the report says what it takes'}"
        for claim in found["claims"]
    ]


def shown(numbers: dict[str, Any] | None, measure: Metric, signed: bool = False) -> str:
    if numbers is None or numbers["mean"] is None:
        return ABSENT
    mean, low, high = (NAN if numbers[key] is None else numbers[key] for key in ("mean", "low", "high"))
    return estimate(mean, low, high, measure, signed)
