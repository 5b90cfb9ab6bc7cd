"""Rebuild reports from the records, or compare reports with their records: the work of `python -m ablate.report`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ablate.config import BadInput
from ablate.records.read import settings
from ablate.report import side_by_side
from ablate.report.index import ledger
from ablate.report.render import build
from ablate.report.setting_names import compared_settings
from ablate.report.verify import verify
from ablate.report.wording import listed, plural
from ablate.system.command_line import complain

OF_A_FILE, IN_ALL = 3, 12  # differences that are printed


def rebuild(root: Path, names: Sequence[str], compare: str | None = None) -> int:
    """Write the reports of these studies, or of all, or a comparison of settings, and print their folders.

    Records that cannot be read get a line; the other reports are written. Returns 0, 1 if some records could not be
    read, 2 if none could. Raises BadInput.
    """
    found = known(root, names)
    wanted = {study: found[study] for study in names or found}
    if compare is None:
        tasks = [partial(build, root, study, setting) for study, members in wanted.items() for setting in members]
    else:
        compared = compared_settings(compare, wanted)
        tasks = [partial(side_by_side.compare, root, study, members) for study, members in compared.items()]
    folders, unread = [], 0
    try:
        for make in tasks:
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


def check(root: Path, names: Sequence[str]) -> int:
    """Recompute the reports, and print how much was compared, or the first differences. Raises BadInput."""
    known(root, names)
    found = verify(root, names)
    for drawn_by, count in Counter(found.undrawn.values()).items():
        reports = f"the figures and pages of {plural(count, 'report')}"
        print(f"not compared: {reports}, drawn by {drawn_by or 'versions that they do not name'}")
    if found.without_curves:
        print(f"not checked: the curves of {plural(found.without_curves, 'run')}, which the records mark as damaged")
    if not found.differences:
        print(f"reports hold: {listed([plural(count, thing) for thing, count in found.checked.items()])}")
        return 0
    total = plural(len(found.differences), "difference")
    print(f"ablate.report: {total} between reports and records:", file=sys.stderr)
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
    """Every study that has records, with its settings. Raises BadInput if one of `names` is not among them."""
    found = settings(root)
    if not found:
        raise BadInput(f"no study has records under {root / 'experiments'}; python -m ablate +sweep=NAME makes some")
    for name in names:
        if name not in found:
            raise BadInput(f"study {name} has no records; these have: {', '.join(found)}")
    return found
