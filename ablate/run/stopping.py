"""Handle signals to the command: after the first its workers write checkpoints; after the second all end at once."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn

from ablate.store.folders import Store
from ablate.system import signals
from ablate.system.output import write_line

PATIENCE = 20.0  # seconds for workers to write their checkpoints
SHOW_CURSOR = "\x1b[?25h"


@contextlib.contextmanager
def stopping(store: Store, runs: list[str]) -> Iterator[None]:
    """Inside the block, the first signal makes the workers of these runs write checkpoints."""

    def children() -> list[tuple[str, int]]:
        return [(run, pid) for run in runs if (pid := store.run(run).worker()) is not None]

    def first(number: int, frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, second)
        signals.ignore_hangups()
        write_line(2, b"ablate: stopping, workers leave a checkpoint; once more ends at once\n")
        waiting = children()
        send(request, waiting)
        deadline = time.monotonic() + PATIENCE
        while waiting and time.monotonic() < deadline:
            time.sleep(0.05)
            waiting = [(run, pid) for run, pid in waiting if store.run(run).is_locked()]
        handler = before[number]
        if callable(handler):
            handler(number, frame)  # it raises

    def second(number: int, frame: FrameType | None) -> NoReturn:
        send(signals.KILL, children())
        if sys.stdout.isatty():
            write_line(1, SHOW_CURSOR.encode())
        os._exit(128 + number)

    request = signals.request_number()
    before: dict[int, Any] = {number: signal.signal(number, first) for number in signals.handled()}
    try:
        yield
    finally:
        signals.restore(before)


def send(number: int, workers: list[tuple[str, int]]) -> None:
    for _, pid in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
