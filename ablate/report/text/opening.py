"""The results of a finished report in a few lines for a terminal."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from ablate.analysis.metrics import Metric, metric
from ablate.analysis.statistics import Interval
from ablate.report.text.answer import replaced_metric
from ablate.report.text.claims import UNMEASURED, UNTESTED
from ablate.report.wording import ABSENT, estimate

KEYS = ("mean", "low", "high")


def headline(folder: Path) -> list[str]:
    """The variants' scores and differences, then the claims' verdicts, of the summary in a report's folder."""
    found = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    stand_ins = found.get("stand_ins", [])
    scored = [(metric(each["metric"]), each["variants"]) for each in stand_ins or [found]]
    labels = [label for measure, _ in scored for label in (f"{measure.label} [95 %]", "difference [95 %]")]
    rows = [["variant", *labels, "diverged", "learned"]]
    entries = list(zip(*(variants for _, variants in scored)))  # a cell's entry by each metric
    trained = [each for each in entries if each[0]["mean"] is not None or each[0]["learned"] is not None]
    for each in trained or entries:  # cells that train for no update have no scores
        first = each[0]
        learned = ABSENT if first["learned"] is None else f"{first['learned']} of {first['runs']}"
        numbers = []
        for (measure, _), entry in zip(scored, each):
            numbers += [shown(entry, measure), shown(entry["difference"], measure, signed=True)]
        rows.append([first["variant"], *numbers, f"{first['diverged']} of {first['runs']}", learned])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    if why := found.get("unmeasured", {}).get(found["metric"]):
        lines.append(replaced_metric(found["metric"], why, [each["metric"] for each in stand_ins]))
    return lines + [f"{claim['id']}: {claim['verdict'] or without_verdict(claim)}" for claim in found["claims"]]


def without_verdict(claim: dict[str, Any]) -> str:
    if "unmeasured" not in claim:
        return f"{UNTESTED}; the report says {'what it takes' if claim['command'] else 'why'}"
    return f"{UNMEASURED}: {'; '.join(f'{metric(name).label}: {why}' for name, why in claim['unmeasured'].items())}"


def shown(numbers: dict[str, Any] | None, measure: Metric, signed: bool = False) -> str:
    mean, low, high = (math.nan if (value := (numbers or {}).get(key)) is None else value for key in KEYS)
    return estimate(Interval(mean, low, high, 0), measure, signed)
