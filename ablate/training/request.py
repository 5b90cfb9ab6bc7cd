"""Ctrl-C and its kin, for whoever trains: a request to leave a checkpoint and end."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from ablate.system.signals import HANGUP, handled

AT_ONCE = 1.0  # seconds within which signals are one request


class Request:
    """While it is open, the first signal ends the block; inside `patience` it waits until the block grants it.

    The signal is then passed on to whoever handled it before, so that the process ends as if it had met nobody here. A
    second signal waits for nothing, unless it is SIGHUP; but the same one may come twice at once, from a terminal and
    from the command.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.patient, self.since = False, 0.0
        self.before: dict[int, Callable[..., Any] | int | None] = {}

    def made(self) -> bool:
        return self.number is not None

    def grant(self) -> None:
        """Leave the block: everything that is worth keeping has been kept."""
        raise KeyboardInterrupt

    @contextlib.contextmanager
    def patience(self) -> Iterator[None]:
        self.patient = True
        try:
            yield
        finally:
            self.patient = False
        if self.made():
            self.grant()

    def __enter__(self) -> Request:
        if threading.current_thread() is threading.main_thread():  # nobody else may handle signals
            self.before = {number: signal.signal(number, self._on_signal) for number in handled()}
        return self

    def __exit__(self, *raised: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        if self.number is not None:
            os.kill(os.getpid(), self.number)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self.made():
            self.number, self.since = number, time.monotonic()
        again = time.monotonic() - self.since > AT_ONCE and number != HANGUP
        if not self.patient or again:
            self.grant()
