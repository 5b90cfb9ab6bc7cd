"""Call a function in a child process: a signal ends it at once, and all its memory is given back at the end.

Python runs a signal handler only between two steps of its own. A library call, such as training a tokeniser or reading
a huge file, can hold one up for minutes. The parent only waits for a pipe, which a signal interrupts. It then ends the
child, whatever that is doing. A child whose parent was killed ends itself.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

from ablate.config import BadInput, DataConfig
from ablate.data.raw import Say
from ablate.store.plugin_files import load, loaded

GRACE = 0.3  # seconds that a child gets to delete its temporary files, before it is killed


def run_in_child(task: str, function: Callable[..., Any], data: DataConfig, *arguments: Any, say: Say) -> Any:
    """The result of `function(data, *arguments, say)`, called in a child process.

    `function` is a module's; the other arguments and the result are what JSON can hold. BadInput and OSError are raised
    here as they are there, other exceptions as a RuntimeError with their traceback. Where the child is killed, BadInput
    says so of the `task`. Where this call is interrupted, the child and all that it has started are ended before the
    exception goes on.
    """
    call = [[*loaded()], function.__module__, function.__name__, asdict(data), arguments]
    request = json.dumps(call).encode() + b"\n"
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
            elif kind == "return":
                child.wait()
                return value
            else:
                raise RAISED[kind](*value)
    finally:
        _end(child)


def _receive(child: subprocess.Popen[bytes], task: str) -> tuple[str, Any]:
    line = child.stdout.readline()  # type: ignore[union-attr]
    if line.endswith(b"\n"):
        kind, value = json.loads(line)
        return kind, value
    code = child.wait()
    time.sleep(0.2)  # a signal sent to both processes interrupts this, and is then no fault of the child's
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    memory = ": most likely it ran out of memory; free some, or bring less text"
    why = memory if -code in (signal.SIGKILL, signal.SIGABRT) else ""
    raise BadInput(f"{task} broke off, because its process {how}{why}")


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
        answers.write(json.dumps([kind, value]).encode() + b"\n")
        answers.flush()

    request = sys.stdin.buffer.readline()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(BrokenPipeError, json.JSONDecodeError):  # the parent has been killed
        plugins, module, name, data, arguments = json.loads(request)
        try:
            load(plugins)
            function = getattr(import_module(module), name)
            result = function(DataConfig(**data), *arguments, lambda line: send("say", line))
        except BadInput as error:
            send("bad input", [str(error)])
        except MemoryError:
            send("bad input", ["there is not enough memory for this corpus; free some, or bring less text"])
        except OSError as error:
            send("system", [error.errno, error.strerror, str(error.filename)] if error.errno else [str(error)])
        except Exception:
            send("other", [traceback.format_exc()])
        else:
            send("return", result)


def _unwind(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit


def _end_with_parent() -> None:
    os.read(0, 1)  # returns when the parent closes the pipe, or is dead
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
    time.sleep(GRACE)  # for temporary files to be deleted, unless a library call goes on
    os.killpg(0, signal.SIGKILL)


RAISED: dict[str, type[Exception]] = {"bad input": BadInput, "system": OSError, "other": RuntimeError}
