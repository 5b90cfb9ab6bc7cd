"""Where corpora lie on this machine: what was downloaded, and what was prepared from it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, Timeout

from ablate.system.locks import lock
from ablate.system.places import cache_folder as cache_folder

SUMS = "SHA256SUMS"  # of the other files in a folder, as sha256sum reads it


def downloads_folder() -> Path:
    return cache_folder() / "downloads"


@contextmanager
def alone(path: Path, say: Callable[[str], None]) -> Iterator[Path]:
    """An empty folder beside `path` to make it in, for one process at a time, which is gone afterwards.

    What another left there that died while it was at it is cleared away.
    """
    place = _part(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    held = _lock(path)
    try:
        held.acquire(timeout=1)
    except Timeout:
        say(f"another process is at {path.name}: waiting for it")
        held.acquire()
    try:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        yield place  # which may be renamed to `path` itself
    finally:
        shutil.rmtree(place, ignore_errors=True)
        held.release()


def sweep(path: Path) -> None:
    """Delete what a process that was killed left of making `path`, unless another is at it."""
    with suppress(Timeout, OSError), _lock(path).acquire(timeout=0):
        shutil.rmtree(_part(path), ignore_errors=True)


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _lock(path: Path) -> BaseFileLock:
    locks = cache_folder() / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    return lock(locks / f"{path.name}.lock")


def write_sums(folder: Path) -> None:
    sums = "".join(f"{sha256(path)}  {path.name}\n" for path in sorted(folder.iterdir()))
    (folder / SUMS).write_text(sums, encoding="utf-8")


def check_sums(folder: Path, only: str | None = None) -> None:
    """Raise ValueError where a file, or `only` this one, is missing or is not as it was written.

    Files that others put there (.DS_Store, .nfs*) do not count. A folder from before there were sums is believed.
    """
    if (folder / SUMS).exists():
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        if not lines:
            raise ValueError(f"{SUMS} is not as it was written")
        for line in lines:
            known, _, name = line.partition("  ")
            if only in (None, name) and not ((folder / name).is_file() and sha256(folder / name) == known):
                raise ValueError(f"{name} is not as it was written")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def corpus_folder(fingerprint: str) -> Path:
    """The prepared corpus of this fingerprint, whether it is there or not."""
    return cache_folder() / "corpora" / fingerprint


def cached_metadata(fingerprint: str) -> dict[str, Any] | None:
    """What preparing this corpus said of it (corpus.json); None where it has not been prepared."""
    try:
        check_sums(corpus_folder(fingerprint), "corpus.json")
        return dict(json.loads((corpus_folder(fingerprint) / "corpus.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
