"""Optimisers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn

from ablate.config import OptimConfig
from ablate.plugins import extend

Parameters = Iterable[nn.Parameter]


def adamw(parameters: Parameters, config: OptimConfig) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay.  Loshchilov and Hutter 2019, arXiv:1711.05101."""
    return torch.optim.AdamW(
        parameters,
        lr=config.lr,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
        weight_decay=config.weight_decay,
        fused=True,  # one pass over each parameter, also on a CPU
    )


def sgd(parameters: Parameters, config: OptimConfig) -> torch.optim.Optimizer:
    """Stochastic gradient descent with Nesterov momentum `beta1`.  Sutskever et al. 2013."""
    return torch.optim.SGD(
        parameters,
        lr=config.lr,
        momentum=config.beta1,
        nesterov=config.beta1 > 0,
        weight_decay=config.weight_decay,
        foreach=True,
    )


OPTIMIZERS: dict[str, Callable[[Parameters, OptimConfig], torch.optim.Optimizer]] = {"adamw": adamw, "sgd": sgd}

extend("optim.kind", OPTIMIZERS)
