"""Nothing mixes devices: what trains, decodes and measures runs on a pretended GPU, and finds there what a CPU finds.

Differences are those of rounding, because some code computes the same in another order on a CPU.
"""

from __future__ import annotations

import io
import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from corpora import fixture_plan
from placed import GPU, WrongDevice, place_of, pretended_gpu
from test_resume import cut, frozen
from tiny import TINY, VALUES, VOCABULARY, describe, every_design, tokens
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from ablate.config import CHOICES, Config, ModelConfig
from ablate.data.batches import Batch, Batches
from ablate.data.corpus import Corpus
from ablate.data.vocabulary import PAD
from ablate.diagnostics import diagnose
from ablate.diagnostics.similarity import representations
from ablate.evaluation.decoding import translate
from ablate.model import attention, build
from ablate.model.seeding import Streams
from ablate.store.run_folder import RunFolder
from ablate.training import machine, resume
from ablate.training.checkpoints import CHECKPOINTS
from ablate.training.loop import TrainState, gradients, step
from ablate.training.member import initial_state, run_member, seed_dropout


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Threads that wait for each other take many times as long as the small tensors here, on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _one_kernel() -> Iterator[None]:
    """Attention is computed as on a GPU everywhere, so that results are equal bit for bit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "FEW_KEYS", 0)
        yield


each_design = pytest.mark.parametrize("config", every_design(), ids=lambda config: describe(config.model))


def a_batch(device: str) -> Batch:
    source, target = tokens(4, 6), tokens(4, 7, seed=1)
    source[0, 4:], target[1, 5:] = PAD, PAD
    return Batch(source.to(device), target.to(device))


def a_state(config: Config, device: str) -> TrainState:
    teachers = [build(TINY, VOCABULARY).to(device)] if config.train.teacher else []
    return initial_state(config, VOCABULARY, 0, torch.device(device), teachers)


def exercise(config: Config, device: str) -> dict[str, Any]:
    """What a run of a few updates does, and what it finds: training, checkpoints, decoding, diagnostics."""
    state, kept, batch = a_state(config, device), CHECKPOINTS[config.train.checkpoint](), a_batch(device)
    found: dict[str, Any] = {"updates": []}
    for update in range(2):
        state.micro_batches = 1 + update
        found["updates"].append(step(state, batch).tolist())
        kept.offer(state.model, update, float(update))
    buffer = io.BytesIO()
    torch.save([state.model.state_dict(), state.optimizer.state_dict(), state.streams.state(), kept.state()], buffer)
    model, optimizer, streams, best = torch.load(io.BytesIO(buffer.getvalue()), map_location="cpu")
    again, kept_again = a_state(config, device), CHECKPOINTS[config.train.checkpoint]()
    again.update = state.update
    again.model.load_state_dict(model)
    again.optimizer.load_state_dict(optimizer)
    again.streams.restore(streams)
    kept_again.restore(best)
    found["resumed"] = step(again, batch).tolist()
    kept_again.offer(again.model, 4, 0.0)
    again.model.load_state_dict(kept_again.weights())
    found["diagnostics"] = diagnose(again.model, batch)
    found["representations"] = representations(again.model, [batch], 10)
    found["translations"] = translate(again.model, [row.numpy() for row in tokens(2, 2)], beam=3)
    assert {place_of(value).type for value in again.model.state_dict().values()} == {device}
    return found


@each_design
def test_what_a_run_does_keeps_to_its_device(config: Config) -> None:
    with pretended_gpu():
        there = exercise(config, "cuda")
    torch.testing.assert_close(there, exercise(config, "cpu"), rtol=1e-3, atol=1e-4, equal_nan=True)


def test_every_field_of_the_model_is_varied() -> None:
    assert {f"model.{item.name}" for item in fields(ModelConfig)} <= CHOICES.keys() | VALUES.keys()


# --- a whole run ------------------------------------------------------------------------------------------------------


@pytest.fixture
def run_on_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers find a GPU, and those of its properties that are asked for."""
    monkeypatch.setattr(machine, "checked_device", lambda wanted, precision: GPU)
    monkeypatch.setattr(machine, "reset_peak_memory", lambda device: None)
    monkeypatch.setattr(machine, "peak_memory", lambda device: 1)
    monkeypatch.setattr(machine, "device_name", lambda device: "pretended")


def test_a_run_that_is_cut_and_resumed_keeps_to_its_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_on_the_gpu: None, no_child: None
) -> None:
    spec = fixture_plan("+sweep=norm_placement", "train.updates=8", "train.validations=2").runs[0]
    there, here = frozen(tmp_path / "there", spec), frozen(tmp_path / "here", spec)
    monkeypatch.setattr(resume, "SHARE", math.inf)
    with pretended_gpu():
        cut(monkeypatch, there, spec, 6)
        run_member(there, spec.config.device)
    assert there.failure() is None, there.failure()
    assert there.lines("notes.txt") == []
    result = there.result()
    assert result is not None
    assert result.provenance["device"] == "cuda"
    assert there.scores(spec.evaluation) is not None
    monkeypatch.undo()
    run_member(here, spec.config.device)
    for name in ("curve.csv", "validation.csv"):
        assert losses(there, name) == pytest.approx(losses(here, name), rel=1e-3)


def losses(folder: RunFolder, name: str) -> dict[str, float]:
    """Update -> loss."""
    return {line.split(",")[0]: float(line.split(",")[1]) for line in folder.lines(name)[1:]}


