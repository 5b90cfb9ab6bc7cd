"""Claims about quality that rest on one learning rate, although what they compare may move the best one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ablate.study import QUALITY, RATE_KEY, Claim, Contrast, Study

MOVES_THE_RATE = (  # beginnings of the keys of choices whose members may have different best learning rates
    *("model.norm_placement", "model.attention_scale", "model.embedding_scale", "model.init", "model.activation"),
    *("optim.warmup", "optim.kind"),
)
OF_QUALITY = (
    *(QUALITY, "test_bleu", "test_bleu_greedy", "test_bleu_lower", "test_chrf"),
    *("test_loss", "validation_loss", "test_bits_per_byte"),
)


def at_one_rate(claim: Claim, study: Study) -> bool:
    """Whether a claim about quality compares members of such a choice at one learning rate that they share.

    Under tune=lr `study` is the one at each variant's own best rate, and not to be asked about. A study that crosses
    its variants with several rates shows more than one, and under rates= each cell has its own.
    """
    levels = [overrides for levels in study.factors.values() for overrides in levels.values()]
    if any(RATE_KEY in overrides for overrides in (*study.variants.values(), *levels, *study.by_cell.values())):
        return False
    keys = (key for part in claim.parts if part.metric in OF_QUALITY for key in compared(part, study))
    return any(key.startswith(MOVES_THE_RATE) for key in keys)


def compared(part: Contrast, study: Study) -> set[str]:
    """The keys in which the cells of a contrast differ; of one over the levels of a factor, those of the levels too."""
    cells: Mapping[str, dict[str, Any]] = {cell.name: cell.overrides for cell in study.cells()}
    named = [overrides for name, overrides in cells.items() if name in part.cells]
    levels = list(study.factors.get(part.factor or "", {}).values())
    if part.factor is not None:  # names of such a contrast leave the level out
        variants = {name.partition(",")[0] for name in part.cells}
        named += [study.variants[variant] for variant in variants if variant in study.variants]
    return differing(named) | differing(levels)


def differing(values: list[dict[str, Any]]) -> set[str]:
    """The keys that do not have one value in all of these."""
    keys = set().union(*values)
    return {key for key in keys if any(each.get(key) != values[0].get(key) for each in values)}
