"""The rehearsal for machines with a GPU, as far as it can be tested without one."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import gpu_rehearsal
import pytest
import torch
from gpu_rehearsal import LAWS, STEPS, Bench, laws, run


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """What --pack makes, for a machine that already has all packages."""
    folder = tmp_path / "packed"
    (folder / "wheels").mkdir(parents=True)
    (folder / "cache").mkdir()
    python = ".".join(gpu_rehearsal.platform.python_version_tuple()[:2])
    made_for = {"python": python, "machine": gpu_rehearsal.platform.machine(), "overrides": ["data=fixture"]}
    (folder / "pack.json").write_text(json.dumps(made_for))
    return folder


def test_steps_are_done_one_after_the_other_and_written_down(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(packed, tmp_path / "out", "cpu", ["environment", "memory"]) == 0
    steps = json.loads((tmp_path / "out" / "rehearsal.json").read_text())["steps"]
    assert [step["status"] for step in steps] == ["ok", "skipped"]
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["ok", "skipped"]
    assert "| memory | skipped |" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.long
@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU nothing fails")
def test_a_step_that_fails_does_not_stop_the_others(packed: Path, tmp_path: Path) -> None:
    assert run(packed, tmp_path / "out", "cuda", ["environment", "pairing"]) == 1
    steps = json.loads((tmp_path / "out" / "rehearsal.json").read_text())["steps"]
    assert [step["status"] for step in steps] == ["failed", "failed"]
    assert "device=cuda is not available" in steps[0]["line"]


def test_what_is_packed_for_another_python_is_refused(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (packed / "pack.json").write_text(json.dumps({"python": "3.9", "machine": "x86_64", "overrides": []}))
    assert run(packed, tmp_path / "out", "cpu", []) == 2
    assert "is for Python 3.9 on x86_64; this is Python 3" in capsys.readouterr().err


def blind(real: torch.Tensor) -> torch.Tensor:
    return torch.zeros(real.shape)[:, None, None, :]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_laws_hold_here_and_a_broken_one_is_found(
    precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        bench = Bench("cpu", tmp_path, tmp_path, tmp_path)
        assert laws(bench, precision)["units"].keys() == LAWS.keys()
        monkeypatch.setattr(import_module("ablate.model.transformer"), "padding_mask", blind)
        with pytest.raises(AssertionError, match="padding"):
            laws(bench, precision)
    finally:
        torch.set_num_threads(threads)


def test_each_step_is_explained() -> None:
    table = (Path(gpu_rehearsal.__file__).with_name("README.md")).read_text(encoding="utf-8")
    for step in STEPS:
        assert f"`{step}`" in table, step
