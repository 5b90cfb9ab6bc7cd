"""What training, decoding and diagnostics know of a model, whatever its architecture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from torch import Tensor, nn

from ablate.store.parts import Part


class State(Protocol):
    """What decoding keeps between two target tokens: a row for each hypothesis."""

    def select(self, rows: Tensor) -> None:
        """Keep the rows with these numbers, [N], in this order. A row may be kept several times."""


class Architecture(nn.Module, ABC):
    """Source and target token ids to the logits of each next target token. Sequences are padded at their end."""

    @abstractmethod
    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Logits of all positions at once: [B, S] and [B, T] to [B, T, V]. Position t sees targets up to t only."""

    @abstractmethod
    def outputs(self, source: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The output of each stack by its name, the decoder's before the output projection: [B, S, D] or [B, T, D]."""

    @abstractmethod
    def start(self, source: Tensor) -> State:
        """Read the sources [B, S] once, before the first target token."""

    @abstractmethod
    def step(self, state: State, tokens: Tensor) -> Tensor:
        """Read one more target token of each row, [B], and return the logits of the next, [B, V]. Updates the state."""

    @property
    @abstractmethod
    def vocabulary_size(self) -> int: ...

    @abstractmethod
    def parts(self) -> dict[Part, nn.Module]:
        """Every part of the model. No part lies inside another, and together they hold every parameter."""
