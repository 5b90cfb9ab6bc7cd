"""Small things to state laws about."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import fields, replace
from typing import Any

import torch
from allpairspy import AllPairs
from torch import Tensor

from ablate.config import CHOICES, Config, ModelConfig, reads
from ablate.model import build
from ablate.model.architecture import Architecture
from ablate.model.transformer import Transformer

VOCABULARY = 23
TINY = ModelConfig(d_model=16, heads=2, layers=2, ffn_ratio=2.0)
HEAD_WIDTHS = (1, 5, 12)  # of which none is d_model / heads


def every_choice() -> list[ModelConfig]:
    """Design choices such that each pair of members that one architecture reads meets, and heads of their own width.

    Fields come from the tables of the configuration, so that a new member or field is tried without a new test.
    """
    vocabularies = {key.removeprefix("model."): names for key, names in CHOICES.items() if key.startswith("model.")}
    architectures = vocabularies.pop("architecture")
    combined = []
    for architecture in architectures:
        base = replace(TINY, architecture=architecture)
        read = {name: names for name, names in vocabularies.items() if reads(base, "model", name)}
        pairs = AllPairs(OrderedDict(read)) if len(read) > 1 else []
        combined += [base, *(replace(base, **pair._asdict()) for pair in pairs)]
    own_widths = [*(replace(TINY, head_width=width) for width in HEAD_WIDTHS), replace(TINY, heads=3, head_width=4)]
    return list(dict.fromkeys([*combined, *own_widths]))


VALUES: dict[str, list] = {  # of the fields of the model that are no choices of names
    "model.d_model": [16, 24],
    "model.layers": [1, 2],
    "model.heads": [2, 4],
    "model.head_width": [None, 5],
    "model.ffn_ratio": [2.0, 8 / 3],
    "model.dropout": [0.0, 0.1],
    "model.attention_dropout": [0.0, 0.1],
}


def every_design() -> list[Config]:
    """Whole configurations in which each pair of values meets: of all fields of the model, of optimiser, schedule,
    objective and checkpoint rule. An architecture varies only the fields that it reads.
    """
    varied = {key: names for key, names in CHOICES.items() if key.startswith(("model.", "optim.", "train."))} | VALUES
    designs = []
    for architecture in varied.pop("model.architecture"):
        base = replace(TINY, architecture=architecture)
        keys = [key for key in varied if not key.startswith("model.") or reads(base, "model", key.partition(".")[2])]
        designs += [designed(base, dict(zip(keys, row))) for row in AllPairs([varied[key] for key in keys])]
    return designs


def designed(base: ModelConfig, values: dict[str, Any]) -> Config:
    """A tiny configuration with these values; distillation gets the name of a teacher.

    Adam's epsilon is large. With a small one Adam turns the rounding of gradients near zero into whole steps.
    """
    sections: dict[str, dict[str, Any]] = {
        "model": {},
        "optim": {"epsilon": 1e-3},
        "train": {"updates": 8, "validations": 40},
    }
    for key, value in values.items():
        section, _, name = key.partition(".")
        sections[section][name] = value
    if values["train.objective"] == "distillation":
        sections["train"]["teacher"] = "teacher"
    default = Config()
    return replace(
        default,
        model=replace(base, **sections["model"]),
        optim=replace(default.optim, **sections["optim"]),
        train=replace(default.train, **sections["train"]),
    )


def describe(config: ModelConfig) -> str:
    """What sets a configuration apart from TINY."""
    return (
        ",".join(
            f"{item.name}={getattr(config, item.name)}"
            for item in fields(config)
            if getattr(config, item.name) != getattr(TINY, item.name)
        )
        or "default"
    )


def tiny_transformer(config: ModelConfig = TINY, seed: int = 0) -> Transformer:
    model = tiny_model(config, seed)
    assert isinstance(model, Transformer)
    return model


def tiny_model(config: ModelConfig = TINY, seed: int = 0) -> Architecture:
    """In evaluation mode, with random affine values in every norm, so that a missing or an extra norm shows."""
    model = build(config, VOCABULARY, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (torch.nn.LayerNorm, torch.nn.RMSNorm)):
                for name, parameter in module.named_parameters():
                    low, high = (0.5, 1.5) if name == "weight" else (-0.5, 0.5)
                    parameter.uniform_(low, high, generator=generator)
            elif isinstance(module, torch.nn.Linear):
                module.bias.uniform_(-0.5, 0.5, generator=generator)
    return model.eval()


def tokens(rows: int, length: int, seed: int = 0) -> Tensor:
    """Ordinary token ids, [rows, length]."""
    return torch.randint(4, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(seed))
