"""Send requests to W&B's server: for the default entity, and to save the report and the view."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import wandb
from wandb_workspaces.workspaces import internal

from ablate.config import BadInput
from ablate.publish.objects import Address, report, title, workspace
from ablate.records.report_data import ReportData
from ablate.system.waiting import in_time
from ablate.tracking import access, wandb_id

ANSWERS = 10.0  # seconds that the server may take for its first answer
DEADLINE = 60.0  # seconds that any other request may take

T = TypeVar("T")


def default_entity() -> str:
    """The default entity of the key. Raises BadInput if the server cannot be reached, or refuses the key."""
    check_reachable()
    entity = within_deadline(lambda: wandb.Api().default_entity)
    if not entity:
        raise BadInput(f"{access.base_url()} names no default entity for this key; name one with entity=")
    return str(entity)


def save(data: ReportData, root: Path, address: Address) -> list[str]:
    """Create or update the report and the view; returns their addresses. Raises BadInput."""
    check_reachable()
    return within_deadline(lambda: [save_report(data, root, address), save_workspace(data, root, address)])


def save_report(data: ReportData, root: Path, address: Address) -> str:
    """Save the report in place of the one with the same title."""
    made = report(data, root, address)
    made.id = next((found.id for found in reports(address) if found.display_name == title(data)), "")
    return str(made.save().url)


def reports(address: Address) -> list[Any]:
    """The reports of the project; none if the project does not exist yet. Saving then creates it."""
    try:
        return list(wandb.Api().reports(f"{address.entity}/{address.project}"))
    except ValueError:
        return []


def save_workspace(data: ReportData, root: Path, address: Address) -> str:
    """Save the view in place of an earlier one. A view's name is an id that we choose."""
    made = workspace(data, root, address)
    name = wandb_id(data.study.name, data.setting, "workspace")[:11]  # as long as W&B's own names
    made._internal_name = internal._url_query_str_to_internal_name(name)
    with suppress(ValueError):  # the view does not exist yet
        made._internal_id = internal.get_view_dict(address.entity, address.project, name)["id"]
    return str(made.save().url)


def check_reachable() -> None:
    try:
        urllib.request.urlopen(access.base_url(), timeout=ANSWERS).close()
    except urllib.error.HTTPError:  # the server answered
        pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise BadInput(f"{access.base_url()} cannot be reached ({reason}); dry_run=true needs no network") from None


def within_deadline(work: Callable[[], T]) -> T:
    """The result of `work`. Raises BadInput if it fails or takes too long, because wandb retries for minutes."""
    try:
        return in_time(work, DEADLINE)
    except TimeoutError:
        what = f"no answer within {DEADLINE:g} s"
    except Exception as error:
        what = str(error).partition("\n")[0][:200]
    raise BadInput(f"{access.base_url()}: {what}")
