"""What training, decoding and diagnostics know of a model, whatever its architecture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from torch import Tensor, nn

from ablate.store.parts import Part


class State(Protocol):
    """What decoding carries from one target token to the next: a row for each hypothesis."""

    def select(self, rows: Tensor) -> None:
        """Keep these rows in this order; a row may be taken several times.  [N] row numbers"""


class Architecture(nn.Module, ABC):
    """Source and target token ids to the logits of each next target token. Sequences are padded at their end."""

    @abstractmethod
    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Logits of all positions at once: [B, S] and [B, T] to [B, T, V]. Position t sees targets up to t only."""

    @abstractmethod
    def start(self, source: Tensor) -> State:
        """Read the sources [B, S] once, before any target token."""

    @abstractmethod
    def step(self, state: State, tokens: Tensor) -> Tensor:
        """Logits [B, V] of what follows one more target token of each row, [B]; updates the state."""

    @property
    @abstractmethod
    def vocabulary_size(self) -> int: ...

    @abstractmethod
    def parts(self) -> dict[Part, nn.Module]:
        """Every part of the model, none inside another; together they hold every parameter."""
