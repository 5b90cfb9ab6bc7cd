"""A model's parts: what they hold, and a look at what goes through them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from ablate.data.batches import Batch
from ablate.data.vocabulary import PAD
from ablate.model.architecture import Architecture
from ablate.store.parts import Part


def parameter_counts(model: Architecture) -> dict[Part, int]:
    """Parameters of each part that has any."""
    counts = {part: sum(each.numel() for each in module.parameters()) for part, module in model.parts().items()}
    return {part: count for part, count in counts.items() if count}


@torch.inference_mode()
def watch(model: Architecture, batch: Batch, kind: type[nn.Module]) -> Iterator[tuple[Part, nn.Module, tuple, Tensor]]:
    """Each module of a kind as one pass over the batch leaves it: its part, itself, its inputs, its output."""
    seen: list[tuple[Part, nn.Module, tuple, Tensor]] = []

    def note(part: Part) -> Callable[..., None]:
        return lambda module, inputs, output: seen.append((part, module, inputs, output))

    hooks = [
        module.register_forward_hook(note(part))
        for part, whole in model.parts().items()
        for module in whole.modules()
        if isinstance(module, kind)
    ]
    try:
        model(batch.source, batch.target[:, :-1])
    finally:
        for hook in hooks:
            hook.remove()
    yield from seen


def real(part: Part, batch: Batch) -> Tensor:
    """True at the positions of a part that are tokens, [B, T] (T the source's or the target's length)."""
    return (batch.source if part.stack == "encoder" else batch.target[:, :-1]) != PAD
