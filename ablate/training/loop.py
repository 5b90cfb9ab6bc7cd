"""The one training loop. It knows no design choice."""

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
    """Everything that training changes, and the rules by which it does."""

    model: Architecture
    optimizer: torch.optim.Optimizer
    learning_rate: Callable[[int], float]
    objective: Objective
    streams: Streams
    clip: float
    autocast: torch.autocast
    update: int = 0  # updates done
    micro_batches: int = 1  # that a batch is at least taken in; more where the device's memory is short


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
    """Train up to `updates`, or until the meter sees that the run has diverged, or until asked to stop.

    After each update in `pauses` (0: before the first) `pause` validates, measures, keeps weights.
    """
    while meter.diverged_at is None:  # a flush tells, in a pause or every few updates
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
    """One update. Its loss, its gradient norm before clipping and its target tokens, [3], still on the device."""
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
    """`gradients`, in twice as many micro-batches as before for as long as the device runs out of memory.

    Raises torch.OutOfMemoryError where a single pair is too much.
    """
    while True:
        try:
            return gradients(state, batch)
        except torch.OutOfMemoryError:
            if state.micro_batches >= len(batch.source):
                raise
        state.micro_batches *= 2  # not among the exception's own frames, which hold on to the memory
        state.optimizer.zero_grad(set_to_none=True)


def gradients(state: TrainState, batch: Batch) -> tuple[Tensor, Tensor]:
    """Leave the gradient of the mean loss over the batch's target tokens; that loss and their number, both [].

    The effective batch is the same whatever the number of micro-batches: each counts by its share of the tokens. None
    has more rows than `most_rows` allows, as a batch of short targets may have sources of any length.
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
