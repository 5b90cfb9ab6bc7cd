"""Read and write the published results of a study: the list `known:` in its file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ablate.config import BadInput
from ablate.study import Published

KEYS = [item.name for item in fields(Published)]


def published_from(mapping: Any) -> Published:
    """An item of the list. Raises BadInput."""
    if not isinstance(mapping, Mapping):
        raise BadInput(f"study.known: {str(mapping)[:60]} should be {{text: ..., source: ...}}")
    for key in mapping:
        if key not in KEYS:
            raise BadInput(f"study.known: {key} is unknown; it may be {', '.join(KEYS)}")
    for key in ("text", "source"):
        if not mapping.get(key):
            raise BadInput(f"study.known: {key} is missing in {str(dict(mapping))[:60]}")
    source, unit = str(mapping["source"]), str(mapping.get("unit") or "")
    numbers = {str(cell): _number(value, source) for cell, value in (mapping.get("numbers") or {}).items()}
    if bool(numbers) != bool(unit):
        raise BadInput(f"study.known: {source} needs both numbers and their unit, or neither")
    return Published(" ".join(str(mapping["text"]).split()), source, numbers, unit)


def published_to_plain(found: Published) -> dict[str, Any]:
    """The item as plain types, which `published_from` reads."""
    numbers = {"numbers": found.numbers, "unit": found.unit} if found.numbers else {}
    return {"text": found.text, "source": found.source, **numbers}


def _number(value: Any, source: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadInput(f"study.known: {source} has {value}, which should be a number")
    return float(value)
