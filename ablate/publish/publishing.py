"""From the records of a study to its view and report in W&B: what `python -m ablate.publish` does."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

from ablate.config import BadInput, WandbConfig
from ablate.tracking import access
from ablate.tracking.variables import check_variables


def publish(root: Path, study: str, setting: str | None, wandb: WandbConfig, dry_run: bool) -> None:
    """Publish one setting, or all that are not smoke, and print the addresses. Raises BadInput."""
    chosen = settings_of(root, study, setting)
    if importlib.util.find_spec("wandb_workspaces") is None:
        raise BadInput('this needs wandb-workspaces: pip install "ablate[publish]"')
    if not dry_run and not access.has_key():
        raise BadInput(
            f"no key for {access.base_url()}: set WANDB_API_KEY or run `wandb login`; dry_run=true needs none"
        )
    access.normalise_mode()
    check_variables()
    os.environ["WANDB_SILENT"] = "true"  # this command prints all that a user needs
    from ablate.publish.objects import Address, plain
    from ablate.publish.server import default_entity, save
    from ablate.records.read import read_records

    records = [read_records(root / "experiments" / study / each) for each in chosen]
    entity = access.entity(wandb) or ("ENTITY" if dry_run else default_entity())
    address = Address(entity, access.project(wandb))
    if dry_run:
        print(json.dumps({f"{study}/{data.setting}": plain(data, root, address) for data in records}, indent=1))
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
