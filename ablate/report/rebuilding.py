"""Rebuilding reports from the records, and holding reports against them: what `python -m ablate.report` does."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ablate.config import BadInput
from ablate.report import build, ledger
from ablate.system.command_line import complain


def rebuild(root: Path, names: Sequence[str], compare: str | None = None) -> int:
    """Write the reports of these studies, or of all, or a comparison of settings, and print their folders.

    Records that cannot be read get a line, and the others their report. Returns 0, 1 where some could not be read, 2
    where none could. Raises BadInput.
    """
    found = known(root, names)
    wanted = {study: found[study] for study in names or found}
    folders, unread = [], 0
    try:
        for make in reports(root, wanted) if compare is None else comparisons(root, wanted, compare):
            try:
                folders.append(make())
            except BadInput as error:
                complain("ablate.report", error)
                unread += 1
        ledger(root)
    except OSError as error:
        raise BadInput(f"{error.filename or 'a file'} cannot be written: {error.strerror}") from None
    for folder in folders:
        print(folder)
    return 2 if not folders else 1 if unread else 0


def reports(root: Path, found: dict[str, list[str]]) -> list[Callable[[], Path]]:
    """Functions that build the report of each setting."""
    return [partial(build, root, study, setting) for study, settings in found.items() for setting in settings]


def comparisons(root: Path, found: dict[str, list[str]], text: str) -> list[Callable[[], Path]]:
    """Functions that compare these settings, in every study that has them all. Raises BadInput."""
    from ablate.report.setting_names import compared_settings
    from ablate.report.side_by_side import compare

    return [partial(compare, root, study, settings) for study, settings in compared_settings(text, found).items()]


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


def show_noise(root: Path) -> int:
    """Print the noise library of every corpus and preset that has records. Raises BadInput."""
    known(root, ())
    from ablate.records.noise_library import library
    from ablate.report.text.detectable import noise_lines

    for (corpus, preset), spreads in library(root).items():
        for line in noise_lines(corpus, preset, spreads):
            print(line)
    return 0


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


OF_A_FILE, IN_ALL = 3, 12  # differences shown
