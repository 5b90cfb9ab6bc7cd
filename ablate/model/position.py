"""Where word order enters the model. A position encoding has three places to do so, each the identity by default."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn


class Position(nn.Module):
    """`start` is the position of the first token given, which is not 0 when decoding step by step."""

    def embed(self, x: Tensor, start: int) -> Tensor:
        """On embeddings, [B, T, D]."""
        return x

    def rotate(self, x: Tensor, start: int) -> Tensor:
        """On queries and on keys, [B, H, T, d_k]."""
        return x

    def bias(self, mask: Tensor, start: int) -> Tensor:
        """On scores: a boolean mask, or one to be added that holds -inf where the boolean one is False."""
        return mask


class Sinusoidal(Position):
    """x_t + [sin(t w_i), cos(t w_i)] with w_i = 10000^(-2i/D).  Vaswani et al. 2017, section 3.5."""

    table: Tensor

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.d_model = d_model
        self.register_buffer("table", sinusoids(512, d_model).float(), persistent=False)

    def embed(self, x: Tensor, start: int) -> Tensor:
        end = start + x.shape[1]
        if end > len(self.table):
            self.table = sinusoids(2 * end, self.d_model).to(self.table)
        return x + self.table[start:end]


def sinusoids(length: int, d_model: int) -> Tensor:
    """The table of the paper, [length, D] in float64: sines in even columns, cosines in odd ones."""
    frequencies = 10000.0 ** (-np.arange(0, d_model, 2) / d_model)
    angles = np.arange(length)[:, None] * frequencies
    return torch.from_numpy(np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, d_model))
