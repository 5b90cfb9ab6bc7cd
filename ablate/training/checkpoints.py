"""Rules for the weights that a run keeps. They choose among the weights at validations, and keep them on the CPU."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ablate.config import AVERAGED
from ablate.plugins import extend

Weights = dict[str, Tensor]


class Checkpoint(Protocol):
    update: int  # of the weights kept

    def offer(self, model: nn.Module, update: int, validation_loss: float) -> None: ...

    def weights(self) -> Weights: ...

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: dict[str, Any]) -> None: ...


class Best:
    """The weights of the lowest validation loss; in a tie the earliest."""

    def __init__(self) -> None:
        self.update, self.loss, self.kept = 0, float("inf"), {}  # type: int, float, Weights

    def offer(self, model: nn.Module, update: int, validation_loss: float) -> None:
        if validation_loss < self.loss or not self.kept:
            self.update, self.loss, self.kept = update, validation_loss, copy(model)

    def weights(self) -> Weights:
        return self.kept

    def state(self) -> dict[str, Any]:
        return {"update": self.update, "loss": self.loss, "kept": self.kept}

    def restore(self, state: dict[str, Any]) -> None:
        self.update, self.loss, self.kept = state["update"], state["loss"], state["kept"]


class AverageLast10:
    """The mean of the last ten weights.  Vaswani et al. 2017, section 6.1, average the last five or twenty."""

    def __init__(self) -> None:
        self.update = 0
        self.kept: deque[Weights] = deque(maxlen=AVERAGED)

    def offer(self, model: nn.Module, update: int, validation_loss: float) -> None:
        self.update = update
        self.kept.append(copy(model))

    def weights(self) -> Weights:
        names = self.kept[0] if self.kept else ()
        return {name: torch.stack([weights[name] for weights in self.kept]).mean(0) for name in names}

    def state(self) -> dict[str, Any]:
        return {"update": self.update, "kept": list(self.kept)}

    def restore(self, state: dict[str, Any]) -> None:
        self.update, self.kept = state["update"], deque(state["kept"], maxlen=AVERAGED)


def copy(model: nn.Module) -> Weights:
    """A copy of the weights on the CPU. It takes no GPU memory, and is on one device with weights from a checkpoint."""
    return {name: value.detach().to("cpu", copy=True) for name, value in model.state_dict().items()}


CHECKPOINTS: dict[str, type[Best] | type[AverageLast10]] = {"best": Best, "average_last_10": AverageLast10}

extend("train.checkpoint", CHECKPOINTS)
