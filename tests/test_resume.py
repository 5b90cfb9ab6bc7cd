"""A run that is cut anywhere and taken up again ends as one that was not."""

from __future__ import annotations

import csv
import io
import os
import signal
from pathlib import Path

import pytest
import torch
from corpora import fixture_plan
from msgspec import structs
from short import each_once, sometimes
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ablate.store.folders import Store
from ablate.store.ids import RunSpec
from ablate.store.run_folder import ASIDE, RunFolder
from ablate.training import loop, member, resume
from ablate.training.checkpoints import CHECKPOINTS
from ablate.training.member import run_member

UPDATES = 60  # of a smoke run
RULES = {"best": [], "average_last_10": ["train.checkpoint=average_last_10", "train.validations=40"]}
DEATHS = {"before validation 1": 7, "just after a checkpoint": 15, "between": 38, "in the last update": 60}


class Killed(BaseException):
    """What no run expects."""


def a_spec(rule: str) -> RunSpec:
    return fixture_plan("+sweep=norm_placement", *RULES[rule]).runs[0]


def frozen(root: Path, spec: RunSpec) -> RunFolder:
    Store(root).freeze([spec])
    return Store(root).run(spec.id)


def cut(monkeypatch: pytest.MonkeyPatch, folder: RunFolder, spec: RunSpec, update: int) -> None:
    """Run it until it dies in this update."""
    step = loop.step

    def dying(state, batch):
        if state.update + 1 == update:
            raise Killed
        return step(state, batch)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "step", dying)
        with pytest.raises(Killed):
            run_member(folder, spec.config.device)


def left_behind(folder: RunFolder, spec: RunSpec) -> dict:
    """What a run's later reader sees, time aside."""
    curve = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(folder.lines("curve.csv"))]
    result, scores = folder.result(), folder.scores(spec.evaluation)
    assert result is not None
    assert scores is not None
    timed = (
        "seconds",
        "decoding_seconds",
        "tokens_per_second",
        "peak_memory",
        "provenance",
        "curves",
    )  # hashes of times, the last
    return {
        "curve": curve,
        "validation": folder.lines("validation.csv"),
        "diagnostics": folder.lines("diagnostics.jsonl"),
        "result": {key: value for key, value in structs.asdict(result).items() if key not in timed},
        "scores": {key: value for key, value in structs.asdict(scores).items() if key not in timed},
    }


@pytest.fixture(autouse=True)
def always_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "SHARE", float("inf"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[RunFolder, dict]]:
    found = {}
    for rule in RULES:
        spec = a_spec(rule)
        folder = frozen(tmp_path_factory.mktemp(rule), spec)
        run_member(folder, spec.config.device)
        found[rule] = folder, left_behind(folder, spec)
    return found


@pytest.mark.parametrize(("rule", "death"), each_once(RULES, DEATHS))
def test_a_run_cut_anywhere_ends_as_one_that_was_not(tmp_path, monkeypatch, undisturbed, rule: str, death: str) -> None:
    spec = a_spec(rule)
    folder = frozen(tmp_path, spec)
    cut(monkeypatch, folder, spec, DEATHS[death])
    assert folder.result() is None
    run_member(folder, spec.config.device)
    whole, expected = undisturbed[rule]
    assert left_behind(folder, spec) == expected
    weights, wanted = (torch.load(each.file("weights.pt"), weights_only=True) for each in (folder, whole))
    assert all(torch.equal(weights[name], wanted[name]) for name in wanted)
    assert not folder.file(resume.NAME).exists()


