"""Which hidden units of the feed-forward networks do anything."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ablate.data.batches import Batch
from ablate.diagnostics.parts import real, watch
from ablate.model.feedforward import ACTIVATIONS
from ablate.model.transformer import Transformer

KINDS = tuple(ACTIVATIONS.values())


def dead_units(model: Transformer, batch: Batch) -> dict[str, float]:
    """Share of a layer's units that are dead on every real token of the batch."""
    return dead_units_over(model, [batch])


def dead_units_over(model: Transformer, batches: Iterable[Batch]) -> dict[str, float]:
    """The same over many batches. What counts as dead is the activation's own affair (`dead_below`)."""
    largest: dict[str, Tensor] = {}
    threshold: dict[str, float] = {}
    for batch in batches:
        for name, module, _, output in watch(model, batch, KINDS):  # type: ignore[arg-type]
            size = output[real(name, batch)].abs().amax(0)
            largest[name] = torch.maximum(largest.get(name, size), size)
            threshold[name] = module.dead_below  # type: ignore[assignment]
    return {layer(name): (size <= threshold[name]).float().mean().item() for name, size in largest.items()}


def negative_preactivations(model: Transformer, batch: Batch) -> dict[str, float]:
    """Share of a layer's pre-activations that are negative, over units and real tokens."""
    return {
        layer(name): (inputs[0][real(name, batch)] < 0).float().mean().item()
        for name, _, inputs, _ in watch(model, batch, KINDS)  # type: ignore[arg-type]
    }


def layer(name: str) -> str:
    """`encoder.0` of `encoder.0.feedforward`."""
    return name.rpartition(".")[0]
