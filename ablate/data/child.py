"""Call a function in a child process: a signal ends it at once, and all its memory is given back at the end.

Python runs a signal handler only between two steps of its own. A library call, such as training a tokeniser or reading
a huge file, can hold one up for minutes. The parent only waits for a pipe, which a signal interrupts. It then ends the
child, whatever that is doing. A child whose parent was killed ends itself.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

from ablate.config import BadInput
from ablate.data.raw import Say

GRACE = 0.3  # seconds that a child gets to delete its temporary files, before it is killed


def run_in_child(task: str, function: Callable[..., Any], *arguments: Any, say: Say) -> Any:
    """The result of `function(*arguments, say)`, called in a child process.

    `function` is a module's, and everything that goes in or out must be picklable. What it raises is raised here. Where
    the child is killed, BadInput says so of the `task`. Where this call is interrupted, the child and all that it has
    started are ended before the exception goes on.
    """
    request = pickle.dumps((function, arguments))
    # neither `-m` nor multiprocessing, which would both import the parent's main module again
    program = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve()"
    command = [sys.executable, "-c", program]
    # in a process group of its own, so that Ctrl-C reaches the parent alone
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)
    try:
        with suppress(BrokenPipeError):  # `_receive` will say why
            child.stdin.write(request)  # type: ignore[union-attr]
            child.stdin.flush()  # type: ignore[union-attr]
        while True:
            kind, value = _receive(child, task)
            if kind == "say":
                say(value)
            elif kind == "raise":
                raise value
            else:
                child.wait()
                return value
    finally:
        _end(child)


def _receive(child: subprocess.Popen[bytes], task: str) -> tuple[str, Any]:
    try:
        return pickle.load(child.stdout)  # type: ignore[arg-type, no-any-return]
    except (EOFError, pickle.UnpicklingError):
        code = child.wait()
        time.sleep(0.2)  # a signal sent to both processes interrupts this, and is then no fault of the child's
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        memory = ": most likely it ran out of memory; free some, or bring less text"
        why = memory if -code in (signal.SIGKILL, signal.SIGABRT) else ""
        raise BadInput(f"{task} broke off, because its process {how}{why}") from None


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child if it has not ended, and whatever it has started."""
    with suppress(BrokenPipeError):  # of arguments that it never took
        child.stdin.close()  # type: ignore[union-attr]
    try:
        with suppress(subprocess.TimeoutExpired):
            child.wait(GRACE)
    finally:
        if child.returncode is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        child.stdout.close()  # type: ignore[union-attr]


def serve() -> None:
    """What the child does: one call, whose messages, result or exception go to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a signal to this process alone ends it at once
    signal.signal(signal.SIGUSR1, _unwind)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print may not get between the messages

    def send(kind: str, value: Any) -> None:
        pickle.dump((kind, value), answers)
        answers.flush()

    with suppress(BrokenPipeError, EOFError):  # the parent has been killed
        function, arguments = pickle.load(sys.stdin.buffer)
        threading.Thread(target=_end_with_parent, daemon=True).start()
        try:
            result = function(*arguments, lambda line: send("say", line))
        except Exception as error:
            send("raise", _portable(error))
        else:
            send("return", result)


def _unwind(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit


def _end_with_parent() -> None:
    os.read(0, 1)  # returns when the parent closes the pipe, or is dead
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
    time.sleep(GRACE)  # for temporary files to be deleted, unless a library call goes on
    os.killpg(0, signal.SIGKILL)


def _portable(error: Exception) -> Exception:
    """The exception, or one that tells of it where it cannot be sent."""
    if isinstance(error, MemoryError):
        return BadInput("there is not enough memory for this corpus; free some, or bring less text")
    if not isinstance(error, BadInput | OSError):
        error.add_note(traceback.format_exc())
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(traceback.format_exc())
    return error
