"""Where corpora lie on this machine: what was downloaded, and what was prepared from it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def cache_folder() -> Path:
    """The environment's ABLATE_CACHE, or a folder of ours among the user's caches."""
    named = os.environ.get("ABLATE_CACHE")
    return Path(named).expanduser().absolute() if named else Path.home() / ".cache" / "ablate"


def downloads_folder() -> Path:
    return cache_folder() / "downloads"


def corpus_folder(fingerprint: str) -> Path:
    """The prepared corpus of this fingerprint, whether it is there or not."""
    return cache_folder() / "corpora" / fingerprint


def cached_metadata(fingerprint: str) -> dict[str, Any] | None:
    """What preparing this corpus said of it (corpus.json); None where it has not been prepared."""
    try:
        return json.loads((corpus_folder(fingerprint) / "corpus.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
