"""Parameters and operations of a model, counted without training it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from ablate.config import ModelConfig
from ablate.model import assemble


def parameter_count(config: ModelConfig, vocabulary_size: int) -> int:
    """Number of parameters, counted on a model on torch's meta device, which takes no memory."""
    with torch.device("meta"), Uninitialised():
        return sum(parameter.numel() for parameter in assemble(config, vocabulary_size).parameters())


def flops_on(config: ModelConfig, corpus: Mapping[str, Any]) -> float:
    """FLOPs of training a target token on a prepared corpus (its corpus.json), at the mean lengths of its pairs."""
    lengths = math.ceil(corpus["mean_source"]), math.ceil(corpus["mean_target"])
    return flops_per_token(config, corpus["vocabulary_size"], *lengths)


def flops_per_token(config: ModelConfig, vocabulary_size: int, source_length: int, target_length: int) -> float:
    """Floating-point operations of training, forward and backward, for each target token of a pair of these lengths.

    Only matrix products count, as in torch's counter: 2abc operations for [a, b] times [b, c]. They are counted on
    torch's meta device, where nothing is computed.
    """
    from torch.utils.flop_counter import FlopCounterMode  # slow to import, and plans do not need it

    with torch.device("meta"):
        model = assemble(config, vocabulary_size).to("meta")
        source, target = torch.ones(1, source_length, dtype=torch.long), torch.ones(1, target_length, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        model(source, target).sum().backward()
    return counter.get_total_flops() / target_length


class Uninitialised(TorchFunctionMode):
    """Skip torch's initialisation of layers. On the meta device it would import much of torch, which takes a second."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(function, "__module__", None) == torch.nn.init.__name__:
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return function(*args, **kwargs)
