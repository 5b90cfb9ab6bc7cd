"""Locks between processes, also on file systems that have none.

Where the file system supports flock(2), a lock is a locked file, and the system releases it when its holder dies. Where
it does not (Lustre mounted without `flock`, some NFS and FUSE mounts), a lock is a marker file next to the path, which
its holder touches every BEAT seconds. Others may take it over as soon as its holder is known to be dead (same host), or
when it has not been touched for SILENCE seconds. Each process measures that on its own clock, so hosts whose clocks
differ agree.
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
    """A lock for `path`, to be held in a `with` block or by `acquire`; -1 waits without end.

    Entering it raises filelock.Timeout after `timeout` seconds. Raises OSError where the folder cannot be written to.
    """
    if has_flock(path.parent):
        return FileLock(path, timeout=timeout, fallback_to_soft=False)
    return SoftFileLease(marker(path), timeout=timeout, lease_duration=SILENCE, heartbeat_interval=BEAT)


@functools.cache
def has_flock(folder: Path) -> bool:
    """Whether files in this folder can be locked: tried on a new file, which nobody else can hold.

    File systems differ in the error that they give (ENOSYS, ENOLCK, EOPNOTSUPP, EINVAL), so each of them counts.
    """
    if not has_fcntl:
        return False
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            return lock_descriptor(file.fileno(), blocking=False)
        except OSError:
            return False


def is_held(path: Path, patience: float = 0) -> bool:
    """Whether a living process holds the lock, and still does after `patience` seconds. False for a missing folder."""
    try:
        with lock(path, patience):
            return False
    except Timeout:
        return not is_abandoned(path)
    except FileNotFoundError:
        return False


def is_lost(held: BaseFileLock) -> bool:
    """Whether another process has taken over a marker that this one still believes to hold. Never true with flock.

    It reads the marker, since the thread that touches it may not have run yet when a stopped process goes on.
    """
    if not isinstance(held, SoftFileLease):
        return False
    try:
        return held.token is None or held.token not in Path(held.lock_file).read_text(encoding="utf-8")
    except FileNotFoundError:
        return True


def is_abandoned(path: Path) -> bool:
    """Whether a marker is so old that its holder must be dead, by the clock of the file system that it lies on."""
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
    """A line on what is not guaranteed in this folder; None where files can be locked, or nothing can be written."""
    try:
        if has_flock(folder):
            return None
    except OSError:
        return None
    return (
        f"the file system of {folder} has no file locks (flock), so marker files stand in for them: two commands on "
        f"different machines may, rarely, do the same work twice, and what a machine that failed was at is taken over "
        f"after {SILENCE:g} s; nothing is lost"
    )
