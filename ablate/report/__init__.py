"""Reports: what a study's records say, in tables, figures and words. Light to import: the work is done elsewhere."""

from __future__ import annotations

from pathlib import Path


def build(root: Path, study: str, setting: str) -> Path:
    """Write `reports/<study>/<setting>/` from the records and return it. Raises BadInput."""
    from ablate.report.render import build

    return build(root, study, setting)


def ledger(root: Path) -> Path:
    """Rewrite `reports/README.md`, the verdicts of every setting that is not smoke, and return it."""
    from ablate.report.index import ledger

    return ledger(root)


def headline(folder: Path) -> list[str]:
    """The results of a report that was built, as lines for a terminal."""
    from ablate.report.text.opening import headline

    return headline(folder)
