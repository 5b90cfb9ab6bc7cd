"""Write reports/README.md: each setting with its answer, and the ledger: every claim with its verdict and evidence."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ablate.config import BadInput, plain_line
from ablate.records.read import read_outline, settings
from ablate.report.figures import FIGURES
from ablate.report.render import TEMPLATES
from ablate.report.setting_names import readings
from ablate.report.text.answer import answer
from ablate.report.text.claims import ledger_row
from ablate.report.text.training_budget import length
from ablate.report.wording import escape, plural, spoken, table
from ablate.system.atomic import sweep, write_atomic
from ablate.system.locks import lock

THUMBNAILS = ("sensitivity", "over_factor", "quality_and_cost", "effects")  # figures, the best one first
HEADER = ["claim", "says", "verdict", "evidence [95 %]", "where"]


@dataclass(frozen=True)
class Entry:
    """A setting of a study in the index."""

    study: str
    setting: str
    question: str
    answer: str
    thumbnail: str | None  # path of a figure, from reports/
    notes: bool  # whether there is a README of predictions and findings
    compared: list[tuple[str, str]]  # folder and name of each comparison of the study's settings


def ledger(root: Path) -> Path:
    """Rewrite `reports/README.md` from the records of every setting that is not smoke, and return it."""
    path = root / "reports" / "README.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    held = path.with_name(".lock")
    with lock(held):
        sweep(path.parent)
        write_atomic(path, markdown(root))
        held.unlink(missing_ok=True)  # while it is locked: a process that waits for it then makes a new one
    return path


def markdown(root: Path) -> str:
    entries, rows, shared, faults = gather(root)
    return TEMPLATES.get_template("ledger.md.j2").render(
        entries=entries, table=table(HEADER, rows) if rows else "", shared=shared, faults=faults
    )


def gather(root: Path) -> tuple[list[Entry], list[list[str]], list[str], list[str]]:
    """Settings, rows sorted by claim, shared runs, and a line for each folder that cannot be read."""
    used: dict[str, list[str]] = {}
    entries: list[Entry] = []
    rows: list[tuple[str, list[str]]] = []
    faults: list[str] = []
    for study, names in settings(root).items():
        for setting in names:
            folder = root / "experiments" / study / setting
            try:
                data = read_outline(folder)
                if data.manifest["preset"] == "smoke":
                    continue
                text = f"{answer(data)} {escape(length(data))}".rstrip()
                notes = (folder.parent / "README.md").exists()
                shown = thumbnail(root, f"{study}/{setting}"), notes, side_by_side(root, study, names)
                for run in data.runs:
                    used.setdefault(run["run_id"], []).append(f"{study}/{setting}")
                entries.append(Entry(study, setting, data.declared.question, text, *shown))
                where = f"[{escape(study)}, {escape(setting)}](<{study}/{setting}/report.md>)"
                rows += [(verdict.claim.id, [*ledger_row(verdict), where]) for verdict in data.verdicts]
            except BadInput as error:
                faults.append(escape(plain_line(str(error).replace(f"{root}{os.sep}", ""))))
    return entries, [row for _, row in sorted(rows, key=lambda entry: entry[0])], sharing(used), faults


def sharing(used: dict[str, list[str]]) -> list[str]:
    """How many runs settings have in common. `used` has the settings of each run by its id."""
    counts = Counter(tuple(where) for where in used.values() if len(where) > 1)
    return [f"{spoken([escape(each) for each in where])}: {plural(count, 'run')}" for where, count in counts.items()]


def side_by_side(root: Path, study: str, known: Sequence[str]) -> list[tuple[str, str]]:
    """Folder and name of every comparison of a study's settings."""
    found = sorted(path.parent.name for path in (root / "reports" / study).glob("*+*/report.md"))
    named = {folder: next(readings(folder, "+", known), folder.split("+")) for folder in found}
    return [(folder, spoken([escape(name) for name in names])) for folder, names in named.items() if len(names) > 1]


def thumbnail(root: Path, report: str) -> str | None:
    """The figure of a report that is best shown small."""
    paths = (f"{report}/figures/{name}.png" for name in (*THUMBNAILS, *FIGURES))
    return next((path for path in paths if (root / "reports" / path).exists()), None)
