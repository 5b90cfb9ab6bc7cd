"""Normalisation. `real` is true at tokens and false at padding, for norms that take statistics over a whole batch."""

from __future__ import annotations

from torch import Tensor, nn

from ablate.plugins import extend


class LayerNorm(nn.LayerNorm):
    """(x - mean) / std over the features of a position, then an affine map.  Ba et al. 2016, arXiv:1607.06450."""

    def forward(self, x: Tensor, real: Tensor) -> Tensor:  # type: ignore[override]  # x [B, T, D]; real [B, T]
        return super().forward(x)


class RMSNorm(nn.RMSNorm):
    """x / root mean square over a position's features, then a scale.  Zhang and Sennrich 2019, arXiv:1910.07467."""

    def forward(self, x: Tensor, real: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x)


class NoNorm(nn.Module):
    """The identity, for stacks that need no norm after their last layer."""

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        return x


NORMS: dict[str, type[LayerNorm] | type[RMSNorm]] = {"layer": LayerNorm, "rms": RMSNorm}

extend("model.norm", NORMS)
