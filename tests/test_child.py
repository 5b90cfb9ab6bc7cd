"""What must hold of the process in which a corpus is prepared: its result comes back, an interruption ends it, and
nothing of it is left."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from waiting import PATIENCE, SOON, eventually

from ablate.config import BadInput, DataConfig
from ablate.data import prepare as preparing
from ablate.data.cache import corpus_folder
from ablate.data.child import run_in_child
from ablate.data.prepare import fingerprint, prepare

FIXTURE = DataConfig(loader="fixture", name="fixture", min_words=3, max_words=8)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def call(function: Callable[..., Any], *arguments: Any, say: Callable[[str], None] = print) -> Any:
    return run_in_child("the task", function, FIXTURE, *arguments, say=say)


# What is called in a child.


def answer(data: DataConfig, number: int, say: Callable[[str], None]) -> list[Any]:
    assert data == FIXTURE
    print("this is no message")
    os.write(1, b"nor is this")
    say("one")
    say("zwei, drei\n\u2028")
    return [2 * number, None]


ERRORS = [
    BadInput("choose a, b"),
    OSError(28, "No space left on device", "file"),
    OSError("of a library"),
    MemoryError(),
    KeyError("x"),
]


def fail(data: DataConfig, number: int, say: Callable[[str], None]) -> None:
    raise ERRORS[number]


def die(data: DataConfig, number: int, say: Callable[[str], None]) -> None:
    os.kill(os.getpid(), number)
    time.sleep(PATIENCE)


def wait_in_python(data: DataConfig, folder: str, say: Callable[[str], None]) -> None:
    """With a temporary folder, and a process of its own that waits for long."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(dir=folder):
        command = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(600)"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            say(f"{os.getpid()} {process.stdout.readline()}")  # type: ignore[union-attr]
            time.sleep(PATIENCE)
        finally:
            process.kill()


def wait_in_a_library(data: DataConfig, folder: str, say: Callable[[str], None]) -> None:
    """A call that takes for ever, during which other threads can run, and no signal handler of Python's."""
    import hashlib

    say(str(os.getpid()))
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)


def wait_in_a_library_alone(data: DataConfig, folder: str, say: Callable[[str], None]) -> None:
    """A regular expression that takes for ever, during which Python can do nothing at all."""
    import re

    say(str(os.getpid()))
    re.fullmatch(r"(a|a)*b", "a" * 60)


WAITS = [wait_in_python, wait_in_a_library, wait_in_a_library_alone]


def test_messages_come_in_order_and_the_result_at_last() -> None:
    said: list[str] = []
    assert call(answer, 21, say=said.append) == [42, None]
    assert said == ["one", "zwei, drei\n\u2028"]


@pytest.mark.parametrize("number", range(3))
def test_what_a_child_raises_is_raised_here(number: int) -> None:
    with pytest.raises(type(ERRORS[number])) as caught:
        call(fail, number)
    assert str(caught.value) == str(ERRORS[number])


def test_a_child_without_memory_is_one_line() -> None:
    with pytest.raises(BadInput, match="not enough memory"):
        call(fail, 3)


def test_a_fault_of_the_code_is_told_with_its_traceback() -> None:
    with pytest.raises(RuntimeError) as caught:
        call(fail, 4)
    assert "in fail\n" in str(caught.value)
    assert str(caught.value).endswith("KeyError: 'x'\n")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM, signal.SIGINT])
def test_a_child_that_is_killed_is_one_line_that_says_how(number: signal.Signals) -> None:
    with pytest.raises(BadInput) as caught:
        call(die, number)
    assert f"the task failed, because its process was killed by {number.name}" in str(caught.value)
    assert ("memory" in str(caught.value)) == (number in (signal.SIGKILL, signal.SIGABRT))


@pytest.mark.parametrize("wait", WAITS)
def test_whatever_interrupts_the_parent_ends_the_child_and_what_it_started(
    wait: Callable[..., None], tmp_path: Path
) -> None:
    pids: list[int] = []

    def interrupt(line: str) -> None:
        pids.extend(map(int, line.split()))
        raise KeyboardInterrupt

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        call(wait, str(tmp_path), say=interrupt)
    assert time.monotonic() - begun < SOON
    assert_gone(pids)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wait", WAITS[:2])
