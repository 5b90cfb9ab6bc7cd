"""python -m ablate.report [NAME] [compare=SETTING,SETTING] [root=DIR]: rebuild reports from the records."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ablate.config import BadInput
from ablate.report import build, ledger


def main(arguments: Sequence[str]) -> int:
    """Print each report's folder. Returns 0, or 2 for bad input, which gets one line on standard error."""
    if {"-h", "--help"} & set(arguments):
        print(
            f"{__doc__} Nothing is trained.\n"
            "NAME is a study; without it, every study that has records is rebuilt. compare= puts settings side by side."
        )
        return 0
    try:
        rebuild(arguments)
    except BadInput as error:
        print(f"ablate.report: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"ablate.report: {error.filename or 'a file'} cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    return 0


def rebuild(arguments: Sequence[str]) -> None:
    from ablate.report.records import settings

    names = [argument for argument in arguments if "=" not in argument]
    options = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    if len(names) > 1 or set(options) - {"root", "compare"}:
        raise BadInput(f"unexpected arguments: {' '.join(arguments)}; it takes [NAME] [compare=A,B] [root=DIR]")
    root = Path(options.get("root", "."))
    found = settings(root)
    if not found:
        raise BadInput(f"no study has records under {root / 'experiments'}; python -m ablate +sweep=NAME makes some")
    if names and names[0] not in found:
        raise BadInput(f"study {names[0]} has no records; these have: {', '.join(found)}")
    if "compare" in options:
        folders = side_by_side(root, {study: found[study] for study in names or found}, options["compare"].split(","))
    else:
        folders = [build(root, study, setting) for study in names or found for setting in found[study]]
    ledger(root)
    for folder in folders:
        print(folder)


def side_by_side(root: Path, found: dict[str, list[str]], settings: list[str]) -> list[Path]:
    """The comparisons of these settings, of every study in `found` (study -> its settings) that has them all."""
    if len(set(settings)) < 2:
        raise BadInput(f"compare={','.join(settings)}: give two settings or more, with commas between")
    studies = [study for study, known in found.items() if set(settings) <= set(known)]
    if not studies:
        known = "; ".join(f"{study} has {', '.join(names)}" for study, names in found.items())
        raise BadInput(f"compare={','.join(settings)}: no study has records in all of them; {known}")
    from ablate.report.compare import compare

    return [compare(root, study, settings) for study in studies]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
