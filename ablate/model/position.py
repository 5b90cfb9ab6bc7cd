"""Where word order enters the model. A position encoding has three places to do so, each the identity by default."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ablate.plugins import extend


class Position(nn.Module):
    """Made for a model of width `d_model` whose attention has `heads` heads of width `d_k`.

    Positions are ranges: when decoding step by step, one query at position t meets the keys of positions 0 to t.
    Cross-attention has no positions: its keys are another sentence's.
    """

    def __init__(self, d_model: int, heads: int, d_k: int) -> None:
        super().__init__()

    def embed(self, x: Tensor, at: range) -> Tensor:
        """On embeddings, [B, T, D]."""
        return x

    def rotate(self, x: Tensor, at: range) -> Tensor:
        """On the queries or the keys of self-attention, [B, H, T, d_k]."""
        return x

    def bias(self, q: Tensor, queries: range, keys: range) -> Tensor | None:
        """What is added to the scores of self-attention, [H, T, S] or with a batch in front; None for nothing."""
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
    """The table of the paper, [length, D] in float64: sines in even columns, cosines in odd ones."""
    frequencies = 10000.0 ** (-np.arange(0, d_model, 2) / d_model)
    angles = np.arange(length)[:, None] * frequencies
    return torch.from_numpy(np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, d_model))


POSITIONS: dict[str, type[Position]] = {"sinusoidal": Sinusoidal, "none": Position}

extend("model.position", POSITIONS)
