"""python -m ablate.report [--verify] [NAME] [compare=SETTING,SETTING] [root=DIR] [plugins=FILE.py]: rebuild reports
from the records."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ablate.config import BadInput, plain_line
from ablate.plugins import settle
from ablate.report import build, ledger
from ablate.store.plugin_files import listed, load
from ablate.system.places import expanded
from ablate.system.signals import command


@command
def main(arguments: Sequence[str]) -> int:
    """Print each report's folder. Returns 0, or 2 for bad input, which gets one line on standard error; 1 where
    reports do not hold against their records."""
    if {"-h", "--help"} & set(arguments):
        print(
            f"{__doc__} Nothing is trained.\n"
            "NAME is a study; without it, every study that has records is rebuilt. compare= holds settings together; "
            "plugins= adds metrics and figures. --verify writes nothing: it recomputes every number of the reports, "
            "and names those that differ (exit 1)."
        )
        return 0
    try:
        if "--verify" in arguments:
            return check([argument for argument in arguments if argument != "--verify"])
        rebuild(arguments)
    except BadInput as error:
        print(f"ablate.report: {plain_line(str(error))}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"ablate.report: {error.filename or 'a file'} cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    return 0


def rebuild(arguments: Sequence[str]) -> None:
    names, options = told(arguments, {"root", "compare", "plugins"})
    root, found = known(names, options)
    if "compare" in options:
        folders = side_by_side(root, {study: found[study] for study in names or found}, options["compare"].split(","))
    else:
        folders = [build(root, study, setting) for study in names or found for setting in found[study]]
    ledger(root)
    for folder in folders:
        print(folder)


def check(arguments: Sequence[str]) -> int:
    """Hold the reports against their records, and say how much of them, or the first differences."""
    names, options = told(arguments, {"root", "plugins"})
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


def told(arguments: Sequence[str], allowed: set[str]) -> tuple[list[str], dict[str, str]]:
    """The study, if one is named, and the options. Raises BadInput."""
    names = [argument for argument in arguments if "=" not in argument]
    options = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    if len(names) > 1 or set(options) - allowed:
        raise BadInput(
            f"unexpected arguments: {' '.join(arguments)}; it takes [NAME] [compare=A,B] [root=DIR] [plugins=FILE.py]"
        )
    load(listed(options.get("plugins", "")))
    settle()
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
