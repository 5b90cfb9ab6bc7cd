"""Keys and values that step-by-step decoding has already computed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

KeysValues = tuple[Tensor, Tensor]  # each [B, H, S, d_k]


class Cache(ABC):
    """Keys and values of one attention sublayer."""

    def __init__(self) -> None:
        self.pair: KeysValues | None = None

    @property
    def length(self) -> int:
        """Target positions before the ones that are computed now."""
        return 0

    @abstractmethod
    def update(self, project: Callable[[], KeysValues]) -> KeysValues:
        """All keys and values up to now; `project` computes those of the positions of this step."""

    def select(self, rows: Tensor) -> None:
        """Keep the rows of the batch with these numbers, in this order."""
        if self.pair is not None:
            self.pair = self.pair[0][rows], self.pair[1][rows]


class GrowingCache(Cache):
    """For self-attention: each step adds its own position."""

    @property
    def length(self) -> int:
        return 0 if self.pair is None else self.pair[0].shape[2]

    def update(self, project: Callable[[], KeysValues]) -> KeysValues:
        new = project()
        self.pair = new if self.pair is None else tuple(torch.cat(both, dim=2) for both in zip(self.pair, new))  # type: ignore[assignment]
        assert self.pair is not None
        return self.pair


class FixedCache(Cache):
    """For cross-attention: the source does not change, so it is projected once."""

    def update(self, project: Callable[[], KeysValues]) -> KeysValues:
        if self.pair is None:
            self.pair = project()
        return self.pair


class DecoderCache:
    """A pair of caches for each decoder layer: self-attention, cross-attention."""

    def __init__(self, layers: int) -> None:
        self.layers = [(GrowingCache(), FixedCache()) for _ in range(layers)]

    @property
    def length(self) -> int:
        return self.layers[0][0].length

    def select_hypotheses(self, rows: Tensor) -> None:
        for own, _ in self.layers:
            own.select(rows)

    def select_sources(self, rows: Tensor) -> None:
        for _, of_source in self.layers:
            of_source.select(rows)
