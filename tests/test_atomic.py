"""Files are there whole or not at all, and what was written is not mistaken for what it has become."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from flockless import BOTH
from hypothesis import given
from hypothesis import strategies as st
from waiting import PATIENCE

from ablate.store.schema import Damaged, Task, by_name, mapped, sealed, unsealed
from ablate.system import atomic
from ablate.system.atomic import sweep, temporary_file, write_atomic

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def task(value: dict) -> Task:
    return Task(seed=1, corpus="c", config=mapped(by_name, value))


@given(value=st.dictionaries(st.text(max_size=5), plain, max_size=4))
def test_what_is_sealed_is_read_back(value: dict) -> None:
    assert unsealed(sealed(task(value)), Task) == task(value)


@given(value=st.dictionaries(st.text(max_size=5), plain, min_size=1, max_size=4), data=st.data())
def test_a_flipped_bit_is_never_taken_for_another_value(value: dict, data: st.DataObject) -> None:
    content = bytearray(sealed(task(value)).encode())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        read = unsealed(bytes(content), Task)
    except Damaged:
        return
    assert read == task(value)  # the seal's own name was hit


@given(value=st.dictionaries(st.text(max_size=5), plain, max_size=4), data=st.data())
def test_what_is_cut_short_is_never_read(value: dict, data: st.DataObject) -> None:
    text = sealed(task(value))
    with pytest.raises(Damaged):
        unsealed(text[: data.draw(st.integers(0, len(text) - 1))], Task)


def test_writing_leaves_the_file_alone_or_replaces_it_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomic(tmp_path / "file", "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(atomic.os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            write_atomic(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    write_atomic(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_text() == "new"


@pytest.mark.parametrize("locks", BOTH)
def test_what_the_dead_left_is_swept_and_what_the_living_are_at_is_not(
    locks: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    BOTH[locks](monkeypatch)
    code = (
        "import os, pathlib, signal, ablate.system.atomic\n"
        f"with ablate.system.atomic.temporary_file(pathlib.Path({str(tmp_path)!r}) / 'file') as path:\n"
        "    path.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob("*.part"))) == 1
    (tmp_path / ".lock").touch()
    with temporary_file(tmp_path / "file") as living:
        living.touch()
        sweep(tmp_path)
        assert list(tmp_path.glob("*.part")) == [living]
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / ".lock"]


SWEEPER = """
import pathlib, sys, ablate.system.atomic
print(flush=True)
while not (pathlib.Path(sys.argv[1]) / "end").exists():
    ablate.system.atomic.sweep(pathlib.Path(sys.argv[1]))
"""


@pytest.mark.parametrize("locks", BOTH)
def test_sweeping_costs_no_writer_its_file(locks: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    BOTH[locks](monkeypatch)
    sweeper = subprocess.Popen([sys.executable, "-c", SWEEPER, str(tmp_path)], stdout=subprocess.PIPE)
    assert sweeper.stdout is not None
    sweeper.stdout.readline()
    for number in range(100):
        write_atomic(tmp_path / "file", str(number))
        assert (tmp_path / "file").read_text() == str(number)
    (tmp_path / "end").touch()
    assert sweeper.wait(PATIENCE) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["end", "file"]
