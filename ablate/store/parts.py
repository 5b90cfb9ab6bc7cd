"""The parts of a model that diagnostics measure, and their names in records."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

Value = TypeVar("Value")

STACKS = ("encoder", "decoder")
FEEDFORWARD = "feedforward"
NUMBER = re.compile(r"[0-9]{1,9}")  # of a layer


@dataclass(frozen=True, order=True)
class Part:
    """A sublayer (`kind` "feedforward"), the norm around it ("feedforward.norm"), or with no `kind` a whole layer.

    `stack` is one of STACKS, or "" for a part that both share; `layer` counts from 0, or is None outside of layers.
    """

    stack: str
    layer: int | None
    kind: str = ""

    def __str__(self) -> str:
        """The name in records: `encoder.0.feedforward`, `encoder.final_norm`, `embedding`."""
        names = (self.stack, "" if self.layer is None else str(self.layer), self.kind)
        return ".".join(name for name in names if name)

    @staticmethod
    def read(name: str) -> Part:
        """The part with this name in records."""
        stack, _, rest = name.partition(".")
        if not rest:
            return Part("", None, stack)
        number, _, kind = rest.partition(".")
        return Part(stack, int(number), kind) if NUMBER.fullmatch(number) else Part(stack, None, rest)

    @property
    def of_layer(self) -> Part:
        """The layer that it belongs to."""
        return Part(self.stack, self.layer)


def by_part(values: Mapping[str, Value] | None) -> dict[Part, Value]:
    """Values by part, from a record that has them by name; empty for None."""
    return {Part.read(name): value for name, value in (values or {}).items()}
