"""Signals that are ignored stay ignored, and who prints to nobody loses nothing."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from short import sometimes
from test_requests import SHORT, STUDY, at_work, start
from waiting import PATIENCE, SOON, eventually

from ablate.system import signals
from ablate.system.signals import REQUESTS_TO_END, Terminated, command, handled


@pytest.mark.parametrize("number", REQUESTS_TO_END)
def test_a_signal_ends_a_command_with_its_code_and_what_was_open_is_closed(number: int) -> None:
    closed = []
    before = [signal.getsignal(each) for each in REQUESTS_TO_END]
    after: list[object] = []

    @command
    def main() -> int:
        try:
            os.kill(os.getpid(), number)
            time.sleep(SOON)
        finally:
            closed.append(number)
        return 0

    try:
        assert main() == 128 + number
        assert closed == [number]
        after = [signal.getsignal(each) for each in REQUESTS_TO_END if each != signals.HANGUP]
        assert after == [handler for each, handler in zip(REQUESTS_TO_END, before) if each != signals.HANGUP]
    finally:
        for each, handler in zip(REQUESTS_TO_END, before):
            signal.signal(each, handler)


@pytest.mark.parametrize("number", REQUESTS_TO_END)
def test_a_signal_that_is_ignored_from_the_start_stays_ignored(number: int) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        assert number not in handled()
        sent = command(lambda: os.kill(os.getpid(), number) or 7)()  # type: ignore[func-returns-value]
        assert sent == 7
        assert signal.getsignal(number) == signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_a_second_hangup_does_not_disturb_the_end() -> None:
    before = signal.getsignal(signal.SIGHUP)
    ended = []

    @command
    def main() -> int:
        try:
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(SOON)
        except Terminated:
            os.kill(os.getpid(), signal.SIGHUP)
            ended.append("well")
            raise
        return 0

    try:
        assert main() == 129
        assert ended == ["well"]
    finally:
        signal.signal(signal.SIGHUP, before)


IGNORED = {signal.SIGHUP: "nohup", signal.SIGINT: "a background job"}


@pytest.mark.long
@pytest.mark.parametrize("ignored", IGNORED, ids=IGNORED.get)
def test_workers_ignore_what_the_command_ignores_and_still_heed_the_command(tmp_path: Path, ignored: int) -> None:
    words = [sys.executable, "-m", "ablate", *STUDY, f"root={tmp_path}", "workers=2"]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(ignored, signal.SIG_IGN),
    )  # fmt: skip
    folders = at_work(tmp_path, process, 2)
    rows = [(folder / "curve.csv").stat().st_size for folder in folders]
    os.killpg(process.pid, ignored)

    def trained_on() -> bool:
        return all((folder / "curve.csv").stat().st_size > size for folder, size in zip(folders, rows))

    assert eventually(lambda: trained_on() or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    assert not [folder for folder in folders if (folder / "checkpoint.pt").exists()]
    process.terminate()
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143, err
    assert "Traceback" not in err
    assert all((folder / "checkpoint.pt").exists() for folder in folders)


def on_a_terminal(root: Path, words: tuple[str, ...], hangup: Callable[..., object]) -> tuple[int, Callable[[], None]]:
    """A study on a terminal of its own: its process, and what closes the terminal."""
    pid, descriptor = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGHUP, hangup)  # type: ignore[arg-type]
        os.execv(sys.executable, [sys.executable, "-m", "ablate", *words, f"root={root}", "workers=2"])
    closing = threading.Event()

    def drain() -> None:
        while not closing.is_set():
            try:
                os.read(descriptor, 10_000)
            except OSError:
                return

    threading.Thread(target=drain, daemon=True).start()

    def close() -> None:
        closing.set()
        os.close(descriptor)

    return pid, close


@pytest.mark.long
@pytest.mark.parametrize(
    ("hangup", "words", "code"), [(signal.SIG_DFL, STUDY, 129), (signal.SIG_IGN, SHORT, 0)], ids=["plain", "nohup"]
)
def test_a_terminal_that_is_closed_costs_nothing(
    tmp_path: Path, hangup: Callable[..., object], words: tuple[str, ...], code: int
) -> None:
    pid, close = on_a_terminal(tmp_path, words, hangup)
    while len(list(tmp_path.glob("runs/*/curve.csv"))) < 2:
        assert os.waitpid(pid, os.WNOHANG) == (0, 0)
        time.sleep(0.05)
    time.sleep(1)
    close()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code
    assert len(list(tmp_path.glob("runs/*/checkpoint.pt"))) == (2 if code else 0)
    assert len(list(tmp_path.glob("reports/*/*/report.html"))) == (0 if code else 1)


@pytest.mark.long
def test_a_study_goes_on_when_nobody_reads_what_it_prints(tmp_path: Path) -> None:
    process = start(tmp_path, *SHORT)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    assert process.wait(PATIENCE) == 0
    assert len(list(tmp_path.glob("reports/*/*/report.html"))) == 1


COMMANDS = {
    "help": ["ablate", "--help"],
    "plan": ["ablate", "+sweep=norm_placement", "preset=smoke", "data=fixture", "dry_run=true"],
    "report": ["ablate.report", "--help"],
    "bad input": ["ablate", "nonsense"],
    "bad merge": ["ablate.merge"],
    "publish": ["ablate.publish", "--help"],
}


@pytest.mark.parametrize("name", sometimes(COMMANDS, "bad input"))
def test_a_reader_that_leaves_early_changes_no_exit_code_and_sees_no_traceback(name: str) -> None:
    words = [sys.executable, "-m", *COMMANDS[name]]
    code = subprocess.run(words, capture_output=True).returncode
    gone, writing = os.pipe()
    os.close(gone)
    process = subprocess.Popen(words, stdout=writing, stderr=subprocess.PIPE, text=True)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert "Traceback" not in err
    assert "Broken" not in err
    assert subprocess.run(words, stdout=writing, stderr=writing).returncode == code
    os.close(writing)


def test_a_full_disk_is_not_taken_for_a_reader_that_left() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    code = "from ablate.system.output import lasting_output\nwith lasting_output():\n    print('x', flush=True)"
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True)
    assert "No space left" in done.stderr
