"""The ledger: every claim of every setting, its verdict and the evidence, in one table."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ablate.analysis.claims import judge_all
from ablate.config import BadInput
from ablate.report.claims import CLAIMS, claim_rows
from ablate.report.records import read_runs, settings
from ablate.report.render import TEMPLATES
from ablate.report.wording import escape, table
from ablate.store import write_atomic

HEADER = [*CLAIMS, "study", "setting"]


def ledger(root: Path) -> Path:
    """Rewrite `reports/README.md` from the records of every setting that is not smoke, and return it."""
    path = root / "reports" / "README.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.parent):
        rows, faults = gather(root)
        text = TEMPLATES.get_template("ledger.md.j2").render(
            table=table(HEADER, rows, right=[5, 6]) if rows else "", faults=faults
        )
        write_atomic(path, text)
    return path


def gather(root: Path) -> tuple[list[list[str]], list[str]]:
    """Rows sorted by claim, and a line for each folder whose records cannot be read: it must not hide the others."""
    rows: list[tuple[str, list[str]]] = []
    faults: list[str] = []
    for study, names in settings(root).items():
        for setting in names:
            try:
                manifest, found, runs = read_runs(root / "experiments" / study / setting)
                if manifest["preset"] != "smoke":
                    verdicts = judge_all(found, runs, manifest["command"])
                    where = [escape(study), f"[{escape(setting)}](<{study}/{setting}/report.md>)"]
                    rows += [(verdict.claim.id, [*row, *where]) for verdict in verdicts for row in claim_rows(verdict)]
            except BadInput as error:
                faults.append(escape(str(error).replace(f"{root}{os.sep}", "")))
    return [row for _, row in sorted(rows, key=lambda entry: entry[0])], faults


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder against other processes that rewrite the ledger, where the system has such locks."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
