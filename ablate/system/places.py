"""Paths that the user names, and where the cache is when nobody names one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ablate.config import BadInput


def expanded(path: str, key: str) -> Path:
    """The path with ~ and ~user replaced by home folders. Raises BadInput where there is none; `key` named the path."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        start = Path(path).parts[0]
        raise BadInput(f"{key}={path}: {start} has no home folder here; write the path in full") from None


def cache_folder() -> Path:
    """The environment's ABLATE_CACHE, or a folder of ours among the user's caches. Raises BadInput."""
    named = os.environ.get("ABLATE_CACHE")
    if named:
        return expanded(named, "ABLATE_CACHE").absolute()
    home = home_folder()
    if home is not None:
        return home / ".cache" / "ablate"
    caches = os.environ.get("XDG_CACHE_HOME")
    return Path(caches).absolute() / "ablate" if caches else private_temporary_folder()


def home_folder() -> Path | None:
    """None where there is no HOME, and the system does not know the user either, as in many containers."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def check_current_folder() -> None:
    """Raise BadInput where the folder that the command was given in has been deleted."""
    try:
        os.getcwd()
    except OSError as error:
        raise BadInput(f"the current folder cannot be used ({error.strerror}): change to another with cd") from None


def private_temporary_folder() -> Path:
    """A folder that lasts as long as temporary files do, and belongs to this user. Raises BadInput."""
    folder = Path(tempfile.gettempdir()) / f"ablate-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.lstat().st_uid == os.getuid():
            return folder
        why = "it belongs to somebody else"
    except OSError as error:
        why = error.strerror or type(error).__name__
    raise BadInput(f"this user has no home folder, and the cache cannot be in {folder} ({why}): set ABLATE_CACHE")
