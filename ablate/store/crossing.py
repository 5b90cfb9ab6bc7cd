"""`across={train.updates:[1000,4000]}`: a study with each of its cells at each level of a key, as one more factor."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ablate.config import BadInput, check_name
from ablate.store.study_checks import OF_A_CELL, TAKEN, check_overrides
from ablate.study import RATE, Claim, Contrast, Study

Across = dict[str, list[Any]]  # key of the configuration -> its levels
EXAMPLE = "across={train.updates:[1000,4000]}"
WORDS = {True: "true", False: "false", None: "null"}  # names of levels with these values


def levels_from(across: Any) -> Across:
    """The levels of `across` on the command line or in a study's file; numbers in ascending order. Raises BadInput."""
    if across is None:
        return {}
    if not isinstance(across, Mapping) or not across:
        raise BadInput(f"across={across} should be {{KEY: [LEVEL, ...]}}, such as {EXAMPLE}")
    return {str(key): _levels(str(key), levels) for key, levels in across.items()}


def _levels(key: str, levels: Any) -> list[Any]:
    if not isinstance(levels, list | tuple) or not levels:
        raise BadInput(f"across: {key} needs a list of levels, such as {EXAMPLE}; it has {levels}")
    for level in levels:
        if not isinstance(level, str | int | float | None):
            raise BadInput(f"across: {key} has the level {level}; a level is one number, word or null")
        check_overrides("across", {key: level}, OF_A_CELL)
        if isinstance(level, str):
            check_name(f"across: {key}", level)
    names = [str(level_name(level)) for level in levels]
    for level, name in zip(levels, names):
        if names.count(name) > 1 or list(levels).count(level) > 1:
            raise BadInput(f"across: {key} has the level {name} twice")
    numbers = all(isinstance(level, int | float) and not isinstance(level, bool) for level in levels)
    return sorted(levels) if numbers else list(levels)


def crossed(study: Study, across: Across) -> Study:
    """The study with a factor for each key, after its own, and its claims at each combination of the levels.

    Raises BadInput for a key that a variant or a level of the study sets.
    """
    levels = [overrides for levels in study.factors.values() for overrides in levels.values()]
    for key in across:
        if key in set().union(*study.variants.values(), *levels):
            raise BadInput(f"across: the study {study.name} varies {key} itself")
    names = factor_names(study, across)
    factors = {names[key]: {level_name(level): {key: level} for level in levels} for key, levels in across.items()}
    claims = tuple(at_level(claim, place) for claim in study.claims for place in places(claim, factors))
    return replace(study, factors={**study.factors, **factors}, claims=claims)


def places(claim: Claim, factors: Mapping[str, Mapping[Any, Any]]) -> list[str]:
    """The combinations of levels at which a claim is judged. One about a factor is judged once for all its levels."""
    over = {part.factor for part in claim.parts}
    levels = [[f",{name}={level}" for level in factors[name]] for name in factors if name not in over]
    return ["".join(each) for each in itertools.product(*levels)] if claim.parts else [""]


def factor_names(study: Study, across: Across) -> dict[str, str]:
    """Key -> its factor's name: the last part of the key, or the whole key where another thing has that name."""
    leaves = [key.rpartition(".")[2] for key in across]
    found = {}
    for key, leaf in zip(across, leaves):
        clashes = leaves.count(leaf) > 1 or leaf in {*TAKEN, *study.factors} or (leaf == RATE and key != "optim.lr")
        whole = key if key not in TAKEN else f"{key}_level"
        found[key] = whole if clashes else leaf
    return found


def level_name(level: Any) -> Any:
    """The name of a level in cells and tables. Numbers and words are their own names."""
    return WORDS[level] if level is None or isinstance(level, bool) else level


def at_level(claim: Claim, place: str) -> Claim:
    """The same claim about the cells whose names end in `place`, such as `,updates=1000`."""
    if not place:
        return claim
    where = place.removeprefix(",").replace(",", ", ")
    parts = tuple(_contrast(part, place) for part in claim.parts)
    return replace(claim, id=claim.id + place, sentence=f"At {where}: {claim.sentence}", parts=parts)


def _contrast(part: Contrast, place: str) -> Contrast:
    return replace(
        part,
        variant=part.variant + place,
        baseline=part.baseline and part.baseline + place,
        than=part.than and (part.than[0] + place, part.than[1] + place),
    )
