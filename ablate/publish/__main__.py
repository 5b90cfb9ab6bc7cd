"""python -m ablate.publish NAME [setting=SETTING] [root=DIR] [project=NAME] [entity=NAME] [dry_run=true]

Makes or renews, for each setting of the study NAME (those that are not smoke, unless one is named), a saved view and a
report in W&B, out of the records. dry_run=true prints them as JSON, needs no key and sends nothing.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ablate.config import BadInput, WandbConfig, plain_line
from ablate.system.places import expanded
from ablate.system.signals import command
from ablate.tracking import access

OPTIONS = ("setting", "root", "project", "entity", "dry_run")


@command
def main(arguments: Sequence[str]) -> int:
    """Print the addresses of what was made.

    Returns 0; 1 where some records cannot be read; 2 for bad input. Each of these gets a line on standard error.
    """
    if {"-h", "--help"} & set(arguments):
        print((__doc__ or "").strip())
        return 0
    try:
        return publish(arguments)
    except BadInput as error:
        complain(error)
        return 2


def complain(error: BadInput) -> None:
    print(f"ablate.publish: {plain_line(str(error))}", file=sys.stderr)


def publish(arguments: Sequence[str]) -> int:
    """Publish what can be read, and name what cannot."""
    names = [argument for argument in arguments if "=" not in argument]
    options = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    if len(names) != 1 or set(options) - set(OPTIONS):
        raise BadInput(f"it takes NAME and {', '.join(f'{key}=' for key in OPTIONS)}; got: {' '.join(arguments)}")
    dry_run = options.get("dry_run", "false").lower()
    if dry_run not in ("true", "false"):
        raise BadInput(f"dry_run={options['dry_run']} must be true or false")
    root = expanded(options.get("root", "."), "root")
    chosen = settings_of(root, names[0], options.get("setting"))
    if importlib.util.find_spec("wandb_workspaces") is None:
        raise BadInput('this needs wandb-workspaces: pip install "ablate[publish]"')
    if dry_run == "false" and not access.has_key():
        raise BadInput(
            f"no key for {access.base_url()}: set WANDB_API_KEY or run `wandb login`; dry_run=true needs none"
        )
    access.spell_mode()
    os.environ["WANDB_SILENT"] = "true"  # what there is to say is said here
    from ablate.publish.objects import Address, plain
    from ablate.publish.server import default_entity, save
    from ablate.records.read import ReportData, read_records

    records: list[ReportData] = []
    for setting in chosen:
        try:
            records.append(read_records(root / "experiments" / names[0] / setting))
        except BadInput as error:
            complain(error)
    if not records:
        return 2
    code = 0 if len(records) == len(chosen) else 1
    records = [data for data in records if data.manifest["preset"] != "smoke"] or records
    named = WandbConfig(project=options.get("project"), entity=options.get("entity"))
    entity = access.entity(named) or ("ENTITY" if dry_run == "true" else default_entity())
    address = Address(entity, access.project(named))
    if dry_run == "true":
        print(json.dumps({f"{names[0]}/{data.setting}": plain(data, root, address) for data in records}, indent=1))
        return code
    for data in records:
        for url in save(data, root, address):
            print(url)
    return code


def settings_of(root: Path, study: str, setting: str | None) -> list[str]:
    """The setting that is named, or else all. Raises BadInput that names the choices."""
    from ablate.records.read import settings

    found = settings(root)
    if study not in found:
        have = f"these have: {', '.join(found)}" if found else f"nothing has, under {root / 'experiments'}"
        raise BadInput(f"study {study} has no records; {have}")
    if setting is not None and setting not in found[study]:
        raise BadInput(f"study {study} has no setting {setting}; it has: {', '.join(found[study])}")
    return [setting] if setting else found[study]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
