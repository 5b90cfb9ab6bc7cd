"""The cache on this machine: downloaded text, and the corpora prepared from it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, Timeout

from ablate.config import BadInput
from ablate.system.locks import lock
from ablate.system.places import cache_folder as cache_folder

SUMS = "SHA256SUMS"  # the hashes of the other files in a folder, in the format of sha256sum


def downloads_folder() -> Path:
    return cache_folder() / "downloads"


@contextmanager
def exclusive_folder(path: Path, say: Callable[[str], None]) -> Iterator[Path]:
    """An empty folder beside `path`, for one process at a time to write `path` in; deleted afterwards.

    Files that a crashed process left in it are deleted first.
    """
    place = _part(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    held = _lock(path)
    try:
        held.acquire(timeout=1)
    except Timeout:
        say(f"another process is preparing {path.name}: waiting for it")
        held.acquire()
    try:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        yield place  # the caller may rename it to `path`
    finally:
        shutil.rmtree(place, ignore_errors=True)
        held.release()


def sweep(path: Path) -> None:
    """Delete the files that a killed process left while it wrote `path`, unless another process is writing it."""
    with suppress(Timeout, OSError), _lock(path).acquire(timeout=0):
        shutil.rmtree(_part(path), ignore_errors=True)


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _lock(path: Path) -> BaseFileLock:
    locks = cache_folder() / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    return lock(locks / f"{path.name}.lock")


@contextmanager
def reported(what: str) -> Iterator[None]:
    """Inside the block, an OSError becomes BadInput: `what` could not be kept in the cache."""
    try:
        yield
    except OSError as error:
        raise BadInput(
            f"could not keep {what} in {cache_folder()} ({error.strerror or type(error).__name__}): "
            "make room there, or set ABLATE_CACHE to another folder"
        ) from error


def write_sums(folder: Path) -> None:
    sums = "".join(f"{sha256(path)}  {path.name}\n" for path in sorted(folder.iterdir()))
    (folder / SUMS).write_text(sums, encoding="utf-8")


def check_sums(folder: Path, only: str | None = None) -> None:
    """Raise ValueError or OSError if a file is missing or changed. With `only`, check just the file of that name.

    Files that are not in SUMS (.DS_Store, .nfs*) do not count.
    """
    lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    sums = {name: known for known, _, name in (line.partition("  ") for line in lines)}
    if not lines or len(sums) < len(lines):
        raise ValueError(f"{SUMS} is not as it was written")
    for name, known in sums.items():
        if only in (None, name) and sha256(folder / name) != known:
            raise ValueError(f"{name} is not as it was written")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def corpus_folder(fingerprint: str) -> Path:
    """The folder of the prepared corpus with this fingerprint, which need not exist."""
    return cache_folder() / "corpora" / fingerprint


def cached_metadata(fingerprint: str) -> dict[str, Any] | None:
    """The corpus.json of a prepared corpus; None if it has not been prepared, or the file is damaged."""
    try:
        check_sums(corpus_folder(fingerprint), "corpus.json")
        return dict(json.loads((corpus_folder(fingerprint) / "corpus.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def check_contents(earlier: Mapping[str, Any], now: Mapping[str, Any], user: str, otherwise: str) -> None:
    """Raise BadInput if two preparations of a corpus with the same fingerprint differ.

    Versions of `tokenizers` may learn different vocabularies from the same text. `now` is the metadata of the corpus in
    use; `earlier` has the hash and the version of the one that `user` used. The first records have no hash, and accept
    any. `otherwise` is the alternative to going back to the earlier version.
    """
    hashes = earlier.get("sha256"), now.get("sha256")
    if None not in hashes and hashes[0] != hashes[1]:
        raise BadInput(
            f"{user} used another preparation of corpus {now['fingerprint']}: tokenizers {earlier.get('tokenizers')} "
            f"made it, with sha256 {hashes[0]}; tokenizers {now.get('tokenizers')} made the one in use, with sha256 "
            f"{hashes[1]}. Delete {corpus_folder(now['fingerprint'])} and install the earlier version, or {otherwise}"
        )
