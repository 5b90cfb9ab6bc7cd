"""Ask whether a server answers in time, and download files whose hash is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ablate.system.waiting import in_time

PATIENCE = 1.0  # seconds that a server has to answer in
STALLED = 10.0  # seconds without a byte after which a download is given up


def fetch_pinned(address: str, sha256: str, folder: Path) -> Path | None:
    """Download a file with this hash into `folder`; None if that fails, so that the caller tries another way.

    Takes about PATIENCE seconds where the address cannot be reached.
    """
    import pooch
    import requests

    if not answers(lambda: requests.head(address, timeout=PATIENCE, allow_redirects=True).ok):
        return None
    pooch.get_logger().setLevel("ERROR")
    downloader = pooch.HTTPDownloader(timeout=(PATIENCE, STALLED))
    try:
        name = address.rpartition("/")[2]
        return Path(pooch.retrieve(address, f"sha256:{sha256}", name, folder, downloader=downloader))
    except (ValueError, OSError):  # another hash, or what requests and the file system raise
        return None


def answers(ask: Callable[[], bool]) -> bool:
    """Whether `ask` returns True within PATIENCE seconds. Errors count as False."""
    try:
        return in_time(ask, PATIENCE)
    except Exception:  # each client raises its own
        return False
