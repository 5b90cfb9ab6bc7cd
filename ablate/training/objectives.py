"""Training objectives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
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
        """Mean loss over the target tokens of the batch, and their number, both []. `streams` gives random numbers."""


class TeacherForcing:
    """Label-smoothed cross-entropy of each reference token given the reference tokens before it.

    Williams and Zipser 1989; Szegedy et al. 2016, arXiv:1512.00567, for the smoothing.
    """

    def __init__(self, config: TrainConfig, teachers: Sequence[Architecture] = ()) -> None:
        self.label_smoothing = config.label_smoothing

    def __call__(self, model: Architecture, batch: Batch, update: int, streams: Streams) -> tuple[Tensor, Tensor]:
        labels = batch.target[:, 1:]
        logits = model(batch.source, batch.target[:, :-1])
        return token_loss(logits, labels, self.label_smoothing), (labels != PAD).sum()


class Distillation:
    """(1 - share) x teacher forcing + share x T^2 x KL(teacher || student), both distributions at temperature T.

    The teacher, in evaluation mode, sees the same batch.  Hinton et al. 2015, arXiv:1503.02531; by word, Kim and Rush
    2016, arXiv:1606.07947.
    """

    def __init__(self, config: TrainConfig, teachers: Sequence[Architecture]) -> None:
        (self.teacher,) = teachers
        self.teacher.eval()
        self.share, self.temperature, self.label_smoothing = (
            config.teacher_share,
            config.temperature,
            config.label_smoothing,
        )

    def __call__(self, model: Architecture, batch: Batch, update: int, streams: Streams) -> tuple[Tensor, Tensor]:
        labels, inputs = batch.target[:, 1:], batch.target[:, :-1]
        logits, real = model(batch.source, inputs), labels != PAD
        with torch.no_grad():
            wanted = self.teacher(batch.source, inputs)[real].float()  # [N, V]
        divergence = F.kl_div(
            F.log_softmax(logits[real].float() / self.temperature, dim=-1),
            F.log_softmax(wanted / self.temperature, dim=-1),
            reduction="batchmean",
            log_target=True,
        )
        loss = token_loss(logits, labels, self.label_smoothing)
        return (1 - self.share) * loss + self.share * self.temperature**2 * divergence, real.sum()


OBJECTIVES: dict[str, Callable[[TrainConfig, Sequence[Architecture]], Objective]] = {
    "teacher_forcing": TeacherForcing,
    "distillation": Distillation,
}

extend("train.objective", OBJECTIVES)
