"""Waiting for others: long enough for a slow machine that has much else to do, and never for ever."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 600  # seconds after which something hangs: far more than anything takes
SOON = 60  # seconds: far less than what takes PATIENCE because nobody ends it


def eventually(condition: Callable[[], object]) -> bool:
    """Whether the condition comes to hold."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
