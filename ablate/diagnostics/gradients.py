"""Gradient norms of the parts of a model."""

from __future__ import annotations

import math

import torch
from torch import nn

from ablate.data.batches import Batch
from ablate.model.architecture import Architecture
from ablate.model.attention import Attention
from ablate.model.token_loss import token_loss
from ablate.store.parts import Part


def gradient_norm(model: Architecture, batch: Batch) -> dict[Part, float]:
    """L2 norm of the gradient of the loss, without label smoothing, with respect to each part's parameters."""
    return norms(model, batch, {part: [*module.parameters()] for part, module in model.parts().items()})


def query_key_gradient_norm(model: Architecture, batch: Batch) -> dict[Part, float]:
    """The same for the query and key projections of each attention, whose gradients pass through the softmax."""
    attentions = {part: module for part, module in model.parts().items() if isinstance(module, Attention)}
    projections = {part: [*module.query.parameters(), *module.key.parameters()] for part, module in attentions.items()}
    return norms(model, batch, projections)


def norms(model: Architecture, batch: Batch, of: dict[Part, list[nn.Parameter]]) -> dict[Part, float]:
    """Gradient norm with respect to the given parameters of each part; parts without parameters are left out."""
    parameters = [parameter for each in of.values() for parameter in each]
    if not parameters:
        return {}
    loss = token_loss(model(batch.source, batch.target[:, :-1]), batch.target[:, 1:])
    gradients = iter(torch.autograd.grad(loss, parameters))
    squares = {part: sum(next(gradients).double().square().sum().item() for _ in each) for part, each in of.items()}
    return {part: math.sqrt(square) for part, square in squares.items() if of[part]}
