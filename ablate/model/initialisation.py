"""Initial values. Each parameter draws from a generator seeded by its name, so that two variants that share a
parameter start it from the same values."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ablate.model.seeding import generator


def initialise(model: nn.Module, seed: int) -> None:
    """Xavier-uniform matrices (Glorot and Bengio 2010), biases zero, norms one, embeddings N(0, 1/D).

    An embedding row times sqrt(D) then has unit variance. The four gates of an LSTM are four matrices, and the bias of
    its forget gate starts at one (Jozefowicz et al. 2015). Values are drawn on the CPU for all devices.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            limit = (6 / (module.in_features + module.out_features)) ** 0.5
            _uniform(module.weight, limit, seed, name)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            _normal(module.weight, module.embedding_dim**-0.5, seed, name)
        elif isinstance(module, nn.LSTM):
            _lstm(module, seed, name)


@torch.no_grad()
def _lstm(module: nn.LSTM, seed: int, name: str) -> None:
    for part, parameter in module.named_parameters():
        if part.startswith("weight"):
            limit = (6 / (parameter.shape[1] + module.hidden_size)) ** 0.5
            _uniform(parameter, limit, seed, f"{name}.{part}")
        else:
            nn.init.zeros_(parameter)
    forget = slice(module.hidden_size, 2 * module.hidden_size)  # torch's order of gates: input, forget, cell, output
    nn.init.ones_(module.get_parameter("bias_ih_l0")[forget])


@torch.no_grad()
def _uniform(weight: Tensor, limit: float, seed: int, name: str) -> None:
    weight.copy_(torch.empty(weight.shape).uniform_(-limit, limit, generator=generator(seed, "initialisation", name)))


@torch.no_grad()
def _normal(weight: Tensor, std: float, seed: int, name: str) -> None:
    weight.copy_(torch.empty(weight.shape).normal_(0, std, generator=generator(seed, "initialisation", name)))
