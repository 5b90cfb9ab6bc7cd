"""The parameters of a model's parts, and the inputs and outputs of its modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from ablate.data.batches import Batch
from ablate.data.vocabulary import PAD
from ablate.model.architecture import Architecture
from ablate.store.parts import Part


def parameter_counts(model: Architecture) -> dict[Part, int]:
    """Number of parameters of each part that has parameters."""
    counts = {part: sum(each.numel() for each in module.parameters()) for part, module in model.parts().items()}
    return {part: count for part, count in counts.items() if count}


@torch.inference_mode()
def watch(model: Architecture, batch: Batch, kind: type[nn.Module]) -> Iterator[tuple[Part, nn.Module, tuple, Tensor]]:
    """For each module of a class in one pass over the batch: its part, the module, its inputs and its output."""
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
    """True at the positions of a part that are not padding: [B, S] in the encoder, [B, T] in the decoder."""
    return (batch.source if part.stack == "encoder" else batch.target[:, :-1]) != PAD
