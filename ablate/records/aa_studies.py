"""The A/A studies in the records: one configuration over many seeds, which show how large mere noise is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ablate.analysis.metrics import Record
from ablate.analysis.noise import budget_of
from ablate.config import BadInput
from ablate.records.read import read_manifest, read_runs
from ablate.records.report_data import ReportData
from ablate.study import Pairs


def aa_study(data: ReportData, budget: str) -> tuple[str, tuple[Record, ...]] | None:
    """Name and runs of the A/A study with the most runs, of the same corpus and preset and of this budget."""
    found = [
        (f"{folder.parent.name}/{folder.name}", runs)
        for folder in alike(data)
        for runs in read(folder)
        if budget_of(runs) == budget
    ]
    return max(found, key=lambda each: len(each[1]), default=None)


def alike(data: ReportData) -> Iterator[Path]:
    """The folders of A/A studies of the same corpus and preset; damaged ones are left out."""
    for path in sorted(data.folder.parent.parent.glob("*/*/manifest.json")):
        with suppress(BadInput):
            manifest = read_manifest(path.parent)
            if manifest["study"].get("pairs") == Pairs.halves.name and place(manifest) == place(data.manifest):
                yield path.parent


def place(manifest: dict[str, Any]) -> tuple[Any, str]:
    return manifest["corpus"].get("fingerprint"), manifest["preset"]


def read(folder: Path) -> Iterator[tuple[Record, ...]]:
    with suppress(BadInput):
        yield read_runs(folder)[2]
