"""Parameter-matched twins: a variant of another size than the baseline, again at the baseline's size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ablate.config import BadInput, Config, ModelConfig, reads
from ablate.study import MATCHED, Cell, Study

WITHIN = 0.03  # of the baseline's parameters, embeddings left out


def twins(study: Study, configs: dict[str, Config]) -> dict[str, dict[str, Any]]:
    """Name -> overrides of a twin for each variant whose size differs from the baseline's.

    `configs` are those of the variants. A twin differs in d_model alone: the number of heads and their width stay (as
    d_kv does in Raffel et al. 2020, arXiv:1910.10683). Raises BadInput where no d_model comes near enough, and where
    all variants are of one size.
    """
    aim = inner_parameters(configs[study.baseline].model)
    found = {}
    for name, config in configs.items():
        if abs(inner_parameters(config.model) / aim - 1) > WITHIN:
            if "model.d_model" in study.variants[name]:
                raise BadInput(f"match=parameters: {name} sets model.d_model itself, which is what a twin changes")
            model = matched(config.model, aim)
            if abs(inner_parameters(model) / aim - 1) > WITHIN and config.preset != "smoke":  # too narrow for that
                raise BadInput(f"match=parameters: no d_model brings {name} within {WITHIN:.0%} of the baseline's size")
            widths = {"model.d_model": model.d_model, "model.head_width": model.head_width}
            read = {key: width for key, width in widths.items() if width is not None}
            found[f"{name},{MATCHED}"] = {**study.variants[name], **read}
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
    """The model at the d_model, an even number, that brings its parameters nearest to `aim`."""

    def at(d_model: int) -> ModelConfig:
        return replace(model, d_model=d_model, head_width=model.d_k if reads(model, "model", "head_width") else None)

    low, high = 1, 2
    while inner_parameters(at(2 * high)) < aim:  # parameters grow with d_model
        high *= 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if inner_parameters(at(2 * middle)) < aim else (low, middle)
    return min((at(2 * low), at(2 * high)), key=lambda each: abs(inner_parameters(each) - aim))


def inner_parameters(model: ModelConfig) -> int:
    """Parameters without the embeddings, which every d_model has its own of."""
    from ablate.model.flops import parameter_count

    one, two = (parameter_count(model, vocabulary) for vocabulary in (1, 2))
    return one - (two - one)
