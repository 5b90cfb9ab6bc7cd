"""The signals that ask a process to end, and how every command answers them.

signal    comes from                             exit code  what is done
SIGINT    Ctrl-C                                 130        workers leave checkpoints; a second one ends all at once
SIGTERM   kill, systemd, a cluster's scheduler   143        the same
SIGHUP    a terminal or ssh that is gone         129        the same; a second one is ignored, as it may come twice

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

from ablate.system.environment import settle
from ablate.system.output import lasting_output

P = ParamSpec("P")

HANGUP: int | None = getattr(signal, "SIGHUP", None)  # Windows has none
ASKING = [number for number in (signal.SIGINT, signal.SIGTERM, HANGUP) if number is not None]
KILL: int = getattr(signal, "SIGKILL", signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """A signal that unwinds what Ctrl-C unwinds: workers end, W&B closes, the terminal is left clean."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def heeded() -> list[int]:
    """Those of the signals that this process does not ignore."""
    return [number for number in ASKING if signal.getsignal(number) not in (signal.SIG_IGN, None)]


def request() -> int:
    """What the command sends to its workers, so that they leave checkpoints.

    SIGINT or SIGHUP, unless they inherited that it is ignored, since these end a worker's run and not the worker:
    when one worker ends, its pool kills the others, which may not have left theirs yet.
    """
    return next((number for number in (signal.SIGINT, HANGUP) if number in heeded()), signal.SIGTERM)


def command(main: Callable[P, int]) -> Callable[P, int]:
    """Decorate a command's main function, so that neither signals, lost output nor odd environments cause a traceback.

    It returns 128 + the signal's number where a signal ended it.
    """

    @functools.wraps(main)
    def run(*args: P.args, **kwargs: P.kwargs) -> int:
        settle()
        before = {}
        if threading.current_thread() is threading.main_thread():  # nobody else may handle signals
            before = {number: signal.signal(number, terminate) for number in heeded() if number != signal.SIGINT}
        try:
            with lasting_output():
                return main(*args, **kwargs)
        except Terminated as error:
            return 128 + error.number
        except KeyboardInterrupt:
            return 128 + signal.SIGINT
        finally:
            put_back(before)

    return run


def terminate(number: int, frame: FrameType | None) -> None:
    ignore_hangups()
    raise Terminated(number)


def ignore_hangups() -> None:
    """Let no second SIGHUP disturb what the first signal began: a shell and the system may both send one."""
    if HANGUP in heeded():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def put_back(handlers: Mapping[int, Any]) -> None:
    """Give signals back to whoever handled them before, but for a SIGHUP that is ignored by now."""
    for number, handler in handlers.items():
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


@contextlib.contextmanager
def hangups_held_off() -> Iterator[None]:
    """While it is open, this process and those that it starts ignore SIGHUP, as the latter do to their end."""
    if HANGUP not in heeded():
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def kill_group(leader: int) -> None:
    """Kill a process that leads a group, and what it started; on Windows, which has no groups, the process alone."""
    getattr(os, "killpg", os.kill)(leader, KILL)


def leave_to_the_command() -> None:
    """For a worker between its runs: what reaches every process of a terminal is answered by the command."""
    for number in heeded():
        if number != signal.SIGTERM:
            signal.signal(number, pass_over)


def pass_over(number: int, frame: FrameType | None) -> None:
    """Do nothing. Unlike SIG_IGN this is not inherited, and tells apart what was ignored from the start."""
