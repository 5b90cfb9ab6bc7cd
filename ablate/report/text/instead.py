"""What a report says where the study's metric measures nothing, and others stand in for it."""

from __future__ import annotations

from collections.abc import Sequence

from ablate.analysis.metrics import metric
from ablate.records.report_data import ReportData
from ablate.report.wording import spoken


def instead(data: ReportData) -> str:
    """What stands in for the study's metric, in a sentence of plain text; empty where the metric measures something."""
    declared = data.declared.metric
    return standing_in(declared, data.unmeasured[declared], data.stand_ins) if declared in data.unmeasured else ""


def standing_in(declared: str, why: str, stand_ins: Sequence[str]) -> str:
    names = [metric(name).label for name in stand_ins]
    stand = f"{spoken(names)} {'stand' if len(names) > 1 else 'stands'}" if names else "nothing stands"
    return f"{metric(declared).label} is not measured here, because {why}: {stand} in for it."
