"""Position encodings. Each acts on embeddings, on queries and keys, or on attention scores."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ablate.plugins import extend


class Position(nn.Module):
    """No position encoding, and the interface of the others.

    Positions are ranges, because step-by-step decoding has one query at position t and keys at positions 0 to t. Only
    self-attention has positions: in cross-attention the keys belong to another sentence.
    """

    def __init__(self, d_model: int, heads: int, d_k: int) -> None:
        super().__init__()

    def embed(self, x: Tensor, at: range) -> Tensor:
        """Encode positions in embeddings, [B, T, D]."""
        return x

    def rotate(self, x: Tensor, at: range) -> Tensor:
        """Encode positions in queries or keys, [B, H, T, d_k]."""
        return x

    def bias(self, q: Tensor, queries: range, keys: range) -> Tensor | None:
        """What is added to the scores, [H, T, S] or [B, H, T, S]; None for nothing."""
        return None


class Sinusoidal(Position):
    """x_t + [sin(t w_i), cos(t w_i)] with w_i = 10000^(-2i/D).  Vaswani et al. 2017, section 3.5."""

    table: Tensor

    def __init__(self, d_model: int, heads: int, d_k: int) -> None:
        super().__init__(d_model, heads, d_k)
        self.d_model = d_model
        self.register_buffer("table", sinusoids(512, d_model).float(), persistent=False)

    def embed(self, x: Tensor, at: range) -> Tensor:
        if at.stop > len(self.table):
            self.table = sinusoids(2 * at.stop, self.d_model).to(self.table)
        return x + self.table[at.start : at.stop]


def sinusoids(length: int, d_model: int) -> Tensor:
    """[length, D] in float64: sines in even columns, cosines in odd columns."""
    frequencies = 10000.0 ** (-np.arange(0, d_model, 2) / d_model)
    angles = np.arange(length)[:, None] * frequencies
    return torch.from_numpy(np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, d_model))


POSITIONS: dict[str, type[Position]] = {"sinusoidal": Sinusoidal, "none": Position}

extend("model.position", POSITIONS)
