"""Cross-entropy of logits against a reference."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ablate.data.vocabulary import PAD


def token_loss(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy in nats per target token, without padding: [B, T, V] and [B, T] to a scalar."""
    logits, labels = logits.float().flatten(0, 1), labels.flatten()
    return F.cross_entropy(logits, labels, ignore_index=PAD, label_smoothing=label_smoothing)


def pair_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Summed cross-entropy of each pair in nats, without padding: [B, T, V] and [B, T] to [B]."""
    by_token = F.cross_entropy(logits.float().transpose(1, 2), labels, ignore_index=PAD, reduction="none")
    return by_token.sum(1)
