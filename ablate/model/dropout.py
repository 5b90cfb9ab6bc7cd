"""Dropout with a random generator of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Zero each activation with probability `rate`, scale the rest by 1 / (1 - rate).  Srivastava et al. 2014.

    torch.nn.Dropout draws from the global generator, so that one more layer changes all later draws. Here each module
    has a generator of its own, seeded by its name in the model (`ablate.model.seeding`).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = torch.empty_like(x).bernoulli_(1 - self.rate, generator=self.generator)
        return x * kept.div_(1 - self.rate)
