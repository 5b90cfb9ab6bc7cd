"""Atomic writes: a file exists whole or not at all, even if its writer crashes."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from ablate.system.locks import MARKER, lock

UMASK = os.umask(0o022)
os.umask(UMASK)  # reading it is only possible by setting it
PART = ".part"  # ends the name of a temporary file


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all. Its content is on the disk before the file gets its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            _write(path, content)
            break
        except FileNotFoundError:  # another process deleted the temporary file just before it was locked
            if not path.parent.is_dir():
                raise
    sync_folder(path.parent)


def _write(path: Path, content: str | bytes) -> None:
    with temporary_file(path) as temporary:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~UMASK)  # the lock may have created it with fewer permissions
        temporary.replace(path)


@contextlib.contextmanager
def temporary_file(path: Path) -> Iterator[Path]:
    """A temporary file to be renamed to `path`. `sweep` does not delete it before the block ends."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART}")
    with lock(temporary):
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Delete temporary files that crashed writers left in a folder. Live writers hold a lock."""
    for path in {path.with_name(path.name.removesuffix(MARKER)) for path in folder.glob(f".*{PART}*")}:
        with contextlib.suppress(OSError), lock(path, timeout=0):  # another process deletes it, or another user owns it
            path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Write a folder's list of names to the disk, where the system supports it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
