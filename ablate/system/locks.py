"""Locks between processes, also on file systems without flock(2).

Where the file system supports flock(2), a lock is a locked file, and the system releases it when its holder dies. Where
it does not (Lustre mounted without `flock`, some NFS and FUSE mounts), a lock is a marker file next to the path, which
its holder touches every BEAT seconds. Another process may take it over when its holder is known to have crashed (same
host), or when it has not been touched for SILENCE seconds. Each process measures that on its own clock, so the clocks
of hosts may differ.
"""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLease, Timeout, has_fcntl, lock_descriptor

BEAT, SILENCE = 5.0, 30.0
MARKER = ".lease"  # ends the name of a marker file


def lock(path: Path, timeout: float = -1) -> BaseFileLock:
    """A lock for `path`, to be held in a `with` block or by `acquire`. A `timeout` of -1 waits forever.

    Acquiring it raises filelock.Timeout after `timeout` seconds. Raises OSError where the folder cannot be written to.
    """
    if has_flock(path.parent):
        return FileLock(path, timeout=timeout, fallback_to_soft=False)
    return SoftFileLease(marker(path), timeout=timeout, lease_duration=SILENCE, heartbeat_interval=BEAT)


@functools.cache
def has_flock(folder: Path) -> bool:
    """Whether files in this folder can be locked, tried on a new file that no other process can hold.

    File systems raise different errors (ENOSYS, ENOLCK, EOPNOTSUPP, EINVAL), so every OSError counts.
    """
    if not has_fcntl:
        return False
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            return lock_descriptor(file.fileno(), blocking=False)
        except OSError:
            return False


def is_held(path: Path, patience: float = 0) -> bool:
    """Whether a live process holds the lock, and still does after `patience` seconds. False for a missing folder."""
    try:
        with lock(path, patience):
            return False
    except Timeout:
        return not is_abandoned(path)
    except FileNotFoundError:
        return False


def is_lost(held: BaseFileLock) -> bool:
    """Whether another process has taken over a lock that this process acquired. Never true with flock.

    It reads the marker, because the thread that touches it may not have run yet when a stopped process continues.
    """
    if not isinstance(held, SoftFileLease):
        return False
    try:
        return held.token is None or held.token not in Path(held.lock_file).read_text(encoding="utf-8")
    except FileNotFoundError:
        return True


def is_abandoned(path: Path) -> bool:
    """Whether a marker is so old that its holder must have crashed, by the clock of its file system."""
    if has_flock(path.parent):
        return False
    try:
        touched = marker(path).stat().st_mtime
    except FileNotFoundError:
        return True
    with tempfile.TemporaryFile(dir=path.parent) as file:
        return os.fstat(file.fileno()).st_mtime - touched > SILENCE


def marker(path: Path) -> Path:
    return path.with_name(path.name + MARKER)


def caveat(folder: Path) -> str | None:
    """A warning about a folder without file locks; None if files can be locked, or nothing can be written."""
    try:
        if has_flock(folder):
            return None
    except OSError:
        return None
    return (
        f"the file system of {folder} has no file locks (flock), so marker files replace them: two commands on "
        f"different machines may, rarely, train the same run twice, and runs of a machine that crashed are continued "
        f"after {SILENCE:g} s; nothing is lost"
    )
