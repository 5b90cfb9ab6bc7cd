"""Parameter-matched twins: a variant of another size than the baseline, at the baseline's size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ablate.config import BadInput, Config, ModelConfig
from ablate.study import MATCHED, Cell, Study

WITHIN = 0.03  # relative difference in parameters, without embeddings


def twins(study: Study, configs: dict[str, Config]) -> dict[str, dict[str, Any]]:
    """Name -> overrides of a twin for each variant whose size differs from the baseline's.

    `configs` are those of the variants. A twin differs in d_model alone: the width and the number of its heads stay
    (as d_kv does in Raffel et al. 2020, arXiv:1910.10683). Raises BadInput where no d_model comes near enough, and
    where all variants are of one size.
    """
    aim = inner_parameters(configs[study.baseline].model)
    found = {}
    for name, config in configs.items():
        if abs(inner_parameters(config.model) / aim - 1) > WITHIN:
            if "model.d_model" in study.variants[name]:
                raise BadInput(f"match=parameters: {name} sets model.d_model itself, which its twin would change")
            model = matched(config.model, aim)
            if abs(inner_parameters(model) / aim - 1) > WITHIN and config.preset != "smoke":  # too narrow for that
                raise BadInput(f"match=parameters: no d_model brings {name} within {WITHIN:.0%} of the baseline's size")
            widths = {"model.d_model": model.d_model, "model.head_width": model.head_width}
            found[f"{name},{MATCHED}"] = {**study.variants[name], **widths}
    if not found:
        raise BadInput(
            f"match=parameters: all variants of {study.name} are of the baseline's size, within {WITHIN:.0%}"
        )
    return found


def check_twins(cells: list[Cell], configs: dict[str, Config], twins: dict[str, dict[str, Any]]) -> None:
    """Raise BadInput where a level changes the size of a twin by another factor than that of the baseline."""
    for cell in cells:
        if cell.variant in twins and cell.baseline is not None and configs[cell.name].preset != "smoke":
            twin, aim = (inner_parameters(configs[name].model) for name in (cell.name, cell.baseline))
            if abs(twin / aim - 1) > WITHIN:
                raise BadInput(
                    f"match=parameters: {cell.name} has {twin / aim - 1:+.0%} parameters beside {cell.baseline}, since "
                    "twins are matched before across= sets its levels; leave one of the two out"
                )


def matched(model: ModelConfig, aim: int) -> ModelConfig:
    """The model with the even d_model at which its number of parameters is closest to `aim`."""

    def at(d_model: int) -> ModelConfig:
        return replace(model, d_model=d_model, head_width=model.d_k)

    low, high = 1, 2
    while inner_parameters(at(2 * high)) < aim:  # parameters grow with d_model
        high *= 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if inner_parameters(at(2 * middle)) < aim else (low, middle)
    return min((at(2 * low), at(2 * high)), key=lambda each: abs(inner_parameters(each) - aim))


def inner_parameters(model: ModelConfig) -> int:
    """Parameters without the embeddings, whose number also depends on d_model."""
    import torch

    from ablate.model.flops import parameter_count

    with torch.device("meta"):
        one, two = (parameter_count(model, vocabulary) for vocabulary in (1, 2))
    return one - (two - one)
