"""Signals such as Ctrl-C as a request to the training loop: write a checkpoint and stop."""

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

AT_ONCE = 1.0  # seconds within which several signals count as one request


class Request:
    """A context manager in which the first signal ends the block, or inside `patience` waits for a call of `grant`.

    At the exit the signal goes to its previous handler, so that the process ends as if the signal had not been caught.
    A second signal ends the block at once, unless it is SIGHUP. Signals less than AT_ONCE apart are one request,
    because the terminal and the command may each send one.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.patient, self.since = False, 0.0
        self.before: dict[int, Callable[..., Any] | int | None] = {}

    def made(self) -> bool:
        return self.number is not None

    def grant(self) -> None:
        """End the block. Call it when everything worth keeping has been saved."""
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
        if threading.current_thread() is threading.main_thread():  # other threads may not handle signals
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
