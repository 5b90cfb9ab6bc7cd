"""The training loop of all runs. It is independent of every design choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ablate.data.batches import Batch, Batches
from ablate.data.bounds import most_rows
from ablate.data.vocabulary import PAD
from ablate.model.architecture import Architecture
from ablate.model.seeding import Streams
from ablate.training.meter import Meter
from ablate.training.objectives import Objective


@dataclass
class TrainState:
    """Everything that training changes, and the rules by which it changes."""

    model: Architecture
    optimizer: torch.optim.Optimizer
    learning_rate: Callable[[int], float]
    objective: Objective
    streams: Streams
    clip: float
    autocast: torch.autocast
    update: int = 0  # updates done
    micro_batches: int = 1  # least number of parts of a batch; doubled when the device runs out of memory


def train(
    state: TrainState,
    batches: Batches,
    seed: int,
    updates: int,
    pauses: frozenset[int],
    pause: Callable[[int], None],
    meter: Meter,
    asked_to_stop: Callable[[], bool],
) -> None:
    """Train up to `updates`, or until the run has diverged, or until asked to stop.

    `pause` validates, measures and keeps weights. It is called after each update in `pauses`; 0 is before the first.
    """
    while meter.diverged_at is None:  # known after a flush, which happens in pauses and every few updates
        if state.update in pauses:
            meter.flush()
            if meter.diverged_at is not None:
                break
            pause(state.update)
            meter.resume()
        if state.update == updates or asked_to_stop():
            break
        batch = batches.at(state.update, seed)
        meter.add(state.update + 1, state.learning_rate(state.update + 1), step(state, batch))
    meter.flush()


def step(state: TrainState, batch: Batch) -> Tensor:
    """Do one update. Returns loss, gradient norm before clipping and number of target tokens, [3], on the device."""
    state.model.train()
    state.update += 1
    for parameters in state.optimizer.param_groups:
        parameters["lr"] = state.learning_rate(state.update)
    loss, tokens = gradients_that_fit(state, batch)
    norm = nn.utils.clip_grad_norm_(state.model.parameters(), state.clip)
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    return torch.stack([loss, norm.detach(), tokens.to(loss)])


def gradients_that_fit(state: TrainState, batch: Batch) -> tuple[Tensor, Tensor]:
    """Call `gradients`, with twice as many micro-batches each time that the device runs out of memory.

    Raises torch.OutOfMemoryError if a single pair does not fit.
    """
    while True:
        try:
            return gradients(state, batch)
        except torch.OutOfMemoryError:
            if state.micro_batches >= len(batch.source):
                raise
        state.micro_batches *= 2  # outside of `except`, since the exception's frames keep memory alive
        state.optimizer.zero_grad(set_to_none=True)


def gradients(state: TrainState, batch: Batch) -> tuple[Tensor, Tensor]:
    """Compute the gradient of the mean loss over the target tokens. Returns that loss and their number, both [].

    Each micro-batch is weighted by its share of the tokens, so the result does not depend on how many there are. None
    has more rows than `most_rows` allows, because a batch of short targets may have sources of any length.
    """
    tokens = (batch.target[:, 1:] != PAD).sum()
    total = torch.zeros((), device=tokens.device)
    most = most_rows(batch.source.shape[1], batch.target.shape[1] - 1, state.model.vocabulary_size)
    rows = min(-(-len(batch.source) // state.micro_batches), most)
    for source, target in zip(batch.source.split(rows), batch.target.split(rows)):
        with state.autocast:
            mean, count = state.objective(state.model, Batch(source, target), state.update, state.streams)
        loss = mean * (count / tokens)
        loss.backward()
        total += loss.detach()
    return total, tokens
