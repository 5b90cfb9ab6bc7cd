"""python -m ablate.report [NAME] [root=DIR]: rebuild reports from the records, without training anything."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ablate.config import BadInput
from ablate.report import build, ledger


def main(arguments: Sequence[str]) -> int:
    """Print each report's folder. Returns 0, or 2 for bad input, which gets one line on standard error."""
    if {"-h", "--help"} & set(arguments):
        print(f"{__doc__} NAME is a study; without it, every study that has records is rebuilt.")
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
    if len(names) > 1 or set(options) - {"root"}:
        raise BadInput(f"unexpected arguments: {' '.join(arguments)}; it takes [NAME] [root=DIR]")
    root = Path(options.get("root", "."))
    found = settings(root)
    if not found:
        raise BadInput(f"no study has records under {root / 'experiments'}; python -m ablate +sweep=NAME makes some")
    if names and names[0] not in found:
        raise BadInput(f"study {names[0]} has no records; these have: {', '.join(found)}")
    folders = [build(root, study, setting) for study in names or found for setting in found[study]]
    ledger(root)
    for folder in folders:
        print(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
