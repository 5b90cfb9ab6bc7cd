"""What training minimises."""

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
from ablate.plugins import extend


class Objective(Protocol):
    def __call__(self, model: Architecture, batch: Batch, update: int, streams: Streams) -> tuple[Tensor, Tensor]:
        """The mean loss over the batch's target tokens, and their number; both []. Random draws come from `streams`."""


class TeacherForcing:
    """Label-smoothed cross-entropy of each reference token given those before it.

    Williams and Zipser 1989; Szegedy et al. 2016, arXiv:1512.00567, for the smoothing.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.label_smoothing = config.label_smoothing

    def __call__(self, model: Architecture, batch: Batch, update: int, streams: Streams) -> tuple[Tensor, Tensor]:
        labels = batch.target[:, 1:]
        logits = model(batch.source, batch.target[:, :-1])
        return token_loss(logits, labels, self.label_smoothing), (labels != PAD).sum()


OBJECTIVES: dict[str, Callable[[TrainConfig], Objective]] = {"teacher_forcing": TeacherForcing}

extend("train.objective", OBJECTIVES)
