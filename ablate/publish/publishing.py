"""Make a study's view and report in W&B from its records: the work of `python -m ablate.publish`."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

from ablate.config import BadInput, WandbConfig
from ablate.system.command_line import complain
from ablate.tracking import access
from ablate.tracking.variables import check_variables


def publish(root: Path, study: str, setting: str | None, wandb: WandbConfig, dry_run: bool) -> int:
    """Publish one setting, or all that are not smoke and can be read, and print the addresses.

    Returns 0, or 1 if some cannot be read; each of them gets a line. Raises BadInput.
    """
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
    from ablate.records.report_data import ReportData

    records: list[ReportData] = []
    for each in chosen:
        try:
            records.append(read_records(root / "experiments" / study / each))
        except BadInput as error:
            complain("ablate.publish", error)
    code = 0 if len(records) == len(chosen) else 1 if records else 2
    records = [data for data in records if data.manifest["preset"] != "smoke"] or records
    if not records:
        return code
    entity = access.entity(wandb) or ("ENTITY" if dry_run else default_entity())
    address = Address(entity, access.project(wandb))
    if dry_run:
        print(json.dumps({f"{study}/{data.setting}": plain(data, root, address) for data in records}, indent=1))
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
