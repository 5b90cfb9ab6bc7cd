"""Whether W&B can be had on this machine, and how: found out without importing it."""

from __future__ import annotations

import importlib.util
import netrc
import os
from urllib.parse import urlsplit

from ablate.config import BadInput, WandbConfig, WandbMode


def check(wandb: WandbConfig) -> None:
    """Raise BadInput where W&B was asked for by name and cannot be had, before anything trains."""
    if wandb.mode in (WandbMode.online, WandbMode.offline) and not installed():
        raise BadInput(f"wandb.mode={wandb.mode.name} needs wandb (pip install wandb), or take wandb.mode=disabled")
    if wandb.mode is WandbMode.online and not has_key():
        raise BadInput(
            f"wandb.mode=online finds no key for {base_url()}: run `wandb login`, set WANDB_API_KEY, or take "
            "wandb.mode=offline"
        )


def resolve(mode: WandbMode) -> WandbMode:
    """What `auto` comes to on this machine: what WANDB_MODE says; else online with a key, offline without one."""
    if mode is not WandbMode.auto:
        return mode
    wish = os.environ.get("WANDB_MODE")
    if wish == "disabled" or not installed():
        return WandbMode.disabled
    return WandbMode.offline if wish in ("offline", "dryrun") or not has_key() else WandbMode.online


def installed() -> bool:
    """Found without importing it. A folder that only happens to be called wandb, as W&B's own is, has no origin."""
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
