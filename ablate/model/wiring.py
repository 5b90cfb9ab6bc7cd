"""Norm placement and residual connection: how a sublayer is wired into its stack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from ablate.model.dropout import Dropout
from ablate.plugins import extend

Skip = Callable[[Tensor, Tensor], Tensor]


class Wiring(nn.Module):
    """A sublayer f with its norm, dropout and skip.

    `forward` takes x [B, T, D], `real` [B, T], which is true at tokens, and further arguments for f.
    """

    final_norm: bool  # whether a stack of this wiring needs a norm after its last layer

    def __init__(self, sublayer: nn.Module, norm: nn.Module, skip: Skip, dropout: float) -> None:
        super().__init__()
        self.sublayer = sublayer
        self.norm = norm
        self.dropout = Dropout(dropout)
        self.skip = skip


class PreNorm(Wiring):
    """x <- skip(x, f(norm(x))).  Baevski and Auli 2019, arXiv:1809.10853; Xiong et al. 2020, arXiv:2002.04745."""

    final_norm = True  # the output of the last layer is not yet normalised

    def forward(self, x: Tensor, real: Tensor, *rest: Any) -> Tensor:
        return self.skip(x, self.dropout(self.sublayer(self.norm(x, real), *rest)))


class PostNorm(Wiring):
    """x <- norm(skip(x, f(x))).  Vaswani et al. 2017, arXiv:1706.03762."""

    final_norm = False  # the last layer ends with a norm

    def forward(self, x: Tensor, real: Tensor, *rest: Any) -> Tensor:
        return self.norm(self.skip(x, self.dropout(self.sublayer(x, *rest))), real)


def add(x: Tensor, fx: Tensor) -> Tensor:
    """The residual connection.  He et al. 2016, arXiv:1512.03385."""
    return x + fx


def drop(x: Tensor, fx: Tensor) -> Tensor:
    """No residual connection: the sublayer's output replaces its input."""
    return fx


NORM_PLACEMENTS: dict[str, type[Wiring]] = {"pre": PreNorm, "post": PostNorm}
RESIDUALS: dict[str, Skip] = {"add": add, "none": drop}

extend("model.norm_placement", NORM_PLACEMENTS)
extend("model.residual", RESIDUALS)
