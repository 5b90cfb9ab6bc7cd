"""Write reports/README.md: every claim with its verdicts by setting, and every study with its settings and answers."""

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
from ablate.report.text.claim_tables import Judged, all_claims, judged
from ablate.report.text.training_budget import length
from ablate.report.wording import escape, plural, spoken
from ablate.system.atomic import sweep, write_atomic
from ablate.system.locks import lock


@dataclass(frozen=True)
class Entry:
    """A setting of a study in the index."""

    setting: str
    answer: str


@dataclass(frozen=True)
class Section:
    """A study in the index."""

    study: str
    question: str
    entries: list[Entry]
    shown: tuple[str, str] | None  # setting and path, from reports/, of a figure
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
    sections, claims, shared, faults = gather(root)
    return TEMPLATES.get_template("ledger.md.j2").render(
        sections=sections, table=all_claims(claims), shared=shared, faults=faults
    )


def gather(root: Path) -> tuple[list[Section], list[Judged], list[str], list[str]]:
    """Studies, claims in each setting, shared runs, and a line for each folder that cannot be read."""
    used: dict[str, list[str]] = {}
    sections: list[Section] = []
    claims: list[Judged] = []
    faults: list[str] = []
    for study, names in settings(root).items():
        entries: list[Entry] = []
        question = ""
        for setting in names:
            folder = root / "experiments" / study / setting
            try:
                data = read_outline(folder)
                if data.manifest["preset"] == "smoke":
                    continue
                entry = Entry(setting, f"{answer(data)} {escape(length(data))}".rstrip())
                of_setting = judged(data)
                entries.append(entry)
                claims += of_setting
                question = data.declared.question
                for run in data.runs:
                    used.setdefault(run["run_id"], []).append(f"{study}/{setting}")
            except BadInput as error:
                faults.append(escape(plain_line(str(error).replace(f"{root}{os.sep}", ""))))
        if entries:
            pictures = ((each.setting, thumbnail(root, f"{study}/{each.setting}")) for each in entries)
            shown = next(((setting, path) for setting, path in pictures if path), None)
            notes = (root / "experiments" / study / "README.md").exists()
            sections.append(Section(study, question, entries, shown, notes, side_by_side(root, study, names)))
    return sections, claims, sharing(used), faults


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
    """The first figure of a report."""
    paths = (f"{report}/figures/{name}.png" for name in FIGURES)
    return next((path for path in paths if (root / "reports" / path).exists()), None)