def test_batches_are_where_they_are_wanted(no_child: None) -> None:
    spec = fixture_plan("+sweep=norm_placement").runs[0]
    corpus = Corpus.load(spec.corpus)
    with pretended_gpu():
        batches = Batches(corpus.train, 256, GPU)
        for batch in (batches.at(3, seed=1), batches.largest()):
            assert place_of(batch.source) == place_of(batch.target) == GPU


# --- the pretended GPU itself -----------------------------------------------------------------------------------------

Case = Callable[[Tensor, Tensor], Any]  # (on the GPU, on the CPU), both [3, 3] of ones
CASES: dict[str, tuple[Case, str | None]] = {  # and where the result is, or None for what CUDA refuses
    "sum": (lambda there, here: there + here, None),
    "sum with a number": (lambda there, here: there + here.sum(), "cuda"),
    "number times": (lambda there, here: here.sum() * there, "cuda"),
    "sum with a number on the GPU": (lambda there, here: here + there.sum(), None),
    "product": (lambda there, here: there.float() @ here.float(), None),
    "in place": (lambda there, here: there.add_(here), None),
    "in place of a number": (lambda there, here: here.sum().add_(there.sum()), None),
    "added to a number": (lambda there, here: operator.iadd(here.sum(), there.sum()), None),
    "sum of numbers": (lambda there, here: here.sum() + there.sum(), "cuda"),
    "copy": (lambda there, here: there.copy_(here), "cuda"),
    "read at places on the CPU": (lambda there, here: there[here[0]], "cuda"),
    "read at places on the GPU": (lambda there, here: here[there[0]], None),
    "write at places on the CPU": (lambda there, here: there.__setitem__(here[0], 1), "cuda"),
    "write from the CPU": (lambda there, here: there.__setitem__(0, here[0]), "cuda"),
    "write at places from the CPU": (lambda there, here: there.__setitem__(there[0], here), None),
    "mask on the CPU": (lambda there, here: there.masked_fill(here > 0, 1), None),
    "choice": (lambda there, here: torch.where(here > 0, there, there), None),
    "choice of a number": (lambda there, here: torch.where(there > 0, there, here.sum()), "cuda"),
    "joined": (lambda there, here: torch.cat([there, here]), None),
    "gather": (lambda there, here: there.gather(1, here), None),
    "linear": (lambda there, here: torch.nn.functional.linear(there.float(), here.float()), None),
    "embedding": (lambda there, here: torch.nn.functional.embedding(here, there.float()), None),
    "loss": (lambda there, here: torch.nn.functional.cross_entropy(there.float(), here[0]), None),
    "moved": (lambda there, here: there + here.to(there.device), "cuda"),
    "made there": (lambda there, here: there + torch.ones(3, 3, device=there.device), "cuda"),
    "made here": (lambda there, here: there + torch.ones(3, 3), None),
    "like another": (lambda there, here: there + here.to(there), "cuda"),
    "brought back": (lambda there, here: there.cpu() + here, "cpu"),
}
LET_THROUGH = {"read at places on the GPU": "cpu"}  # by torch's fake tensors, but not by CUDA
UNKNOWN = "not linked with support for cuda"  # what torch's fake tensors say where a build for CPUs cannot tell


@pytest.mark.parametrize("case", CASES)
def test_the_pretended_gpu_refuses_what_cuda_refuses(case: str) -> None:
    """Which is what torch's own fake tensors refuse, with one exception."""
    operation, expected = CASES[case]
    with FakeTensorMode():
        fake = torch.ones(3, 3, dtype=torch.long, device="cuda")
        assert device_of(operation, fake) in (LET_THROUGH.get(case, expected), UNKNOWN)
    with pretended_gpu():
        assert device_of(operation, torch.ones(3, 3, dtype=torch.long).to("cuda")) == expected


def device_of(operation: Case, there: Tensor) -> str | None:
    """Where the result is; None where the operation is refused."""
    try:
        result = operation(there, torch.ones(3, 3, dtype=torch.long))
    except RuntimeError as error:
        return UNKNOWN if UNKNOWN in str(error) else None
    return there.device.type if result is None else result.device.type


def test_a_move_to_another_device_is_a_copy() -> None:
    with pretended_gpu():
        here = torch.zeros(3)
        there = here.to("cuda")
        there += 1
        assert (here.sum(), there.cpu().sum()) == (0, 3)
        assert there.to("cuda") is there


@pytest.mark.parametrize("use", [Tensor.numpy, lambda x: x.bernoulli_(0.5, generator=torch.Generator())])
def test_the_host_does_not_read_the_pretended_gpu(use: Callable[[Tensor], Any]) -> None:
    with pretended_gpu(), pytest.raises(WrongDevice):
        use(torch.ones(3).to("cuda"))


# --- faults that must be found ----------------------------------------------------------------------------------------


def batch_left_behind(state: TrainState) -> Batch:
    return a_batch("cpu")


def dropout_with_the_cpus_generator(state: TrainState) -> Batch:
    seed_dropout(state.model, Streams(0))
    return a_batch("cuda")


def layer_left_behind(state: TrainState) -> Batch:
    [*state.model.children()][-1].to("cpu")
    return a_batch("cuda")


@pytest.mark.parametrize("fault", [batch_left_behind, dropout_with_the_cpus_generator, layer_left_behind])
def test_what_is_on_the_wrong_device_is_found(fault: Callable[[TrainState], Batch]) -> None:
    with pretended_gpu():
        state = a_state(replace(Config(), model=TINY), "cuda")
        gradients(state, a_batch("cuda"))
        batch = fault(state)
        with pytest.raises(WrongDevice):
            gradients(state, batch)
