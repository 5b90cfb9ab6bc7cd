"""Multi-head attention.  Vaswani et al. 2017, arXiv:1706.03762, section 3.2."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablate.model.dropout import Dropout
from ablate.model.kv_cache import Cache
from ablate.model.position import Position
from ablate.plugins import extend


class DotProduct(nn.Module):
    """softmax(scale * q k^T) v over the keys that `mask` allows."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:  # [B, H, T, d_k] [B, H, S, d_k]
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=self.scale)


class DotProductWithDropout(DotProduct):
    """The same with dropout on the weights. torch's fused kernel would draw it from the global generator."""

    def __init__(self, scale: float, dropout: float) -> None:
        super().__init__(scale)
        self.dropout = Dropout(dropout)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        return self.dropout(attention_weights(attention_scores(q, k, self.scale), mask)) @ v


def attention_scores(q: Tensor, k: Tensor, scale: float) -> Tensor:
    """scale * q k^T, [B, H, T, S], before any mask."""
    return scale * (q @ k.transpose(-2, -1))


def attention_weights(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the keys: a boolean `mask` is true at allowed keys, any other is added to the scores."""
    masked = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    return torch.softmax(masked, dim=-1)


class Attention(nn.Module):
    """Projections of queries, keys and values, split into heads, and the projection of the heads' outputs.

    The heads together may be wider or narrower than the model.  Raffel et al. 2020, arXiv:1910.10683.
    """

    def __init__(self, d_model: int, heads: int, d_k: int, scale: float, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(d_model, heads * d_k)
        self.key = nn.Linear(d_model, heads * d_k)
        self.value = nn.Linear(d_model, heads * d_k)
        self.output = nn.Linear(heads * d_k, d_model)
        self.attend = DotProductWithDropout(scale, dropout) if dropout else DotProduct(scale)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:  # [B, H, T, d_k] -> [B, T, D]
        return self.output(self.attend(q, k, v, mask).transpose(1, 2).flatten(2))

    def split(self, x: Tensor) -> Tensor:  # [B, T, H * d_k] -> [B, H, T, d_k]
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class SelfAttention(Attention):
    """Attention over its own input, with position encodings on queries, keys and scores."""

    def __init__(self, d_model: int, heads: int, d_k: int, scale: float, position: Position, dropout: float) -> None:
        super().__init__(d_model, heads, d_k, scale, dropout)
        self._position = (position,)  # in a tuple, so that it is a submodule of the embedding alone

    @property
    def position(self) -> Position:
        """The model's position encoding, which all self-attentions share."""
        return self._position[0]

    def forward(self, x: Tensor, mask: Tensor, cache: Cache | None = None) -> Tensor:  # [B, T, D]
        start = cache.length if cache is not None else 0
        at, keys = range(start, start + x.shape[1]), range(start + x.shape[1])
        q = self.position.rotate(self.split(self.query(x)), at)

        def project() -> tuple[Tensor, Tensor]:
            return self.position.rotate(self.split(self.key(x)), at), self.split(self.value(x))

        k, v = cache.update(project) if cache is not None else project()
        bias = self.position.bias(q, at, keys)
        return self.mix(q, k, v, mask if bias is None else torch.where(mask, bias, -torch.inf))


class CrossAttention(Attention):
    """Attention of the decoder over the encoder's output, without position encodings."""

    def forward(self, x: Tensor, context: Tensor, mask: Tensor, cache: Cache | None = None) -> Tensor:
        """x [B, T, D], context [B, S, D]."""

        def project() -> tuple[Tensor, Tensor]:
            return self.split(self.key(context)), self.split(self.value(context))

        k, v = cache.update(project) if cache is not None else project()
        return self.mix(self.split(self.query(x)), k, v, mask)


def sqrt(d_k: int) -> float:
    """1 / sqrt(d_k). Queries and keys of unit variance then give scores of unit variance."""
    return 1 / math.sqrt(d_k)


def none(d_k: int) -> float:
    """1: scores are not scaled."""
    return 1.0


ATTENTION_SCALES: dict[str, Callable[[int], float]] = {"sqrt": sqrt, "none": none}

extend("model.attention_scale", ATTENTION_SCALES)
