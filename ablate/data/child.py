"""Call a function in a child process, so that a signal ends it at once and its memory is freed at the end.

Python runs signal handlers only between bytecode instructions. A library call that trains a tokeniser or reads a huge
file can delay a handler for minutes. The parent only waits for a pipe, which a signal interrupts, and then kills
the child in the middle of any library call. A child whose parent was killed ends itself.
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

    `function` is defined at the top level of a module; the other arguments and the result are JSON values. The child's
    BadInput and OSError are raised here too, other exceptions as a RuntimeError with their traceback. If the child is
    killed, BadInput names the `task`. If this call is interrupted, the child and its own children are ended before the
    exception is passed on.
    """
    call = [[*loaded()], function.__module__, function.__name__, asdict(data), arguments]
    request = json.dumps(call).encode() + b"\n"
    # `-m` and multiprocessing would import the parent's main module again
    program = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve()"
    command = [sys.executable, "-c", program]
    # a process group of its own, so that Ctrl-C reaches only the parent
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)
    try:
        with suppress(BrokenPipeError):  # `_receive` reports why
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
    time.sleep(0.2)  # a signal sent to both processes raises here, before the child is blamed
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    memory = ": most likely it ran out of memory; free some, or use less text"
    why = memory if -code in (signal.SIGKILL, signal.SIGABRT) else ""
    raise BadInput(f"{task} failed, because its process {how}{why}")


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child and its own children, unless it has ended."""
    with suppress(BrokenPipeError):  # the child may have ended before it read its arguments
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
    """Run one call in the child, and send its messages, its result or its exception to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a signal to this process alone ends it at once
    signal.signal(signal.SIGUSR1, _unwind)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # keeps what libraries print out of the messages

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
            send("bad input", ["there is not enough memory for this corpus; free some, or use less text"])
        except OSError as error:
            send("system", [error.errno, error.strerror, str(error.filename)] if error.errno else [str(error)])
        except Exception:
            send("other", [traceback.format_exc()])
        else:
            send("return", result)


def _unwind(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit


def _end_with_parent() -> None:
    os.read(0, 1)  # returns when the parent closes the pipe or dies
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
    time.sleep(GRACE)  # so that temporary files are deleted, unless a library call goes on
    os.killpg(0, signal.SIGKILL)


RAISED: dict[str, type[Exception]] = {"bad input": BadInput, "system": OSError, "other": RuntimeError}
