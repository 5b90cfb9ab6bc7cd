"""Parameter-matched twins: copies of variants of another size than the baseline, at the baseline's size."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ablate.config import BadInput, Config, ModelConfig, reads
from ablate.study import MATCHED, WITHIN, Cell, Study

Overrides = dict[str, Any]


@dataclass(frozen=True)
class Twins:
    """The variants that match=parameters adds to a study."""

    variants: dict[str, Overrides]  # name of a twin -> overrides
    cells: dict[str, Overrides] = field(default_factory=dict)  # cell of a twin -> its widths, where levels need others


def twins(study: Study, configs: dict[str, Config]) -> Twins:
    """A twin for each variant whose size differs from the baseline's at some level of the factors.

    `configs` are those of the study's cells. A twin differs from its variant in d_model alone: the number of heads and
    their width stay (as d_kv does in Raffel et al. 2020, arXiv:1910.10683). With factors it has a d_model for each
    level. Raises BadInput if no d_model comes near enough to the baseline's size, or if no variant needs a twin.
    """
    found = Twins({})
    for name, overrides in study.variants.items():
        cells = [cell for cell in study.cells() if cell.variant == name and cell.baseline is not None]
        off = [cell for cell in cells if not alike(configs[cell.name].model, configs[str(cell.baseline)].model)]
        if not off:
            continue
        if "model.d_model" in overrides:
            raise BadInput(f"match=parameters: a twin changes model.d_model, but {name} sets it")
        if matching := [cell.name for cell in cells if cell not in off]:
            raise BadInput(
                f"match=parameters: {matching[0]} has the baseline's size and {off[0].name} does not, so a twin of "
                f"{name} would train some runs twice; leave out some levels of {', '.join(study.factors)}"
            )
        twin, widths = f"{name},{MATCHED}", {cell.name: widths_of(cell, configs) for cell in cells}
        if study.factors:
            found.variants[twin] = dict(overrides)
            found.cells.update({twin + cell.removeprefix(name): each for cell, each in widths.items()})
        else:
            found.variants[twin] = {**overrides, **widths[name]}
    if not found.variants:
        raise BadInput(f"match=parameters: all variants of {study.name} have the baseline's size, within {WITHIN:.0%}")
    return found


def widths_of(cell: Cell, configs: dict[str, Config]) -> Overrides:
    """The overrides that give a cell its baseline's size. Raises BadInput if none does."""
    config, aim = configs[cell.name], inner_parameters(configs[str(cell.baseline)].model)
    model = matched(config.model, aim)
    size = inner_parameters(model)
    if abs(size / aim - 1) > WITHIN and config.preset != "smoke":  # whose models are too narrow to be matched closely
        raise BadInput(
            f"match=parameters: no d_model brings {cell.name} within {WITHIN:.0%} of the {aim:,} parameters of "
            f"{cell.baseline}; d_model={model.d_model} comes nearest, with {size:,}"
        )
    head_width = {"model.head_width": model.head_width} if reads(model, "model", "head_width") else {}
    return {"model.d_model": model.d_model, **head_width}


def alike(model: ModelConfig, other: ModelConfig) -> bool:
    """Whether two models have the same number of parameters, within the tolerance."""
    return abs(inner_parameters(model) / inner_parameters(other) - 1) <= WITHIN


def matched(model: ModelConfig, aim: int) -> ModelConfig:
    """The model at the even d_model for which its number of parameters is nearest to `aim`."""

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
    """The number of parameters without the embeddings, whose size depends on the vocabulary."""
    from ablate.model.flops import parameter_count

    one, two = (parameter_count(model, vocabulary) for vocabulary in (1, 2))
    return one - (two - one)
