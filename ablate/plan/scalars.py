"""Check that YAML reads words and numbers as they were typed: it reads `no` as false, `12e3` as 12000, `1:30` as 90."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Optional, get_args, get_type_hints

import yaml
from omegaconf._utils import get_yaml_loader

from ablate.config import BadInput, Config, DataConfig

HydraLoader = get_yaml_loader()  # reads more numbers than PyYAML does, and no dates
TAG = "tag:yaml.org,2002:"
DECIMAL = re.compile(r"[-+]?(?:0|[1-9][\d_]*)?(?:\.[\d_]*)?(?:e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
EACH = ""  # the key of a shape that matches all other keys


@dataclass(frozen=True)
class Scalar:
    """The kinds of scalar that are allowed in a place."""

    what: str = ""  # "name" or "text" if it must be read as text
    number: bool = False  # a number in decimal notation is allowed
    null: bool = False  # null is allowed


NAME, TEXT, OPTIONAL_TEXT = Scalar("name"), Scalar("text"), Scalar("text", null=True)
LEVEL = Scalar("name", number=True)
NUMBER, OPTIONAL_NUMBER = Scalar(number=True), Scalar(number=True, null=True)


def check_scalars(path: Path, node: yaml.Node | None, group: str) -> None:
    """Raise BadInput if YAML reads a word or a number in a file of conf/ differently from how it was typed.

    `group` is the folder: a file in `data` sets keys of that section, files in others set keys of any section.
    """
    shape = of_section(DataConfig) if group == "data" else {**of_section(Config), **OF_A_STUDY}
    for scalar, expected in scalars(node, shape):
        problem = misread(scalar, expected)
        if problem:
            raise BadInput(f"{path}, line {scalar.start_mark.line + 1}: {problem}")


def scalars(node: yaml.Node | None, shape: Any) -> Iterator[tuple[yaml.ScalarNode, Scalar]]:
    """Every word and number that the shape describes, with its description."""
    if isinstance(node, yaml.MappingNode) and isinstance(shape, dict):
        every, inner = shape.get(EACH, (NAME, None))
        for key, value in node.value:
            yield from scalars(key, every)
            yield from scalars(value, shape.get(key.value, inner))
    elif isinstance(node, yaml.SequenceNode) and isinstance(shape, list):
        for value in node.value:
            yield from scalars(value, shape[0])
    elif isinstance(node, yaml.ScalarNode) and isinstance(shape, Scalar):
        yield node, shape


def misread(node: yaml.ScalarNode, expected: Scalar) -> str | None:
    """How YAML misreads a word or a number, and what to write instead; None if it does not."""
    text, bare, reader = node.value, not node.style, HydraLoader("")
    tag = reader.resolve(yaml.ScalarNode, text, (bare, not bare)).removeprefix(TAG)
    if tag == "str":
        if not (text == "None" and bare and expected.null):
            return None
        return "YAML reads None as a word: write null for no value, or 'None', in quotes, for the word"
    if tag not in ("bool", "null", "int", "float"):
        return f"{text} has a special meaning in YAML: write '{text}', in quotes"
    value = reader.construct_object(yaml.ScalarNode(TAG + tag, text))
    number = tag in ("int", "float")
    if (value is None and expected.null) or (number and str(value) == text and math.isfinite(value)):
        return None
    if not expected.what and not (number and math.isfinite(value)):  # the configuration checks the value
        return None
    if number and expected.number and math.isfinite(value) and DECIMAL.fullmatch(text):
        return None
    if not text:
        return f"a {expected.what} is missing here, since YAML reads an empty value as null; the empty text is ''"
    better = [f"{value}"] if number and expected.number and math.isfinite(value) else []
    better += [f"'{text}', in quotes, for the {expected.what}"] if expected.what else []
    better += ["null for no value"] if expected.null and tag == "bool" else []
    read = f"the number {value}" if number else "null" if value is None else str(value).lower()
    return f"YAML reads {text} as {read}: write {', or '.join(better)}"


def of_section(section: type) -> dict[str, Any]:
    """The shape of a section of the configuration."""
    return {name: of_kind(kind) for name, kind in get_type_hints(section).items()}


def of_kind(kind: Any) -> Any:
    if is_dataclass(kind):
        return of_section(kind)  # type: ignore[arg-type]
    null = type(None) in get_args(kind)
    inner = get_args(kind)[0] if null else kind
    if inner is str or (isinstance(inner, type) and issubclass(inner, Enum)):
        return OPTIONAL_TEXT if null else TEXT
    return {int: NUMBER, float: NUMBER, Optional[int]: OPTIONAL_NUMBER}.get(kind)


def dotted(section: type = Config, above: str = "") -> dict[str, Any]:
    """The shape of overrides, by dotted key."""
    found: dict[str, Any] = {}
    for name, kind in get_type_hints(section).items():
        found |= dotted(kind, f"{above}{name}.") if is_dataclass(kind) else {above + name: of_kind(kind)}  # type: ignore[arg-type]
    return found


FACTORS = {EACH: (NAME, {EACH: (LEVEL, dotted())})}
PART = {
    **dict.fromkeys(("contrast", "metric", "kind", "direction", "than", "note"), OPTIONAL_TEXT),
    "margin": OPTIONAL_NUMBER,
    "range": [OPTIONAL_NUMBER],
}
STUDY = {
    **dict.fromkeys(("name", "baseline"), NAME),
    **dict.fromkeys(("question", "metric", "pairs"), TEXT),
    "variants": {EACH: (NAME, dotted())},
    "factors": FACTORS,
    "claims": [
        {**PART, "id": NAME, "sentence": TEXT, **dict.fromkeys(("command", "needs"), OPTIONAL_TEXT), "parts": [PART]}
    ],
    "limits": [TEXT],
    "sizes": {EACH: (NAME, {**dotted(), "factors": FACTORS})},
    "grid": [NUMBER],
}
OF_A_STUDY = {"study": STUDY, "plugins": [TEXT], "across": {key: [level] for key, level in dotted().items()}}
