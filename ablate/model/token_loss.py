"""Cross-entropy of logits against a reference."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ablate.data.vocabulary import PAD


def token_loss(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy in nats per target token, without padding: [B, T, V] and [B, T] to a scalar."""
    loss: Tensor = CrossEntropy.apply(logits.float().flatten(0, 1), labels.flatten(), label_smoothing)
    return loss


class CrossEntropy(torch.autograd.Function):
    """`F.cross_entropy` with padding ignored, faster: its gradient is made in the buffer of the probabilities.

    It can be differentiated once.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:  # [N, V] [N] -> []
        real, of_label = labels != PAD, logits.gather(1, labels[:, None])
        weight = (real / real.sum())[:, None]
        probabilities = torch.softmax(logits, dim=-1)
        normaliser = logits.amax(-1, keepdim=True) - probabilities.amax(-1, keepdim=True).log()  # log sum exp
        expected = (1 - smoothing) * of_label + smoothing * logits.mean(-1, keepdim=True)
        gradient = probabilities.sub_(smoothing / logits.shape[1])
        gradient.scatter_add_(1, labels[:, None], torch.full_like(of_label, smoothing - 1)).mul_(weight)
        ctx.save_for_backward(gradient)
        return (weight * (normaliser - expected)).sum()

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient.mul_(upstream), None, None  # in place: a second backward through it raises torch's error


def pair_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Summed cross-entropy of each pair in nats, without padding: [B, T, V] and [B, T] to [B]."""
    by_token = F.cross_entropy(logits.float().transpose(1, 2), labels, ignore_index=PAD, reduction="none")
    return by_token.sum(1)
