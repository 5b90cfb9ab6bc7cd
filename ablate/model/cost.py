"""What a model costs, counted without training it."""

from __future__ import annotations

import torch

from ablate.config import ModelConfig
from ablate.model import assemble


def parameter_count(config: ModelConfig, vocabulary_size: int) -> int:
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
