"""The names under which a model's parts are reported, and a look at what goes through them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from ablate.data.batches import Batch
from ablate.model.transformer import Transformer
from ablate.vocabulary import PAD


def part(name: str) -> str:
    """Of a parameter or module named `name`: `encoder.0.feedforward` (`encoder.0.feedforward.norm` for the norm around
    it), `encoder.final_norm` or `embedding`."""
    path = name.split(".")
    if path[0] not in ("encoder", "decoder"):
        return path[0]
    if path[1] != "layers":
        return f"{path[0]}.{path[1]}"
    sublayer = f"{path[0]}.{path[2]}.{path[3]}"
    return f"{sublayer}.norm" if path[4] == "norm" else sublayer


def parameter_counts(model: nn.Module) -> dict[str, int]:
    """Parameters of each part."""
    counts: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        counts[part(name)] = counts.get(part(name), 0) + parameter.numel()
    return counts


@torch.inference_mode()
def watch(model: Transformer, batch: Batch, kind: type[nn.Module]) -> Iterator[tuple[str, nn.Module, tuple, Tensor]]:
    """Each module of a kind as one pass over the batch leaves it: its part's name, itself, its inputs, its output."""
    seen: list[tuple[str, nn.Module, tuple, Tensor]] = []

    def note(name: str) -> Callable[..., None]:
        return lambda module, inputs, output: seen.append((name, module, inputs, output))

    hooks = [
        module.register_forward_hook(note(part(name)))
        for name, module in model.named_modules()
        if isinstance(module, kind)
    ]
    try:
        model(batch.source, batch.target[:, :-1])
    finally:
        for hook in hooks:
            hook.remove()
    yield from seen


def real(name: str, batch: Batch) -> Tensor:
    """True at the positions of a part that are tokens, [B, T] (T the source's or the target's length)."""
    return (batch.source if name.startswith("encoder") else batch.target[:, :-1]) != PAD
