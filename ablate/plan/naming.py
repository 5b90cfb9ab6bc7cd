"""The name of a setting, which is the name of the folder of its records and of its report."""

from __future__ import annotations

import os
import re
from dataclasses import asdict
from enum import Enum
from typing import Any

from ablate.config import BadInput, Config, grids_from
from ablate.store.ids import digest
from ablate.study import RATE

DETERMINANTS = ("model", "optim", "train", "data", "evaluation")  # sections that determine a result
NAMES = ("name", "loader", "path")  # keys of data that do not determine a result: only the text of a corpus does
LONGEST_SUFFIX = 60  # characters


def setting_name(config: Config, default: Config) -> str:
    """`<data>-<preset>`, and a suffix for every other determinant of the result that was overridden."""
    usual = determinants(default)
    changed = {key: value for key, value in determinants(config).items() if value != usual[key]}
    chosen = {"tune": config.tuned, "match": config.matched}
    changed |= {key: "+".join(names) for key, names in chosen.items() if names}
    changed |= {key: "+".join(map(text, levels)) for key, levels in (config.across or {}).items()}
    for name, values in grids_from(config.grid).items():
        changed["grid" if name == RATE else f"{name}s"] = "+".join(map(text, values))
    if RATE in config.tuned and not config.refine:
        changed["refine"] = "false"
    if config.rates is not None:
        changed["rates"] = digest(config.rates)[:6]  # two names in one would be too long
    if config.precision is not default.precision:
        changed["precision"] = config.precision.name
    leaves = [key.rpartition(".")[2] for key in changed]
    suffix = ",".join(
        f"{leaf if leaves.count(leaf) == 1 else key}={text(value)}"
        for leaf, (key, value) in zip(leaves, changed.items())
    )
    if len(suffix) > LONGEST_SUFFIX or not re.fullmatch(r"[\w.,=+-]*", suffix, re.ASCII):  # it names a folder
        suffix = digest(changed)
    return "-".join(part for part in (config.data.label, config.preset, suffix) if part)


def check_encoding(folder: str) -> None:
    """Raise BadInput for a folder whose name the system's encoding of file names cannot express."""
    try:
        os.fsencode(folder)
    except UnicodeEncodeError as error:
        raise BadInput(f"{folder} names a folder, and file names are {error.encoding} here: set PYTHONUTF8=1") from None


def determinants(config: Config) -> dict[str, Any]:
    """Dotted key -> value, for all that determines a result except the seed and the precision."""
    return {
        f"{section}.{key}": value
        for section in DETERMINANTS
        for key, value in asdict(getattr(config, section)).items()
        if section != "data" or key not in NAMES
    }


def text(value: Any) -> str:
    """The value of an overridden key as the setting's name shows it, such as 0.001 in `lr=0.001`."""
    if value in (None, "null"):
        return "null" if value is None else '"null"'
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)
