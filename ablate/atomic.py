"""Files that are there whole or not at all, whoever dies while writing one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

try:
    import fcntl
except ImportError:  # not Unix: nothing is swept there
    fcntl = None  # type: ignore[assignment]

PART = ".part"  # ends the name of a file in the making


def write_atomic(path: Path, content: str | bytes) -> None:
    """Put a file in place whole or not at all, and on the disk before it bears its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = in_the_making(path)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)  # while it is locked, lest it be swept
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def in_the_making(path: Path) -> tuple[int, str]:
    """A new file beside `path` and its descriptor, locked for as long as that is open."""
    while True:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PART)
        lock(descriptor, wait=True)
        if os.path.exists(temporary):  # else it was swept before it was locked
            return descriptor, temporary
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove what processes that died left in the making in a folder. What a living one is at is locked."""
    for path in folder.glob(f".*{PART}"):
        with contextlib.suppress(OSError):  # another was faster, or may do what we may not
            descriptor = os.open(path, os.O_RDWR)
            try:
                if lock(descriptor, wait=False):
                    path.unlink()
            finally:
                os.close(descriptor)


def lock(descriptor: int, wait: bool) -> bool:
    """Lock an open file until it is closed or its process dies; False where that cannot be."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # it is taken, or this file system has no locks
        return False
    return True


def sync_folder(folder: Path) -> None:
    """Put a folder's names on the disk, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
