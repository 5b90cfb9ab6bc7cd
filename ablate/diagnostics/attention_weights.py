"""Attention scores and weights. Only multi-head attention is measured; other models give no values."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ablate.data.batches import Batch
from ablate.diagnostics.watching import real, watch
from ablate.model.architecture import Architecture
from ablate.model.attention import DotProduct, attention_scores, attention_weights
from ablate.store.parts import Part


def attention_entropy(model: Architecture, batch: Batch) -> dict[Part, float]:
    """Mean entropy of the attention weights over heads and real queries, in nats."""
    found = {}
    for part, module, (q, k, _, mask), _ in watch(model, batch, DotProduct):
        weights = attention_weights(attention_scores(q, k, scale_of(module)), mask)
        entropy = torch.special.entr(weights).sum(-1)  # [B, H, T]
        found[part] = entropy.transpose(1, 2)[real(part, batch)].mean().item()
    return found


def score_variance(model: Architecture, batch: Batch) -> dict[Part, float]:
    """Variance of the scores of a head over real queries and the keys allowed to them, averaged over heads."""
    found = {}
    for part, module, (q, k, _, mask), _ in watch(model, batch, DotProduct):
        scores = attention_scores(q, k, scale_of(module))
        allowed = visible(scores, mask) & real(part, batch)[:, None, :, None]
        found[part] = torch.stack([scores[:, h][allowed[:, h]].var() for h in range(scores.shape[1])]).mean().item()
    return found


def largest_attention_weight(model: Architecture, batch: Batch) -> dict[Part, float]:
    """Largest weight of a query, averaged over heads and real queries. It is near 1 where the softmax is saturated."""
    found = {}
    for part, module, (q, k, _, mask), _ in watch(model, batch, DotProduct):
        weights = attention_weights(attention_scores(q, k, scale_of(module)), mask)
        found[part] = weights.amax(-1).transpose(1, 2)[real(part, batch)].mean().item()
    return found


def softmax_slope(model: Architecture, batch: Batch) -> dict[Part, float]:
    """Trace of the softmax's Jacobian, 1 - sum of squared weights, averaged over heads and real queries.

    It bounds the gradient that passes through the softmax: 0 at saturation, near 1 where many keys share the weight.
    """
    found = {}
    for part, module, (q, k, _, mask), _ in watch(model, batch, DotProduct):
        weights = attention_weights(attention_scores(q, k, scale_of(module)), mask)
        slope = 1 - weights.square().sum(-1)  # [B, H, T]
        found[part] = slope.transpose(1, 2)[real(part, batch)].mean().item()
    return found


def visible(scores: Tensor, mask: Tensor) -> Tensor:
    """True at the keys that the mask allows, in the shape of the scores, [B, H, T, S]."""
    return (mask > -torch.inf).expand(scores.shape)


def scale_of(module: nn.Module) -> float:
    assert isinstance(module, DotProduct)
    return module.scale
