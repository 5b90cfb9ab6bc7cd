"""Find out whether and how W&B can be used on this machine, without importing wandb.

W&B's environment variables apply if the command line sets nothing, except those that name or place a single run.
"""

from __future__ import annotations

import importlib.util
import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from ablate.config import BadInput, WandbConfig, WandbMode
from ablate.system.places import home_folder

PROJECT = "ablate"  # the default
REFUSED, LONGEST_NAME = "/\\#?%:", 128  # characters, and their number, of a project or an entity
MODES = {  # of WANDB_MODE; wandb itself accepts lower case only
    "online": WandbMode.online,
    "run": WandbMode.online,
    "shared": WandbMode.online,
    "offline": WandbMode.offline,
    "dryrun": WandbMode.offline,
    "disabled": WandbMode.disabled,
    "": WandbMode.auto,
}
TRUE = ("true", "1", "yes", "on")
# read here, and passed on as arguments
RESOLVED = ("WANDB_MODE", "WANDB_DISABLED", "WANDB_PROJECT", "WANDB_ENTITY", "WANDB_TAGS")
OWN = {  # variable -> what ablate sets itself for each run
    **dict.fromkeys(("WANDB_RUN_ID", "WANDB_RESUME", "WANDB_RESUME_FROM", "WANDB_FORK_FROM", "WANDB_SWEEP_ID"), "ids"),
    "WANDB_NAME": "names",
    "WANDB_RUN_GROUP": "groups",
    "WANDB_JOB_TYPE": "job types",
    "WANDB_DIR": "folders",
}


def check(wandb: WandbConfig) -> None:
    """Raise BadInput if W&B was requested and cannot be used, before anything is trained."""
    if wandb.mode is WandbMode.auto:
        environment_mode()
    for key, name in (("project", project(wandb)), ("entity", entity(wandb) or "")):
        if len(name) > LONGEST_NAME or set(name) & set(REFUSED):
            raise BadInput(
                f"wandb.{key}={name[:LONGEST_NAME]} is not a valid name in W&B: it may have {LONGEST_NAME} characters, "
                f"and none of {' '.join(REFUSED)}"
            )
    if wandb.mode in (WandbMode.online, WandbMode.offline) and not installed():
        raise BadInput(f"wandb.mode={wandb.mode.name} needs wandb (pip install wandb); or set wandb.mode=disabled")
    if wandb.mode is WandbMode.online and not has_key():
        raise BadInput(
            f"wandb.mode=online finds no key for {base_url()}: run `wandb login`, set WANDB_API_KEY, or set "
            "wandb.mode=offline"
        )


def resolve(mode: WandbMode) -> WandbMode:
    """The meaning of `auto` on this machine: the mode of WANDB_MODE, or else online with a key and offline without."""
    if mode is not WandbMode.auto:
        return mode
    requested = environment_mode()
    if requested is WandbMode.disabled or not installed():
        return WandbMode.disabled
    return WandbMode.offline if requested is WandbMode.offline or not has_key() else WandbMode.online


def environment_mode() -> WandbMode:
    """The mode that the environment sets; auto if it sets none. Raises BadInput for an unknown mode."""
    if os.environ.get("WANDB_DISABLED", "").strip().lower() in TRUE:
        return WandbMode.disabled
    given = os.environ.get("WANDB_MODE", "")
    if given.strip().lower() not in MODES:
        raise BadInput(
            f"WANDB_MODE={given} is not a mode of W&B: it may be {', '.join(filter(None, MODES))}; wandb.mode= on the "
            "command line overrides it"
        )
    return MODES[given.strip().lower()]


def normalise_mode() -> None:
    """Write WANDB_MODE in the form that wandb accepts, for this process. Raises BadInput for an unknown mode."""
    environment_mode()
    if given := os.environ.pop("WANDB_MODE", "").strip().lower():
        os.environ["WANDB_MODE"] = given


def project(wandb: WandbConfig) -> str:
    return wandb.project or os.environ.get("WANDB_PROJECT") or PROJECT


def entity(wandb: WandbConfig) -> str | None:
    return wandb.entity or os.environ.get("WANDB_ENTITY") or None


def tags() -> list[str]:
    """The tags in WANDB_TAGS."""
    return [tag.strip() for tag in os.environ.get("WANDB_TAGS", "").split(",") if tag.strip()]


def unused(environment: Mapping[str, str] = os.environ) -> str | None:
    """A line about variables that are set but have no effect, if there are any."""
    found = [name for name in OWN if environment.get(name)]
    if not found:
        return None
    why = " and ".join(dict.fromkeys(OWN[name] for name in found))
    return f"W&B: {', '.join(found)} in the environment has no effect: a study gives its runs {why} of their own"


def environment(folder: Path) -> dict[str, str]:
    """The environment for wandb: this process's, without the variables that ablate reads or sets itself.

    wandb needs a home folder: `folder` is used if the user has none.
    """
    found = {name: value for name, value in os.environ.items() if name not in (*OWN, *RESOLVED)}
    return found if home_folder() is not None else found | {"HOME": str(folder)}


def installed() -> bool:
    """Whether wandb is installed, without importing it. A mere folder called wandb has no origin."""
    spec = importlib.util.find_spec("wandb")
    return spec is not None and spec.origin is not None


def has_key() -> bool:
    """Whether wandb would find credentials in the environment or in the netrc file."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    candidates = [os.environ["NETRC"]] if os.environ.get("NETRC") else ["~/.netrc", "~/_netrc"]
    for path in map(os.path.expanduser, candidates):
        try:
            if netrc.netrc(path).authenticators(urlsplit(base_url()).netloc):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def base_url() -> str:
    return os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai"
