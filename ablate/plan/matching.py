"""Twins: copies of variants of another size or cost than the baseline, at the baseline's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from ablate.config import BadInput, Config, DataConfig, ModelConfig, reads
from ablate.data.prepare import on_stderr, prepare
from ablate.study import TWINS, WITHIN, Cell, Study

Overrides = dict[str, Any]
Size = Callable[[ModelConfig, DataConfig], float]  # of a model on a corpus
WORDS = {"parameters": ("size", "parameters"), "flops": ("cost", "FLOPs a token")}


@dataclass(frozen=True)
class Twins:
    """The variants that match= adds to a study."""

    variants: dict[str, Overrides]  # name of a twin -> overrides
    cells: dict[str, Overrides] = field(default_factory=dict)  # cell of a twin -> its widths, where levels need others


def twins(study: Study, configs: Mapping[str, Config], kinds: Iterable[str] = ("parameters",)) -> Twins:
    """A twin for each variant that differs from the baseline at some level of the factors, in each of `kinds`.

    `configs` are those of the study's cells. A twin differs from its variant in d_model alone: the number of heads and
    their width stay (as d_kv does in Raffel et al. 2020, arXiv:1910.10683). With factors it has a d_model for each
    level. Raises BadInput if no d_model comes near enough to the baseline, or if no variant needs a twin.
    """
    found = [twins_in(kind, study, configs) for kind in kinds]
    variants = {name: each for one in found for name, each in one.variants.items()}
    return Twins(variants, {cell: each for one in found for cell, each in one.cells.items()})


def twins_in(kind: str, study: Study, configs: Mapping[str, Config]) -> Twins:
    found, size, (what, _) = Twins({}), size_in(kind), WORDS[kind]
    for name, overrides in study.variants.items():
        cells = [cell for cell in study.cells() if cell.variant == name and cell.baseline is not None]
        off = [cell for cell in cells if not alike(configs[cell.name], configs[str(cell.baseline)], size)]
        if not off:
            continue
        if "model.d_model" in overrides:
            raise BadInput(f"match={kind}: a twin changes model.d_model, but {name} sets it")
        if matching := [cell.name for cell in cells if cell not in off]:
            raise BadInput(
                f"match={kind}: {matching[0]} has the baseline's {what} and {off[0].name} does not, so a twin of "
                f"{name} would train some runs twice; leave out some levels of {', '.join(study.factors)}"
            )
        twin, widths = f"{name},{TWINS[kind]}", {cell.name: widths_of(kind, cell, configs, size) for cell in cells}
        if study.factors:
            found.variants[twin] = dict(overrides)
            found.cells.update({twin + cell.removeprefix(name): each for cell, each in widths.items()})
        else:
            found.variants[twin] = {**overrides, **widths[name]}
    if not found.variants:
        raise BadInput(f"match={kind}: all variants of {study.name} have the baseline's {what}, within {WITHIN:.0%}")
    return found


def widths_of(kind: str, cell: Cell, configs: Mapping[str, Config], size: Size) -> Overrides:
    """The overrides that give a cell its baseline's size. Raises BadInput if none does."""
    config, baseline = configs[cell.name], configs[str(cell.baseline)]
    aim = size(baseline.model, baseline.data)
    model = matched(config.model, aim, lambda model: size(model, config.data))
    nearest = size(model, config.data)
    if abs(nearest / aim - 1) > WITHIN and config.preset != "smoke":  # whose models are too narrow for a close match
        raise BadInput(
            f"match={kind}: no d_model brings {cell.name} within {WITHIN:.0%} of the {aim:,.0f} {WORDS[kind][1]} of "
            f"{cell.baseline}; d_model={model.d_model} comes nearest, with {nearest:,.0f}"
        )
    head_width = {"model.head_width": model.head_width} if reads(model, "model", "head_width") else {}
    return {"model.d_model": model.d_model, **head_width}


def alike(config: Config, other: Config, size: Size) -> bool:
    """Whether two models have the same size, within the tolerance."""
    return abs(size(config.model, config.data) / size(other.model, other.data) - 1) <= WITHIN


def matched(model: ModelConfig, aim: float, size: Callable[[ModelConfig], float]) -> ModelConfig:
    """The model at the even d_model for which its size is nearest to `aim`."""

    def at(d_model: int) -> ModelConfig:
        return replace(model, d_model=d_model, head_width=model.d_k if reads(model, "model", "head_width") else None)

    low, high = 1, 2
    while size(at(2 * high)) < aim:  # sizes grow with d_model
        high *= 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(at(2 * middle)) < aim else (low, middle)
    return min((at(2 * low), at(2 * high)), key=lambda each: abs(size(each) - aim))


def inner_parameters(model: ModelConfig, data: DataConfig | None = None) -> int:
    """The number of parameters without the embeddings, whose size depends on the vocabulary."""
    from ablate.model.flops import parameter_count

    one, two = (parameter_count(model, vocabulary) for vocabulary in (1, 2))
    return one - (two - one)


def size_in(kind: str) -> Size:
    """How to measure what is matched. FLOPs are those that are recorded of a run, for which the corpus is prepared."""
    if kind == "parameters":
        return inner_parameters
    from ablate.model.flops import flops_on

    corpora: dict[DataConfig, dict[str, Any]] = {}

    def flops(model: ModelConfig, data: DataConfig) -> float:
        if data not in corpora:
            corpora[data] = prepare(data, on_stderr)
        return flops_on(model, corpora[data])

    return cache(flops)
