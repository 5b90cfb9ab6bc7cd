"""Small things to state laws about."""

from __future__ import annotations

import itertools
from dataclasses import replace

import torch
from torch import Tensor

from ablate.config import CHOICES, ModelConfig
from ablate.model import build
from ablate.model.transformer import Transformer

VOCABULARY = 23
TINY = ModelConfig(d_model=16, heads=2, layers=2, ffn_ratio=2.0)
HEAD_WIDTHS = (1, 5, 12)  # of which none is d_model / heads


def every_choice() -> list[ModelConfig]:
    """Every combination of the design choices that have a vocabulary, and heads of a width of their own."""
    combined = [
        replace(TINY, norm_placement=placement, residual=residual, attention_scale=scale, activation=activation)
        for placement, residual, scale, activation in itertools.product(
            *(CHOICES[f"model.{name}"] for name in ("norm_placement", "residual", "attention_scale", "activation"))
        )
    ]
    return [
        *combined,
        *(replace(TINY, head_width=width) for width in HEAD_WIDTHS),
        replace(TINY, heads=3, head_width=4),
    ]


def describe(config: ModelConfig) -> str:
    names = (config.norm_placement, config.residual, config.attention_scale, config.activation)
    heads = [] if config.head_width is None else [f"{config.heads}x{config.head_width}"]
    return "-".join([*names, *heads])


def tiny_model(config: ModelConfig = TINY, seed: int = 0) -> Transformer:
    """In evaluation mode, with random affine values in every norm, so that a missing or an extra norm shows."""
    model = build(config, VOCABULARY, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.uniform_(-0.5, 0.5, generator=generator)
            elif isinstance(module, torch.nn.Linear):
                module.bias.uniform_(-0.5, 0.5, generator=generator)
    return model.eval()


def tokens(rows: int, length: int, seed: int = 0) -> Tensor:
    """Ordinary token ids, [rows, length]."""
    return torch.randint(4, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(seed))
