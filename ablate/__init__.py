"""ablate settles arguments about Transformer design with experiments.

From Python: `ablate.results(study)` is a DataFrame of every run of a study, `ablate.load_run(run_id)` a trained model.
Both, and the packages `ablate.config`, `ablate.model`, ..., are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["load_run", "results"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("ablate.api"), name)
    try:
        return importlib.import_module(f"ablate.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"ablate.{name}":
            raise
        raise AttributeError(f"module 'ablate' has no attribute {name!r}") from None
