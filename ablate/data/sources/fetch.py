"""Files on the network: whether a server answers in time, and downloads whose content is known beforehand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PATIENCE = 1.0  # seconds that a server has to answer in
STALLED = 10.0  # seconds without a byte after which a download is given up


def fetch_pinned(address: str, sha256: str, folder: Path) -> Path | None:
    """Download a file with this hash into `folder`; None where it cannot be had, so that the caller tries another way.

    Takes about PATIENCE seconds where the address cannot be reached.
    """
    import pooch
    import requests

    if not in_time(lambda: requests.head(address, timeout=PATIENCE, allow_redirects=True).ok):
        return None
    pooch.get_logger().setLevel("ERROR")
    downloader = pooch.HTTPDownloader(timeout=(PATIENCE, STALLED))
    try:
        name = address.rpartition("/")[2]
        return Path(pooch.retrieve(address, f"sha256:{sha256}", name, folder, downloader=downloader))
    except (ValueError, OSError):  # another hash, or what requests and the file system raise
        return None


def in_time(ask: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Whether `ask` returns True in that time. Errors count as False.

    It runs in a thread of its own, because looking up a host name has no timeout.
    """
    replies: list[bool] = []

    def run() -> None:
        with suppress(Exception):  # each client raises its own
            replies.append(ask())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    return any(replies)
