"""Make standard output and error accept any text, and stay usable after a terminal or `| head` has closed them."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

GONE = {errno.EPIPE, errno.EIO, errno.ENXIO}


@contextlib.contextmanager
def lasting_output() -> Iterator[None]:
    """Inside the block, printing raises no error for characters that the encoding lacks, nor for a closed output."""
    accept_any_text()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(lasting, before)
    try:
        yield
    finally:
        for stream in map(lasting, before):
            if stream is not None:
                stream.flush()
        sys.stdout, sys.stderr = before


def accept_any_text() -> None:
    r"""Print characters that the encoding of stdout or stderr lacks as `\xe9` or `\u2014`, instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def write_line(descriptor: int, line: bytes) -> None:
    """Write to an open file without Python's buffers, as a signal handler must. A closed output is no error."""
    with contextlib.suppress(OSError):
        os.write(descriptor, line)


def lasting(stream: Any) -> Any:
    """Wrap a stream in `Lasting`. Python has None for a stream that was closed from the start, such as by >&-."""
    return None if stream is None else Lasting(stream)


class Lasting:
    """A text stream that becomes the null device when its reader has closed it."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        try:
            return self.stream.write(text)
        except OSError as error:
            self.lose(error)
            return len(text)

    def flush(self) -> None:
        try:
            self.stream.flush()
        except OSError as error:
            self.lose(error)

    def lose(self, error: OSError) -> None:
        if error.errno not in GONE:
            raise error
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.stream.fileno())
        os.close(null)
        self.stream.flush()  # the buffer
