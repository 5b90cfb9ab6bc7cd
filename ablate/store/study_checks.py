"""Check whether a study can be planned: its names, its keys, its cells, its text."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

from ablate.config import CONTROL, BadInput, Config, check_key, check_name
from ablate.store.record_schema import DERIVED, RECORD_KEYS
from ablate.store.study_file import study_to_plain
from ablate.study import Study

OF_A_CELL = ("model", "optim", "train", "precision", "data", "evaluation")  # what a variant or a level may set
TAKEN = {  # names no factor may have
    *(*RECORD_KEYS, *DERIVED, "pair", "lr_sensitivity"),
    *(item.name for item in fields(Config)),
}
OF_A_SIZE = (*OF_A_CELL, "diagnostics", "seeds")


def check_study(study: Study) -> None:
    """Raise BadInput that names the part of the study that is wrong."""
    check_texts(study_to_plain(study), "study")
    check_names(study)
    for name, overrides in study.variants.items():
        check_overrides(f"study.variants.{name}", overrides, OF_A_CELL)
    for factor, levels in all_levels(study):
        for level, overrides in levels.items():
            check_overrides(f"study.factors.{factor}.{level}", overrides, OF_A_CELL)
    for preset in study.sizes:
        check_overrides(f"study.sizes.{preset}", study.size(preset), OF_A_SIZE)


def check_names(study: Study) -> None:
    """Raise BadInput for a name that cannot be the name of a folder or a column, or that is used twice.

    Levels are names too, because they are part of the names of cells.
    """
    check_name("study.name", study.name)
    names = [("study.variants", name) for name in study.variants] + [("study.factors", name) for name in study.factors]
    names += [(f"study.factors.{factor}", level) for factor, levels in all_levels(study) for level in levels]
    for where, name in names:
        if isinstance(name, str):
            check_name(where, name)
        elif isinstance(name, bool) or not isinstance(name, (int, float)):
            raise BadInput(f"{where} has {name}, which is neither a word nor a number")
    for factor in study.factors:
        if factor in TAKEN:
            raise BadInput(f"study.factors.{factor}: records have another key of this name; rename the factor")
    for preset in ("", *study.sizes):
        cells = [cell.name for cell in study.at(preset).cells()]
        if not cells:
            raise BadInput(f"study.factors: a factor of {study.name} has no level")
        refuse_repeated("study: variant", cells)
    refuse_repeated("study: claim", [claim.id for claim in study.claims])


def refuse_repeated(what: str, names: Iterable[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise BadInput(f"{what} {name} is there {count} times: a name may be used once")


def all_levels(study: Study) -> Iterator[tuple[str, dict[Any, dict[str, Any]]]]:
    yield from study.factors.items()
    for size in study.sizes.values():
        yield from size.get("factors", {}).items()


def check_overrides(where: str, overrides: dict[str, Any], allowed: tuple[str, ...]) -> None:
    for key, value in overrides.items():
        if not isinstance(key, str) or key.split(".")[0] not in allowed:
            raise BadInput(f"{where} cannot set {key}; it may set keys of {', '.join(allowed)}")
        check_key(key, where)
        if isinstance(value, (dict, list)):
            raise BadInput(f"{where} sets {key} to several values; give one, for a key with dots (model.heads: 2)")


def check_texts(value: Any, where: str) -> None:
    """Raise BadInput for a text that could break a terminal, a table or a file, and for a number that is not finite."""
    if isinstance(value, dict):
        for key, item in value.items():
            check_texts(key, where)
            check_texts(item, f"{where}.{key}")
    elif isinstance(value, (list, tuple)):
        for item in value:
            check_texts(item, where)
    elif isinstance(value, str) and CONTROL.search(value.replace("\n", " ").replace("\t", " ")):
        raise BadInput(f"{where} contains a control character")
    elif isinstance(value, float) and not math.isfinite(value):
        raise BadInput(f"{where} is {value}, but must be a finite number")
