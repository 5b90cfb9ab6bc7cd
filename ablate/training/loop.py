"""The one training loop. It knows no design choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ablate.data.batches import Batch, Batches
from ablate.model.loss import token_loss
from ablate.training.meter import Meter
from ablate.vocabulary import PAD


@dataclass
class TrainState:
    """Everything that training changes, and the rules by which it does."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    learning_rate: Callable[[int], float]
    label_smoothing: float
    clip: float
    autocast: torch.autocast
    update: int = 0  # updates done


def train(
    state: TrainState,
    batches: Batches,
    seed: int,
    updates: int,
    pauses: frozenset[int],
    pause: Callable[[int], None],
    meter: Meter,
) -> None:
    """Train up to `updates`, or until the meter sees that the run has diverged.

    After each update in `pauses` (0: before the first) `pause` validates, measures, keeps weights.
    """
    while meter.diverged_at is None:  # a flush tells, in a pause or every few updates
        if state.update in pauses:
            meter.flush()
            if meter.diverged_at is not None:
                break
            pause(state.update)
            meter.resume()
        if state.update == updates:
            break
        batch = batches.at(state.update, seed)
        meter.add(state.update + 1, state.learning_rate(state.update + 1), step(state, batch))
    meter.flush()


def step(state: TrainState, batch: Batch) -> Tensor:
    """One update. Its loss, its gradient norm before clipping and its target tokens, [3], still on the device."""
    state.model.train()
    state.update += 1
    for parameters in state.optimizer.param_groups:
        parameters["lr"] = state.learning_rate(state.update)
    labels = batch.target[:, 1:]
    with state.autocast:
        logits = state.model(batch.source, batch.target[:, :-1])
    loss = token_loss(logits, labels, state.label_smoothing)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(state.model.parameters(), state.clip)
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    return torch.stack([loss.detach(), norm.detach(), (labels != PAD).sum().to(loss)])
