"""The full lists of a report: every run, its provenance, and translations of the same sentences. Markdown."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Any

from ablate.analysis.metrics import metric
from ablate.config import excerpt
from ablate.records.read import evaluation_of
from ablate.records.report_data import ReportData
from ablate.report.wording import ABSENT, escape, listed, name, number, table


def translations(data: ReportData, sentences: int = 3) -> list[dict[str, Any]]:
    """The same few test sentences by each variant at its lowest seed, chosen by a hash; empty without any."""
    lowest = [min(data.runs_of(cell.name), key=lambda run: run["seed"], default=None) for cell in data.trained_cells]
    runs = [run for run in lowest if run is not None]
    if not any(evaluation_of(run) in data.hypotheses for run in runs):
        return []
    order = sorted(range(len(data.test)), key=lambda index: digest(data.test[index]["source"]))
    shown = []
    for index in order[:sentences]:
        references = [escape(excerpt(reference)) for reference in data.test[index]["references"]]
        shown.append(
            {
                "source": escape(excerpt(data.test[index]["source"])),
                "references": references[:5],
                "more": max(0, len(references) - 5),
                "table": table(
                    ["variant", "translation"], [[name(run["variant"]), translation(data, run, index)] for run in runs]
                ),
            }
        )
    return shown


def translation(data: ReportData, run: dict[str, Any], index: int) -> str:
    """A run's translation of a test sentence by beam search."""
    found = data.hypotheses.get(evaluation_of(run))
    if found is None:
        return f"*(none: {escape(run['status'])})*"
    return escape(excerpt(found["beam"][index])) or "*(empty)*"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def runs(data: ReportData) -> str:
    """A row for each run."""
    measure = metric(data.study.metric)
    header = ["variant", "seed", "run id", "outcome", "learned", measure.label]
    header += ["validation loss", "best update", "updates", "time"]
    rows = []
    for run in data.runs:
        at = f" at update {run['diverged_at']}" if run.get("diverged_at") is not None else ""
        score = measure.value(run) if run["status"] == "finished" else None
        loss = metric("validation_loss").value(run)
        rows.append(
            [
                name(run["variant"]),
                str(run["seed"]),
                escape(run["run_id"]),
                escape(run["status"]) + at,
                {1: "yes", 0: "no"}.get(run["learned"], ABSENT),
                number(math.nan if score is None else score, measure.digits),
                number(math.nan if loss is None else loss, 3),
                or_absent(run.get("best_update")),
                or_absent(run.get("updates")),
                ABSENT if run["seconds"] is None else f"{run['seconds']:,.0f} s",
            ]
        )
    return table(header, rows, right=[1, 5, 6, 7, 8, 9])


def or_absent(value: Any) -> str:
    return ABSENT if value is None else escape(value)


def provenance(data: ReportData) -> str:
    """The versions, machines and corpus behind the results; if runs differ, every value."""
    rows = []
    found = [run.get("provenance") or {} for run in data.runs]
    for key in dict.fromkeys(key for each in found for key in each):
        if key != "finished_at":
            values = dict.fromkeys(str(each[key]) for each in found if each.get(key) is not None)
            rows.append([escape(key), escape(listed(list(values))) or ABSENT])
    for key, value in flat(data.manifest["corpus"]):
        text = f"{value:.4g}" if isinstance(value, float) else value
        rows.append([f"corpus: {escape(key.replace('_', ' '))}", escape(text)])
    for key in ("bleu_signature", "chrf_signature"):
        rows.append([escape(key.replace("_", " ")), or_absent(data.manifest.get(key))])
    return table(["", ""], rows)


def flat(values: dict[str, Any]) -> Iterator[tuple[str, str | int | float]]:
    """The values of nested mappings that can be printed, with the names that lead to them."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from ((f"{key}, {inner}", found) for inner, found in flat(value))
        elif isinstance(value, (str, int, float)):
            yield key, value
