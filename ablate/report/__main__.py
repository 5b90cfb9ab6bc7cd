"""python -m ablate.report [--verify] [NAME] [compare=SETTING,SETTING] [root=DIR]: rebuild reports from the records."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ablate.config import BadInput, plain_line
from ablate.report import build, ledger
from ablate.system.places import expanded
from ablate.system.signals import command


@command
def main(arguments: Sequence[str]) -> int:
    """Print each report's folder.

    Returns 0; 1 where some records cannot be read, or where reports differ from their records; 2 for bad input, and
    where no records can be read. Each of these gets a line on standard error.
    """
    if {"-h", "--help"} & set(arguments):
        print(
            f"{__doc__} Nothing is trained.\n"
            "NAME is a study; without it, every study that has records is rebuilt. compare= puts settings side by "
            "side. Records that cannot be read are named, and the others are rebuilt (exit 1). "
            "--verify writes nothing: it recomputes every number of the reports, and names those that differ (exit 1)."
        )
        return 0
    try:
        if "--verify" in arguments:
            return check([argument for argument in arguments if argument != "--verify"])
        return rebuild(arguments)
    except BadInput as error:
        complain(error)
        return 2
    except OSError as error:
        print(f"ablate.report: {error.filename or 'a file'} cannot be written: {error.strerror}", file=sys.stderr)
        return 2


def complain(error: BadInput) -> None:
    print(f"ablate.report: {plain_line(str(error))}", file=sys.stderr)


def rebuild(arguments: Sequence[str]) -> int:
    """Rebuild what can be read, and name what cannot."""
    names, options = parsed(arguments, {"root", "compare"})
    root, found = known(names, options)
    wanted = {study: found[study] for study in names or found}
    folders, unread = [], 0
    for make in comparisons(root, wanted, options["compare"]) if "compare" in options else reports(root, wanted):
        try:
            folders.append(make())
        except BadInput as error:
            complain(error)
            unread += 1
    if not folders:
        return 2
    ledger(root)
    for folder in folders:
        print(folder)
    return 1 if unread else 0


def reports(root: Path, found: dict[str, list[str]]) -> list[Callable[[], Path]]:
    """Functions that build the report of each setting."""
    return [partial(build, root, study, setting) for study, settings in found.items() for setting in settings]


def comparisons(root: Path, found: dict[str, list[str]], text: str) -> list[Callable[[], Path]]:
    """Functions that compare these settings, in every study that has them all. Raises BadInput."""
    from ablate.report.setting_names import compared_settings
    from ablate.report.side_by_side import compare

    return [partial(compare, root, study, settings) for study, settings in compared_settings(text, found).items()]


def check(arguments: Sequence[str]) -> int:
    """Compare the reports with their records, and print how much was compared, or the first differences."""
    names, options = parsed(arguments, {"root"})
    root, _ = known(names, options)
    from ablate.report.verify import verify
    from ablate.report.wording import listed, plural

    found = verify(root, names)
    for drawn_by, count in Counter(found.undrawn.values()).items():
        reports = f"the figures and pages of {plural(count, 'report')}"
        print(f"not compared: {reports}, drawn by {drawn_by or 'versions that they do not name'}")
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


def parsed(arguments: Sequence[str], allowed: set[str]) -> tuple[list[str], dict[str, str]]:
    """The study, if one is named, and the options. Raises BadInput."""
    names = [argument for argument in arguments if "=" not in argument]
    options = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    if len(names) > 1 or set(options) - allowed:
        raise BadInput(f"unexpected arguments: {' '.join(arguments)}; it takes [NAME] [compare=A,B] [root=DIR]")
    return names, options


def known(names: Sequence[str], options: dict[str, str]) -> tuple[Path, dict[str, list[str]]]:
    """The root, and the studies with their settings. Raises BadInput."""
    from ablate.records.read import settings

    root = expanded(options.get("root", "."), "root")
    found = settings(root)
    if not found:
        raise BadInput(f"no study has records under {root / 'experiments'}; python -m ablate +sweep=NAME makes some")
    if names and names[0] not in found:
        raise BadInput(f"study {names[0]} has no records; these have: {', '.join(found)}")
    return root, found


OF_A_FILE, IN_ALL = 3, 12  # differences shown


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
