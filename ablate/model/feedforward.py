"""The position-wise feed-forward network.  Vaswani et al. 2017, arXiv:1706.03762, section 3.3."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ablate.plugins import extend

DEAD_BELOW = 1e-3  # `dead_below` of an activation that has none


class FeedForward(nn.Module):
    """W2 activation(W1 x + b1) + b2."""

    def __init__(self, d_model: int, d_ffn: int, activation: nn.Module) -> None:
        super().__init__()
        self.inner = nn.Linear(d_model, d_ffn)
        self.activation = activation
        self.outer = nn.Linear(d_ffn, d_model)

    def forward(self, x: Tensor) -> Tensor:  # [B, T, D]
        return self.outer(self.activation(self.inner(x)))


class ReLU(nn.ReLU):
    """max(0, x)."""

    dead_below = 0.0  # a unit is dead if its output's absolute value exceeds this on no token


class GELU(nn.GELU):
    """x * Phi(x), the exact form.  Hendrycks and Gimpel 2016, arXiv:1606.08415."""

    dead_below = 1e-3  # the output is hardly ever exactly zero


class SiLU(nn.SiLU):
    """x * sigmoid(x), also called swish.  Ramachandran et al. 2017, arXiv:1710.05941."""

    dead_below = 1e-3


class SquaredReLU(nn.Module):
    """max(0, x)^2.  So et al. 2021, arXiv:2109.08668."""

    dead_below = 0.0

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x).square()


ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": ReLU, "gelu": GELU, "silu": SiLU, "squared_relu": SquaredReLU}

extend("model.activation", ACTIVATIONS)
