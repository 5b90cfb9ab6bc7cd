"""How much gradient reaches each part."""

from __future__ import annotations

import math

import torch

from ablate.data.batches import Batch
from ablate.diagnostics.parts import part
from ablate.model.loss import token_loss
from ablate.model.transformer import Transformer


def gradient_norm(model: Transformer, batch: Batch) -> dict[str, float]:
    """L2 norm of the unsmoothed loss's gradient with respect to each part's parameters."""
    return norms(model, batch, list(model.named_parameters()))


def query_key_gradient_norm(model: Transformer, batch: Batch) -> dict[str, float]:
    """The same with respect to the query and key projections of each attention, which only its scores can move."""
    moved = [named for named in model.named_parameters() if {"query", "key"} & set(named[0].split("."))]
    return norms(model, batch, moved)


def norms(model: Transformer, batch: Batch, of: list[tuple[str, torch.nn.Parameter]]) -> dict[str, float]:
    """Gradient norm by part with respect to these named parameters."""
    names, parameters = zip(*of)
    loss = token_loss(model(batch.source, batch.target[:, :-1]), batch.target[:, 1:])
    squares: dict[str, float] = {}
    for name, gradient in zip(names, torch.autograd.grad(loss, parameters)):
        squares[part(name)] = squares.get(part(name), 0.0) + gradient.double().square().sum().item()
    return {name: math.sqrt(square) for name, square in squares.items()}
