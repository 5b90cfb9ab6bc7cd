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

FEW_KEYS = 64  # up to so many, plain products are faster on a CPU than torch's fused kernel, which works in blocks


class DotProduct(nn.Module):
    """softmax(scale * q k^T + mask) v. The mask is 0 at keys that may be seen and -inf at the others."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:  # [B, H, T, d_k] [B, H, S, d_k]
        if q.device.type == "cpu" and k.shape[2] <= FEW_KEYS:
            return attention_weights(attention_scores(q, k, self.scale), mask) @ v
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask.to(q.dtype), scale=self.scale)


class DotProductWithDropout(DotProduct):
    """The same with dropout on the weights. torch's fused kernel would draw it from the global generator."""

    def __init__(self, scale: float, dropout: float) -> None:
        super().__init__(scale)
        self.dropout = Dropout(dropout)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        return self.dropout(attention_weights(attention_scores(q, k, self.scale), mask)) @ v


def attention_scores(q: Tensor, k: Tensor, scale: float) -> Tensor:
    """scale * q k^T, [B, H, T, S], before any mask."""
    return scale * (q @ k.contiguous().transpose(-2, -1))


def attention_weights(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the keys of scores + mask.

    On a CPU, torch's softmax over a short last dimension is many times slower than over the first one.
    """
    return torch.softmax((scores + mask).movedim(-1, 0), dim=0).movedim(0, -1).contiguous()


def project(x: Tensor, *layers: nn.Linear) -> tuple[Tensor, ...]:
    """The output of each layer for the same x, by one matrix product."""
    weight, bias = torch.cat([layer.weight for layer in layers]), torch.cat([layer.bias for layer in layers])
    return F.linear(x, weight, bias).split([layer.out_features for layer in layers], dim=-1)


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
        q, k, v = (self.split(each) for each in project(x, self.query, self.key, self.value))
        q, k = self.position.rotate(q, at), self.position.rotate(k, at)
        if cache is not None:
            k, v = cache.update(lambda: (k, v))
        bias = self.position.bias(q, at, keys)
        return self.mix(q, k, v, mask if bias is None else mask + bias)


class CrossAttention(Attention):
    """Attention of the decoder over the encoder's output, without position encodings."""

    def forward(self, x: Tensor, context: Tensor, mask: Tensor, cache: Cache | None = None) -> Tensor:
        """x [B, T, D], context [B, S, D]."""

        def keys_values() -> tuple[Tensor, Tensor]:
            k, v = project(context, self.key, self.value)
            return self.split(k), self.split(v)

        k, v = cache.update(keys_values) if cache is not None else keys_values()
        return self.mix(self.split(self.query(x)), k, v, mask)


def sqrt(d_k: int) -> float:
    """1 / sqrt(d_k). Queries and keys of unit variance then give scores of unit variance."""
    return 1 / math.sqrt(d_k)


def none(d_k: int) -> float:
    """1: scores are not scaled."""
    return 1.0


ATTENTION_SCALES: dict[str, Callable[[int], float]] = {"sqrt": sqrt, "none": none}

extend("model.attention_scale", ATTENTION_SCALES)
