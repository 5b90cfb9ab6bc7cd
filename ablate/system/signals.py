"""How commands handle the signals that ask a process to end.

signal    comes from                             exit code  what happens
SIGINT    Ctrl-C                                 130        workers write checkpoints; a second one ends all at once
SIGTERM   kill, systemd, a cluster's scheduler   143        the same
SIGHUP    a closed terminal or ssh connection    129        the same; a second one is ignored, as it may come twice

A signal that is ignored when a command starts stays ignored: SIGHUP under `nohup`, SIGINT in a shell's background jobs.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any, ParamSpec

from ablate.system.environment import clean_environment, collect_rarely
from ablate.system.output import lasting_output

P = ParamSpec("P")

HANGUP: int | None = getattr(signal, "SIGHUP", None)  # Windows has none
REQUESTS_TO_END = [number for number in (signal.SIGINT, signal.SIGTERM, HANGUP) if number is not None]
KILL: int = getattr(signal, "SIGKILL", signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """Raised by a signal. It unwinds the stack as Ctrl-C does: workers end, W&B closes, the terminal is reset."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def handled() -> list[int]:
    """The signals that this process does not ignore."""
    return [number for number in REQUESTS_TO_END if signal.getsignal(number) not in (signal.SIG_IGN, None)]


def request_number() -> int:
    """The signal by which the command asks its workers to write checkpoints.

    SIGINT or SIGHUP where workers do not ignore them: these end a worker's run, but not the worker. When a worker ends,
    its pool kills the others, which may not have written their checkpoints yet.
    """
    return next((number for number in (signal.SIGINT, HANGUP) if number in handled()), signal.SIGTERM)


def command(main: Callable[P, int]) -> Callable[P, int]:
    """Decorate a command's main function, so that signals, closed output and odd environments cause no traceback.

    If a signal ends the function, it returns 128 + the signal's number.
    """

    @functools.wraps(main)
    def run(*args: P.args, **kwargs: P.kwargs) -> int:
        clean_environment()
        collect_rarely()
        before = {}
        if threading.current_thread() is threading.main_thread():  # Python lets no other thread set handlers
            before = {number: signal.signal(number, terminate) for number in handled() if number != signal.SIGINT}
        try:
            with lasting_output():
                return main(*args, **kwargs)
        except Terminated as error:
            return 128 + error.number
        except KeyboardInterrupt:
            return 128 + signal.SIGINT
        finally:
            restore(before)

    return run


def terminate(number: int, frame: FrameType | None) -> None:
    ignore_hangups()
    raise Terminated(number)


def ignore_hangups() -> None:
    """Ignore further SIGHUPs: the shell and the system may both send one, and the first is being handled."""
    if HANGUP in handled():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def restore(handlers: Mapping[int, Any]) -> None:
    """Restore earlier signal handlers, except for a SIGHUP that is ignored by now."""
    for number, handler in handlers.items():
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


@contextlib.contextmanager
def hangups_ignored() -> Iterator[None]:
    """Inside the block this process ignores SIGHUP. Processes started there ignore it until they end."""
    if HANGUP not in handled():
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def kill_group(leader: int) -> None:
    """Kill the process group of `leader`; on Windows, which has no groups, only the process."""
    getattr(os, "killpg", os.kill)(leader, KILL)


def leave_to_the_command() -> None:
    """Make a worker ignore the signals of the terminal between its runs, because the command handles them."""
    for number in handled():
        if number != signal.SIGTERM:
            signal.signal(number, do_nothing)


def do_nothing(number: int, frame: FrameType | None) -> None:
    """A handler. Unlike SIG_IGN it is not inherited, and differs from a signal that was ignored at the start."""
