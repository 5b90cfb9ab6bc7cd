"""What a model costs, counted without training it."""

from __future__ import annotations

from contextlib import nullcontext

import torch

from ablate.config import ModelConfig
from ablate.model import assemble

LARGE = 10**8  # parameters of a model that is not to be put together in memory only to be counted


def parameter_count(config: ModelConfig, vocabulary_size: int) -> int:
    """Counted on a model. A large one is made on torch's meta device, which costs no memory but a second to import."""
    least = vocabulary_size * config.d_model + config.layers * config.d_model * (config.d_model + config.d_ffn)
    with torch.device("meta") if least > LARGE else nullcontext():
        return sum(parameter.numel() for parameter in assemble(config, vocabulary_size).parameters())


def flops_per_token(config: ModelConfig, vocabulary_size: int, source_length: int, target_length: int) -> float:
    """Floating-point operations of training, forward and backward, for each target token of a pair of these lengths.

    Matrix products alone, as torch's counter has them; a multiplication and an addition are two. Counted on torch's
    meta device, where nothing is computed.
    """
    from torch.utils.flop_counter import FlopCounterMode  # brings much of torch with it: not for a plan to wait for

    with torch.device("meta"):
        model = assemble(config, vocabulary_size).to("meta")
        source, target = torch.ones(1, source_length, dtype=torch.long), torch.ones(1, target_length, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        model(source, target).sum().backward()
    return counter.get_total_flops() / target_length
