"""Whether a study that could be read can be planned: its names, its keys, its cells, its text."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

from ablate.config import CONTROL, BadInput, Config, check_key, check_name
from ablate.store.record_schema import RECORD_KEYS
from ablate.store.study_file import study_to_plain
from ablate.study import Study

OF_A_CELL = ("model", "optim", "train", "precision", "data", "evaluation")  # what a variant or a level may set
TAKEN = {*RECORD_KEYS, "pair", "lr_sensitivity", *(item.name for item in fields(Config))}  # no factor's name
OF_A_SIZE = (*OF_A_CELL, "diagnostics", "seeds")


def check_study(study: Study) -> None:
    """Raise BadInput that says where the study is at fault."""
    check_texts(study_to_plain(study), "study")
    check_names(study)
    for where, overrides, allowed in settings(study):
        check_overrides(where, overrides, allowed)


def check_names(study: Study) -> None:
    """Raise BadInput for a name that could not be a folder's or a column's, or that stands for two things."""
    check_name("study.name", study.name)
    for where, names in named(study).items():
        for name in names:
            if isinstance(name, str):
                check_name(where, name)
            elif isinstance(name, bool) or not isinstance(name, (int, float)):
                raise BadInput(f"{where} has {name}, which is neither a word nor a number")
    for factor in study.factors:
        if factor in TAKEN:
            raise BadInput(f"study.factors.{factor} is what records call something else: give the factor another name")
    for preset in ("", *study.sizes):
        cells = [cell.name for cell in study.at(preset).cells()]
        if not cells:
            raise BadInput(f"study.factors: a factor of {study.name} has no level")
        refuse_repeated("study: variant", cells)
    refuse_repeated("study: claim", [claim.id for claim in study.claims])


def refuse_repeated(what: str, names: Iterable[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise BadInput(f"{what} {name} stands there {count} times: a name stands for one thing")


def named(study: Study) -> dict[str, list[Any]]:
    """What is named where. Levels are names too: a cell is called after its own."""
    found: dict[str, list[Any]] = {"study.variants": [*study.variants], "study.factors": [*study.factors]}
    for factor, levels in all_levels(study):
        found.setdefault(f"study.factors.{factor}", []).extend(levels)
    return found


def all_levels(study: Study) -> Iterator[tuple[str, dict[Any, dict[str, Any]]]]:
    yield from study.factors.items()
    for size in study.sizes.values():
        yield from size.get("factors", {}).items()


def settings(study: Study) -> Iterator[tuple[str, dict[str, Any], tuple[str, ...]]]:
    """Wherever the study sets keys: the place, the overrides, and the sections that it may set."""
    for name, overrides in study.variants.items():
        yield f"study.variants.{name}", overrides, OF_A_CELL
    for factor, levels in all_levels(study):
        for level, overrides in levels.items():
            yield f"study.factors.{factor}.{level}", overrides, OF_A_CELL
    for preset in study.sizes:
        yield f"study.sizes.{preset}", study.size(preset), OF_A_SIZE


def check_overrides(where: str, overrides: dict[str, Any], allowed: tuple[str, ...]) -> None:
    for key, value in overrides.items():
        if not isinstance(key, str) or key.split(".")[0] not in allowed:
            raise BadInput(f"{where} sets {key}, which is not for it to set; it may set keys of {', '.join(allowed)}")
        check_key(key, where)
        if isinstance(value, (dict, list)):
            raise BadInput(f"{where} sets {key} to several values; a key takes one, written with dots (model.heads: 2)")


def check_texts(value: Any, where: str) -> None:
    """Raise BadInput where a text could break a terminal, a table or a file, or a number is none."""
    if isinstance(value, dict):
        for key, item in value.items():
            check_texts(key, where)
            check_texts(item, f"{where}.{key}")
    elif isinstance(value, (list, tuple)):
        for item in value:
            check_texts(item, where)
    elif isinstance(value, str) and CONTROL.search(value.replace("\n", " ").replace("\t", " ")):
        raise BadInput(f"{where} holds a character that is no text")
    elif isinstance(value, float) and not math.isfinite(value):
        raise BadInput(f"{where} is {value}, and should be a number")
