"""Dead and inactive hidden units of feed-forward networks."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ablate.data.batches import Batch
from ablate.diagnostics.watching import real, watch
from ablate.model.architecture import Architecture
from ablate.model.feedforward import ACTIVATIONS, DEAD_BELOW
from ablate.store.parts import Part


def dead_units(model: Architecture, batch: Batch) -> dict[Part, float]:
    """Share of a layer's units that are dead: inactive on every real token of the batch."""
    return dead_units_over(model, [batch])


def dead_units_over(model: Architecture, batches: Iterable[Batch]) -> dict[Part, float]:
    """The same over many batches. Each activation defines the size below which a unit is inactive (`dead_below`)."""
    largest: dict[Part, Tensor] = {}
    threshold: dict[Part, float] = {}
    for batch in batches:
        for part, module, _, output in watch(model, batch, tuple(ACTIVATIONS.values())):  # type: ignore[arg-type]
            size = output[real(part, batch)].abs().amax(0)
            largest[part] = torch.maximum(largest.get(part, size), size)
            threshold[part] = getattr(module, "dead_below", DEAD_BELOW)
    return {part.of_layer: (size <= threshold[part]).float().mean().item() for part, size in largest.items()}


def negative_preactivations(model: Architecture, batch: Batch) -> dict[Part, float]:
    """Share of negative pre-activations in a layer, over units and real tokens."""
    return {
        part.of_layer: (inputs[0][real(part, batch)] < 0).float().mean().item()
        for part, _, inputs, _ in watch(model, batch, tuple(ACTIVATIONS.values()))  # type: ignore[arg-type]
    }