@pytest.mark.parametrize("update", [0, 15, UPDATES])
def test_a_stop_requested_during_any_pause_repeats_nothing(tmp_path, monkeypatch, undisturbed, update: int) -> None:
    spec = a_spec("best")
    folder = frozen(tmp_path, spec)
    validate, pauses = member.mean_loss, iter(sorted({0, 15, 30, 45, UPDATES}))

    def interrupted(model, batches):
        if next(pauses, None) == update:
            os.kill(os.getpid(), signal.SIGINT)
        return validate(model, batches)

    with monkeypatch.context() as patched:
        patched.setattr(member, "mean_loss", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_member(folder, spec.config.device)
    run_member(folder, spec.config.device)
    assert left_behind(folder, spec) == undisturbed["best"][1]


class OneWeight(nn.Module):
    def __init__(self, device: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(3, 2, device=device))


@pytest.mark.parametrize("rule", CHECKPOINTS)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_kept_weights_from_a_resume_file_mix_with_new_ones_of_any_device(rule: str, device: str) -> None:
    with FakeTensorMode():  # checks devices without having them
        before, after = CHECKPOINTS[rule](), CHECKPOINTS[rule]()
        before.offer(OneWeight(device), 10, 2.0)
        after.restore(before.state())
        after.offer(OneWeight(device), 20, 3.0)
        assert after.weights()["weight"].device == torch.device("cpu")  # where resume files are read to


def test_a_run_that_is_taken_up_does_not_train_again_what_it_had(tmp_path, monkeypatch) -> None:
    spec = a_spec("best")
    folder = frozen(tmp_path, spec)
    cut(monkeypatch, folder, spec, 50)
    steps: list[int] = []
    step = loop.step
    monkeypatch.setattr(loop, "step", lambda state, batch: steps.append(state.update) or step(state, batch))
    run_member(folder, spec.config.device)
    assert min(steps) == 45  # a quarter of a smoke run lies between validations
    assert max(steps) == UPDATES - 1


def test_a_checkpoint_is_gone_on_from_whatever_else_the_command_says(tmp_path, monkeypatch) -> None:
    spec = a_spec("best")
    folder = frozen(tmp_path, spec)
    cut(monkeypatch, folder, spec, 50)
    said = ("workers=1", "root=elsewhere", "wandb.mode=offline", "seeds=5")
    other = fixture_plan("+sweep=norm_placement", *said).runs[0]
    assert other.id == spec.id
    Store(tmp_path).freeze([other])
    run_member(folder, spec.config.device)
    assert folder.lines("notes.txt") == []


@pytest.mark.parametrize("harm", sometimes(["truncated", "flipped", "foreign", "empty", "curve lost"], "foreign"))
def test_a_checkpoint_that_is_no_good_is_set_aside_and_the_run_starts_anew(
    tmp_path, monkeypatch, undisturbed, harm: str
) -> None:
    spec = a_spec("best")
    folder = frozen(tmp_path, spec)
    cut(monkeypatch, folder, spec, 50)
    path = folder.file(resume.NAME)
    content = bytearray(path.read_bytes())
    if harm == "foreign":
        value, buffer = torch.load(io.BytesIO(resume.unsealed(bytes(content))), weights_only=True), io.BytesIO()
        torch.save(value | {"mark": "another"}, buffer)
        path.write_bytes(resume.sealed(buffer.getvalue()))
    elif harm == "curve lost":
        folder.file("curve.csv").write_text("")
    else:
        content[len(content) // 2] ^= 0xFF
        path.write_bytes({"truncated": content[: len(content) // 2], "flipped": content, "empty": b""}[harm])
    run_member(folder, spec.config.device)
    assert left_behind(folder, spec) == undisturbed["best"][1]
    assert folder.failure() is None
    assert folder.file(ASIDE + resume.NAME).exists()
    assert len(folder.lines("notes.txt")) == 1


def test_writing_checkpoints_takes_no_more_than_its_share(tmp_path, monkeypatch) -> None:
    spec = a_spec("average_last_10")
    folder = frozen(tmp_path, spec)
    clock = [0.0]
    monkeypatch.setattr(resume, "SHARE", 0.01)
    monkeypatch.setattr(resume.time, "perf_counter", lambda: clock[0])
    written = []

    write_file = RunFolder.write_file

    def slow(folder, name, content):
        if name != resume.NAME:
            return write_file(folder, name, content)
        written.append(clock[0])
        clock[0] += 1.0  # a second to write

    monkeypatch.setattr(RunFolder, "write_file", slow)
    step = loop.step

    def stepping(state, batch):
        clock[0] += 10.0
        return step(state, batch)

    monkeypatch.setattr(loop, "step", stepping)
    member.run_member(folder, spec.config.device)
    assert 2 <= len(written) <= 1 + UPDATES * 10 * 0.01
