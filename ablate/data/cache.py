"""Where corpora lie on this machine: what was downloaded, and what was prepared from it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import Timeout

from ablate.locks import lock
from ablate.places import cache_folder as cache_folder

SUMS = "SHA256SUMS"  # of the other files in a folder, as sha256sum reads it


def downloads_folder() -> Path:
    return cache_folder() / "downloads"


@contextmanager
def alone(path: Path, say: Callable[[str], None]) -> Iterator[Path]:
    """An empty folder beside `path` to make it in, for one process at a time, which is gone afterwards.

    What another left there that died while it was at it is cleared away.
    """
    locks = cache_folder() / "locks"
    for folder in (locks, path.parent):
        folder.mkdir(parents=True, exist_ok=True)
    place = path.with_name(f"{path.name}.part")
    held = lock(locks / f"{path.name}.lock")
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


def write_sums(folder: Path) -> None:
    (folder / SUMS).write_text("".join(f"{sha256(path)}  {path.name}\n" for path in sorted(folder.iterdir())))


def check_sums(folder: Path, only: str | None = None) -> None:
    """Raise ValueError where a file, or `only` this one, is not as it was written.

    A folder from before there were sums is believed.
    """
    if (folder / SUMS).exists():
        known = (folder / SUMS).read_text().splitlines()
        for path in [folder / only] if only else sorted(folder.iterdir()):
            if path.name != SUMS and f"{sha256(path)}  {path.name}" not in known:
                raise ValueError(f"{path.name} is not as it was written")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


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
