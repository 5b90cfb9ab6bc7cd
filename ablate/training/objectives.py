"""Training objectives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from ablate.config import TrainConfig
from ablate.data.batches import Batch
from ablate.data.vocabulary import PAD
from ablate.model.architecture import Architecture
from ablate.model.seeding import Streams
from ablate.model.token_loss import token_loss


class Objective(Protocol):
    def __call__(self, model: Architecture, batch: Batch, update: int, streams: Streams) -> tuple[Tensor, Tensor]:
        """Mean loss over the target tokens of the batch, and their number, both []. `streams` gives random numbers."""


class TeacherForcing:
    """Label-smoothed cross-entropy of each reference token given the reference tokens before it.

    Williams and Zipser 1989; Szegedy et al. 2016, arXiv:1512.00567, for the smoothing.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.label_smoothing = config.label_smoothing

    def __call__(self, model: Architecture, batch: Batch, update: int, streams: Streams) -> tuple[Tensor, Tensor]:
        labels = batch.target[:, 1:]
        logits = model(batch.source, batch.target[:, :-1])
        return token_loss(logits, labels, self.label_smoothing), (labels != PAD).sum()


OBJECTIVES: dict[str, Callable[[TrainConfig], Objective]] = {"teacher_forcing": TeacherForcing}
