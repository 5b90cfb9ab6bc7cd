"""Rebuilding reports from the records, and holding reports against them: what `python -m ablate.report` does."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ablate.config import BadInput
from ablate.report import build, ledger


def rebuild(root: Path, names: Sequence[str], compare: str | None = None) -> int:
    """Write the reports of these studies, or of all, or a comparison of settings. Raises BadInput."""
    found = known(root, names)
    try:
        if compare is not None:
            folders = side_by_side(root, {study: found[study] for study in names or found}, compare.split(","))
        else:
            folders = [build(root, study, setting) for study in names or found for setting in found[study]]
        ledger(root)
    except OSError as error:
        raise BadInput(f"{error.filename or 'a file'} cannot be written: {error.strerror}") from None
    for folder in folders:
        print(folder)
    return 0


def check(root: Path, names: Sequence[str]) -> int:
    """Recompute the reports, and print how much was compared, or the first differences. Raises BadInput."""
    known(root, names)
    from ablate.report.verify import verify
    from ablate.report.wording import listed, plural

    found = verify(root, names)
    for drawn_by, count in Counter(found.undrawn.values()).items():
        reports = f"the figures and pages of {plural(count, 'report')}"
        print(f"not compared: {reports}, drawn by {drawn_by or 'versions that they do not name'}")
    if found.without_curves:
        print(f"not checked: the curves of {plural(found.without_curves, 'run')}, which the records mark as damaged")
    if not found.differences:
        print(f"reports hold: {listed([plural(count, thing) for thing, count in found.checked.items()])}")
        return 0
    print(
        f"ablate.report: {plural(len(found.differences), 'difference')} between reports and records:", file=sys.stderr
    )
    shown: Counter[str] = Counter()
    for each in found.differences:
        if shown[each.file] < OF_A_FILE and shown.total() < IN_ALL:
            shown[each.file] += 1
            print(f"  {each}", file=sys.stderr)
    return 1


def known(root: Path, names: Sequence[str]) -> dict[str, list[str]]:
    """Every study that has records, with its settings. Raises BadInput where one of `names` is not among them."""
    from ablate.records.read import settings

    found = settings(root)
    if not found:
        raise BadInput(f"no study has records under {root / 'experiments'}; python -m ablate +sweep=NAME makes some")
    for name in names:
        if name not in found:
            raise BadInput(f"study {name} has no records; these have: {', '.join(found)}")
    return found


def side_by_side(root: Path, found: dict[str, list[str]], settings: list[str]) -> list[Path]:
    """The comparisons of these settings, of every study in `found` (study -> its settings) that has them all."""
    if len(set(settings)) < 2:
        raise BadInput(f"compare={','.join(settings)}: give two settings or more, with commas between")
    studies = [study for study, known in found.items() if set(settings) <= set(known)]
    if not studies:
        known = "; ".join(f"{study} has {', '.join(names)}" for study, names in found.items())
        raise BadInput(f"compare={','.join(settings)}: no study has records in all of them; {known}")
    from ablate.report.side_by_side import compare

    return [compare(root, study, settings) for study in studies]


OF_A_FILE, IN_ALL = 3, 12  # differences shown
