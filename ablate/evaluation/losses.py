"""Cross-entropy of references without label smoothing."""

from __future__ import annotations

import torch
from torch import nn

from ablate.data.batches import EvaluationBatches
from ablate.data.vocabulary import PAD
from ablate.model.token_loss import pair_loss


@torch.inference_mode()
def pair_losses(model: nn.Module, batches: EvaluationBatches) -> tuple[list[float], list[int]]:
    """For each pair the summed loss of its target in nats, and its number of target tokens, </s> included."""
    model.eval()
    losses, tokens = [0.0] * len(batches.pairs), [0] * len(batches.pairs)
    for indices, batch in batches:
        labels = batch.target[:, 1:]
        summed = pair_loss(model(batch.source, batch.target[:, :-1]), labels)
        for index, loss, count in zip(indices, summed.tolist(), (labels != PAD).sum(1).tolist()):
            losses[index], tokens[index] = loss, count
    return losses, tokens


def mean_loss(model: nn.Module, batches: EvaluationBatches) -> float:
    """Mean loss in nats per target token over all pairs."""
    losses, tokens = pair_losses(model, batches)
    return sum(losses) / sum(tokens)
