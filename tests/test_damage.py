"""What a machine or a stranger did to checkpoints and prepared corpora: a line says so, they are set aside and made
anew, and the study ends well. Nothing that lies in them is ever run."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from malformed import SMOKE, Said, ablate, damaged, marks, quick, tried

from ablate import cli
from ablate.data.cache import cache_folder, check_sums, write_sums
from ablate.report import render
from ablate.training import loop, resume

UPDATES = 12
STUDY = (
    *SMOKE,
    "seeds=1",
    f"train.updates={UPDATES}",
    "train.validations=2",
    "diagnostics.times=1",
    "evaluation.beam=1",
)
PREPARED = ("SHA256SUMS", "arrays.npz", "corpus.json", "test.jsonl", "tokenizer.json")


class Killed(BaseException):
    """What no run expects."""


class Evil:
    """Unpickled, it leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.trace),)


def study(root: Path) -> Said:
    with quick(cli.CONF):
        return ablate(*STUDY, f"root={root}")


@pytest.fixture(autouse=True, scope="module")
def _quickly() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(render, "FIGURES", {})
        patched.setattr(resume, "SHARE", float("inf"))  # each pause leaves a checkpoint
        yield


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root whose only run was cut between its two validations."""
    root, step = tmp_path_factory.mktemp("cut"), loop.step

    def dying(state: Any, batch: Any) -> Any:
        if state.update == UPDATES - 1:
            raise Killed
        return step(state, batch)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop, "step", dying)
        with pytest.raises(Killed):
            study(root)
    assert list(root.glob("runs/*/checkpoint.pt"))
    return root


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The weights that the run ends in."""
    root = tmp_path_factory.mktemp("whole")
    assert study(root).code == 0
    return weights(root)


def weights(root: Path) -> bytes:
    (path,) = root.glob("runs/*/weights.pt")
    return b"".join(each.numpy().tobytes() for each in torch.load(path, weights_only=True).values())


def ended_well(root: Path, whole: bytes) -> Said:
    said = study(root)
    assert said.code == 0, said
    assert "Traceback" not in said.out + said.err
    assert weights(root) == whole
    return said


def copied(cut: Path, root: Path) -> Path:
    """The cut run's folder, in a root of its own."""
    shutil.copytree(cut, root, dirs_exist_ok=True)
    (path,) = root.glob("runs/*/checkpoint.pt")
    return path.parent


@pytest.mark.long
@given(st.data())
@tried(10)
def test_a_damaged_checkpoint_is_set_aside_and_the_run_starts_anew(
    cut: Path, whole: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("root")
    path = copied(cut, root) / "checkpoint.pt"
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    said = ended_well(root, whole)
    assert said.out.count("checkpoint.pt cannot be used (") == 1
    assert (path.parent / f"damaged-{resume.NAME}").exists()
    shutil.rmtree(root)


def evil_zip(trace: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save({"update": Evil(trace)}, buffer)
    return buffer.getvalue()


def evil_lengths(trace: Path) -> bytes:
    """A checkpoint that would have another file cut."""
    buffer = io.BytesIO()
    torch.save({"mark": "m", "lengths": {"../../victim": 0}}, buffer)
    return buffer.getvalue()


EVIL = {"pickle": lambda trace: pickle.dumps(Evil(trace)), "zip": evil_zip, "lengths": evil_lengths}


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("kind", EVIL)
def test_a_checkpoint_runs_no_code_and_touches_no_other_file(
    cut: Path, whole: bytes, tmp_path: Path, kind: str, sealed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, trace = copied(cut, tmp_path / "root"), tmp_path / "trace"
    content = EVIL[kind](trace)
    (folder / "checkpoint.pt").write_bytes(resume.sealed(content) if sealed else content)
    (folder.parent / "victim").write_text("whole")
    monkeypatch.setattr(resume, "digest", lambda frozen: "m")
    said = ended_well(tmp_path / "root", whole)
    assert not trace.exists()
    assert (folder.parent / "victim").read_text() == "whole"
    assert said.out.count("checkpoint.pt cannot be used (") == 1


def test_weights_run_no_code(tmp_path: Path) -> None:
    root, trace = tmp_path / "root", tmp_path / "trace"
    assert study(root).code == 0
    (path,) = root.glob("runs/*/weights.pt")
    path.write_bytes(evil_zip(trace))
    for scores in path.parent.glob("evaluation-*.json"):
        scores.unlink()
    said = study(root)
    assert said.code == 1
    assert "failed: baseline/seed0" in said.out
    assert "failure.txt" in said.out
    assert not trace.exists()


def prepared() -> Path:
    """The folder of the fixture's prepared corpus."""
    with quick(cli.CONF):
        said = ablate(*SMOKE, "prepare_only=true")
    assert said.code == 0, said
    return Path(said.out.splitlines()[-1])


@given(st.sampled_from(PREPARED), st.data())
@tried(20)
def test_a_damaged_corpus_is_set_aside_and_prepared_anew(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    shutil.rmtree(prepared())  # that of another test may describe the same corpus in other words
    before = prepared()
    content = (before / name).read_bytes()
    (before / name).write_bytes(data.draw(damaged(content)))
    with quick(cli.CONF):
        said = ablate(*SMOKE, "prepare_only=true")
        again = ablate(*SMOKE, "prepare_only=true")
    assert said.code == again.code == 0, said
    assert said.out.count("was damaged: it is renamed to") == 1
    assert "renamed to" not in again.out
    assert (before / name).read_bytes() == content


def test_hashes_that_are_listed_twice_are_damage() -> None:
    folder = prepared()
    sums = (folder / "SHA256SUMS").read_bytes()
    (folder / "SHA256SUMS").write_bytes(sums + sums)
    with pytest.raises(ValueError, match="SHA256SUMS"):
        check_sums(folder)
    (folder / "SHA256SUMS").write_bytes(sums)
    check_sums(folder)


def evil_arrays(trace: Path) -> bytes:
    """An archive of numpy's that holds objects, which numpy unpickles when it is told to."""
    buffer = io.BytesIO()
    np.savez(buffer, train_source=np.array([Evil(trace)], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def evil_member(trace: Path) -> bytes:
    """One that leads out of its folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../trace", pickle.dumps(Evil(trace)))
    return buffer.getvalue()


@pytest.mark.parametrize("make", [evil_arrays, evil_member, lambda trace: pickle.dumps(Evil(trace))])
def test_a_prepared_corpus_runs_no_code_even_where_its_hashes_are_right(
    tmp_path: Path, make: Callable[[Path], bytes]
) -> None:
    folder, trace = prepared(), tmp_path / "trace"
    (folder / "arrays.npz").write_bytes(make(trace))
    (folder / "SHA256SUMS").unlink()
    write_sums(folder)
    outside = marks(cache_folder().parent).keys()
    with quick(cli.CONF):
        said = ablate(*SMOKE, "prepare_only=true")
    assert said.code == 0
    assert said.out.count("was damaged: it is renamed to") == 1
    assert not trace.exists()
    assert not [path for path in marks(cache_folder().parent).keys() - outside if "corpora" not in path]


def test_a_study_goes_on_over_a_damaged_corpus(tmp_path: Path, whole: bytes) -> None:
    (prepared() / "test.jsonl").write_bytes(b"{}")
    said = ended_well(tmp_path, whole)
    assert said.out.count("was damaged: it is renamed to") == 1
