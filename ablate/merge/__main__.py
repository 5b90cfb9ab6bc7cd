"""python -m ablate.merge FOLDER [root=DIR]: runs that were trained elsewhere join this store.

A run is known by its id, which says all that determines it. What is here and done is never touched; where the other
store has something else under the same id, that is a conflict, which is named. Exit code 1 if there was any.
"""

from __future__ import annotations

import sys

from ablate.config import BadInput
from ablate.merge.joining import merge
from ablate.store.folders import Store
from ablate.system.places import expanded
from ablate.system.signals import command


@command
def main(arguments: list[str]) -> int:
    roots = [word.removeprefix("root=") for word in arguments if word.startswith("root=")]
    folders = [word for word in arguments if not word.startswith(("root=", "-"))]
    try:
        if len(folders) != 1 or len(folders) + len(roots) != len(arguments):
            raise BadInput("give one folder, another store or its runs/: python -m ablate.merge FOLDER [root=DIR]")
        conflicts = merge(
            expanded(folders[0], "FOLDER"), Store(expanded(roots[-1] if roots else ".", "root").resolve())
        )
    except BadInput as error:
        print(f"ablate: {error}", file=sys.stderr)
        return 2
    return 1 if conflicts else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
