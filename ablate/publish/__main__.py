"""python -m ablate.publish NAME [setting=SETTING] [root=DIR] [project=NAME] [entity=NAME] [plugins=FILE.py]
[dry_run=true]

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

from ablate.config import BadInput, WandbConfig
from ablate.store.plugin_files import listed, load
from ablate.system.places import expanded
from ablate.system.signals import command
from ablate.tracking import access

OPTIONS = ("setting", "root", "project", "entity", "dry_run", "plugins")


@command
def main(arguments: Sequence[str]) -> int:
    """Print the addresses of what was made. Returns 0, or 2 with one line on standard error."""
    if {"-h", "--help"} & set(arguments):
        print((__doc__ or "").strip())
        return 0
    try:
        publish(arguments)
    except BadInput as error:
        print(f"ablate.publish: {error}", file=sys.stderr)
        return 2
    return 0


def publish(arguments: Sequence[str]) -> None:
    names = [argument for argument in arguments if "=" not in argument]
    options = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    if len(names) != 1 or set(options) - set(OPTIONS):
        raise BadInput(f"it takes NAME and {', '.join(f'{key}=' for key in OPTIONS)}; got: {' '.join(arguments)}")
    dry_run = options.get("dry_run", "false").lower()
    if dry_run not in ("true", "false"):
        raise BadInput(f"dry_run={options['dry_run']} must be true or false")
    load(listed(options.get("plugins", "")))
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
    from ablate.records.read import read_records

    records = [read_records(root / "experiments" / names[0] / setting) for setting in chosen]
    named = WandbConfig(project=options.get("project"), entity=options.get("entity"))
    entity = access.entity(named) or ("ENTITY" if dry_run == "true" else default_entity())
    address = Address(entity, access.project(named))
    if dry_run == "true":
        print(json.dumps({f"{names[0]}/{data.setting}": plain(data, root, address) for data in records}, indent=1))
        return
    for data in records:
        for url in save(data, root, address):
            print(url)


def settings_of(root: Path, study: str, setting: str | None) -> list[str]:
    """The settings to publish. Raises BadInput that names the choices."""
    from ablate.records.read import read_manifest, settings

    found = settings(root)
    if study not in found:
        have = f"these have: {', '.join(found)}" if found else f"nothing has, under {root / 'experiments'}"
        raise BadInput(f"study {study} has no records; {have}")
    if setting is not None and setting not in found[study]:
        raise BadInput(f"study {study} has no setting {setting}; it has: {', '.join(found[study])}")
    presets = {name: read_manifest(root / "experiments" / study / name)["preset"] for name in found[study]}
    real = [name for name, preset in presets.items() if preset != "smoke"]
    return [setting] if setting else real or found[study]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
