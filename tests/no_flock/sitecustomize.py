"""First on PYTHONPATH, this makes flock(2) fail in every process, as on a file system that does not support it."""

import fcntl
import os
from typing import Any


def flock(descriptor: Any, operation: int) -> None:
    number = int(os.environ["NO_FLOCK"])
    raise OSError(number, os.strerror(number))


fcntl.flock = flock  # type: ignore[assignment]
