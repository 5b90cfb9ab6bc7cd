"""What commands print, on terminals and in pipes of any encoding."""

from __future__ import annotations

import io
import sys


def accept_any_text() -> None:
    r"""Print what the encoding of stdout or stderr lacks as `\xe9` or `\u2014`, rather than raise an error.

    Every entry point calls this first.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