def test_a_child_does_not_outlive_a_parent_that_is_killed(wait: Callable[..., None], tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "from ablate.data.child import run_in_child\n"
        f"from test_child import FIXTURE, {wait.__name__}\n"
        f"run_in_child('', {wait.__name__}, FIXTURE, {str(tmp_path)!r}, say=lambda line: print(line, flush=True))"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    pids = list(map(int, parent.stdout.readline().split()))  # type: ignore[union-attr]
    assert pids
    parent.kill()
    parent.wait()
    parent.stdout.close()  # type: ignore[union-attr]
    assert_gone(pids)


def assert_gone(pids: list[int]) -> None:
    assert eventually(lambda: not any(map(runs, pids))), f"{pids} still run"


def runs(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


# Corpora


def test_a_cached_corpus_starts_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = prepare(FIXTURE, print)

    def refuse(*given: Any, **named: Any) -> None:
        raise AssertionError("a child was started")

    monkeypatch.setattr(preparing, "run_in_child", refuse)
    assert prepare(FIXTURE, print) == metadata


def test_a_child_that_was_killed_leaves_nothing_and_the_next_one_goes_on(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(preparing, "make", make_and_die)
        with pytest.raises(BadInput, match=r"preparing fixture failed, .* SIGKILL"):
            prepare(FIXTURE, print)
    assert not list((cache / "corpora").iterdir())
    assert prepare(FIXTURE, print)["train_pairs"] > 0


def make_and_die(data: DataConfig, mark: str, say: Callable[[str], None]) -> None:
    from ablate.data.cache import exclusive_folder

    with exclusive_folder(corpus_folder(mark), say) as place:
        (place / "arrays.npz").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)


def test_large_text_is_read_in_a_child_and_small_text_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ablate.data.sources import corpora

    for language in ("en", "fr"):
        (tmp_path / f"mine.{language}").write_text("one\ntwo\n")
    data, read = DataConfig(loader="files", path=str(tmp_path / "mine")), []

    def counted(task: str, *given: Any, **named: Any) -> Any:
        read.append(task)
        return run_in_child(task, *given, **named)

    monkeypatch.setattr(preparing, "run_in_child", counted)
    before = fingerprint(data)
    assert read == []
    monkeypatch.setattr(corpora, "LARGE", 15)
    assert fingerprint(data) == before
    assert read == ["reading mine"]


def test_a_packed_file_counts_as_large_as_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gzip

    from ablate.data.sources import corpora

    monkeypatch.setattr(corpora, "LARGE", 100_000)
    for language in ("en", "fr"):
        (tmp_path / f"train.{language}.gz").write_bytes(gzip.compress(b"a" * 60_000))
    assert corpora.is_large(DataConfig(loader="files", path=str(tmp_path)))
    assert not corpora.is_large(DataConfig(loader="files", path=str(tmp_path / "train.en.gz")))


# The command


@contextmanager
def preparing_slowly(tmp_path: Path, cache: Path) -> Iterator[subprocess.Popen[str]]:
    """A command that trains a tokeniser on long unbroken lines, at that moment."""
    drawn = random.Random(0)
    for language in ("en", "fr"):
        with (tmp_path / f"slow.{language}").open("w") as file:
            for _ in range(400):
                file.write("".join(drawn.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=30_000)) + "\n")
    command = [sys.executable, "-m", "ablate", "data=files", f"data.path={tmp_path / 'slow'}", "prepare_only=true"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*command, f"root={tmp_path}"], text=True, start_new_session=True, **pipes) as process:
        assert "preparing" in process.stdout.readline()  # type: ignore[union-attr]
        threading.Event().wait(5)
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.long
@pytest.mark.parametrize(
    ("number", "whom", "code"),
    [
        (signal.SIGINT, "the command", 130),
        (signal.SIGTERM, "the command", 143),
        (signal.SIGTERM, "both", 143),
        (signal.SIGKILL, "the child", 2),
    ],
)
def test_a_signal_ends_a_command_that_trains_a_tokeniser(
    number: signal.Signals, whom: str, code: int, tmp_path: Path, cache: Path
) -> None:
    with preparing_slowly(tmp_path, cache) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        (child,) = map(int, children)
        for pid in {"the command": [process.pid], "the child": [child], "both": [child, process.pid]}[whom]:
            os.kill(pid, number)
        error = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == code, error
    assert error.count("\n") == (code == 2)
    assert_gone([child])
    assert not list((cache / "corpora").iterdir())
