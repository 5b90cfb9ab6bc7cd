"""Where a device runs out of memory, a batch is taken in parts: the same update, a little slower."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from corpora import fixture_plan
from test_training import losses, trained
from tiny import TINY, tiny_model, tokens

from ablate.config import TrainConfig
from ablate.data.batches import Batch
from ablate.model.seeding import Streams
from ablate.model.transformer import Transformer
from ablate.store.folders import Store
from ablate.training.loop import TrainState, gradients, gradients_that_fit
from ablate.training.member import run_member
from ablate.training.objectives import TeacherForcing

ROWS = 7


def a_state(micro_batches: int = 1) -> TrainState:
    model = tiny_model(replace(TINY, dropout=0.0)).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    objective = TeacherForcing(TrainConfig(label_smoothing=0.1))
    return TrainState(
        model, optimizer, lambda update: 0.1, objective, Streams(0), 1.0, torch.autocast("cpu", enabled=False),
        micro_batches=micro_batches,
    )  # fmt: skip


def a_batch() -> Batch:
    """Rows of unequal length, so that micro-batches have unequal numbers of target tokens."""
    target = tokens(ROWS, 6)
    for row in range(ROWS):
        target[row, 2 + row % 4 :] = 0
    return Batch(tokens(ROWS, 5, seed=1), target)


@pytest.mark.parametrize("micro_batches", [2, 3, 4, ROWS])
def test_micro_batches_leave_the_gradient_of_the_whole_batch(micro_batches: int) -> None:
    whole, parts, batch = a_state(), a_state(micro_batches), a_batch()
    (loss, count), (same_loss, same_count) = gradients(whole, batch), gradients(parts, batch)
    assert count == same_count
    torch.testing.assert_close(loss, same_loss)
    for one, other in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-5, atol=1e-7)


def short_of_memory(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """A device whose memory holds so many rows while training."""
    forward = Transformer.forward

    def limited(self, source, target):
        if self.training and len(source) > rows:
            raise torch.OutOfMemoryError("no memory left")
        return forward(self, source, target)

    monkeypatch.setattr(Transformer, "forward", limited)


def test_a_batch_is_halved_until_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    state, whole, batch = a_state(), a_state(), a_batch()
    state.model.train()
    whole.model.train()
    expected, _ = gradients(whole, batch)
    short_of_memory(monkeypatch, 2)
    loss, _ = gradients_that_fit(state, batch)
    assert state.micro_batches == 4
    torch.testing.assert_close(loss, expected)


def test_a_pair_that_does_not_fit_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    short_of_memory(monkeypatch, 0)
    state = a_state()
    state.model.train()
    with pytest.raises(torch.OutOfMemoryError):
        gradients_that_fit(state, a_batch())


@pytest.mark.long
def test_a_run_short_of_memory_is_finished_and_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    easy = trained(tmp_path / "easy", "model.dropout=0")
    short_of_memory(monkeypatch, 8)
    hard = trained(tmp_path / "hard", "model.dropout=0")
    one, other = (folder.result() for folder in (easy, hard))
    assert one is not None
    assert other is not None
    assert one.micro_batches == 1 < other.micro_batches
    assert other.best_validation_loss == pytest.approx(one.best_validation_loss, rel=1e-3)


def test_a_diverged_run_is_never_tried_again(tmp_path: Path) -> None:
    words = ("optim.lr=1e30", "optim.warmup=0", "optim.clip=1e30")
    folder = trained(tmp_path, *words)
    before = losses(folder), folder.file("result.json").stat().st_mtime_ns
    spec = fixture_plan("+sweep=norm_placement", *words).runs[0]
    assert Store(tmp_path).freeze([spec]) == []
    run_member(folder, spec.config.device)
    assert (losses(folder), folder.file("result.json").stat().st_mtime_ns) == before
