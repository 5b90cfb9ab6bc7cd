"""Files that are there whole or not at all, whoever dies while writing one."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from ablate.system.locks import MARKER, lock

UMASK = os.umask(0o022)
os.umask(UMASK)  # there is no way to ask for it without setting it
PART = ".part"  # ends the name of a file in the making


def write_atomic(path: Path, content: str | bytes) -> None:
    """Put a file in place whole or not at all, and on the disk before it bears its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            _write(path, content)
            break
        except FileNotFoundError:  # another process swept the new file in the moment before it was locked
            if not path.parent.is_dir():
                raise
    sync_folder(path.parent)


def _write(path: Path, content: str | bytes) -> None:
    with in_the_making(path) as temporary:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~UMASK)  # the lock may have made it with fewer rights
        temporary.replace(path)


@contextlib.contextmanager
def in_the_making(path: Path) -> Iterator[Path]:
    """Where to write what is to become `path`. `sweep` leaves it alone until the block ends."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART}")
    with lock(temporary):
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Delete temporary files that crashed writers left in a folder. Living writers hold a lock."""
    for path in {path.with_name(path.name.removesuffix(MARKER)) for path in folder.glob(f".*{PART}*")}:
        with contextlib.suppress(OSError), lock(path, timeout=0):  # another was faster, or may do what we may not
            path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Put a folder's names on the disk, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
