"""Paths from the user, and the default folder of the cache."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ablate.config import BadInput


def expanded(path: str, key: str) -> Path:
    """The path with ~ and ~user replaced by home folders. `key` is the key that set it. Raises BadInput."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        start = Path(path).parts[0]
        raise BadInput(f"{key}={path}: {start} has no home folder here; write the path in full") from None


def cache_folder() -> Path:
    """ABLATE_CACHE of the environment, or `ablate` in the user's cache folder. Raises BadInput."""
    named = os.environ.get("ABLATE_CACHE")
    if named:
        return expanded(named, "ABLATE_CACHE").absolute()
    home = home_folder()
    if home is not None:
        return home / ".cache" / "ablate"
    caches = os.environ.get("XDG_CACHE_HOME")
    return Path(caches).absolute() / "ablate" if caches else private_temporary_folder()


def home_folder() -> Path | None:
    """The user's home folder; None if HOME is not set and the system does not know the user, as in many containers."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def check_current_folder() -> None:
    """Raise BadInput if the current folder has been deleted."""
    try:
        os.getcwd()
    except OSError as error:
        raise BadInput(f"the current folder cannot be used ({error.strerror}): change to another with cd") from None


def private_temporary_folder() -> Path:
    """A folder among the temporary files that only this user can read. Raises BadInput."""
    folder = Path(tempfile.gettempdir()) / f"ablate-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.lstat().st_uid == os.getuid():
            return folder
        why = "it belongs to another user"
    except OSError as error:
        why = error.strerror or type(error).__name__
    raise BadInput(f"this user has no home folder, and the cache cannot be in {folder} ({why}): set ABLATE_CACHE")
