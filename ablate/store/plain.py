"""Convert configurations from Hydra's composed nodes, and from and to the plain types that JSON keeps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import msgspec
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ablate.config import BadInput, Config, complete
from ablate.store.schema import mapped

HERE = ("root", "hydra")  # keys that set where things are, which no record keeps
INTERPOLATION = re.compile(r"(?<!\\)(?:\\\\)*\$\{")  # a ${ that OmegaConf does not read as text


def schema() -> DictConfig:
    """The types and defaults of `Config`, into which Hydra merges files and overrides."""
    node = OmegaConf.structured(Config)
    _thaw(node)
    return node


def config_from(node: DictConfig) -> Config:
    """A frozen, checked configuration from what Hydra composed. Raises BadInput."""
    unknown = [str(key) for key in node if key not in _SCHEMA and key != "hydra"]
    if unknown:
        raise BadInput(
            f"a file of conf/ sets unknown keys: {', '.join(unknown)}; the keys are {', '.join(map(str, _SCHEMA))}. "
            "A file of conf/sweep/ or conf/preset/ begins with '# @package _global_'"
        )
    _refuse_interpolations(node)
    values = {str(key): node[key] for key in _SCHEMA}
    return _frozen({key: escaped(value) if isinstance(value, str) else value for key, value in values.items()})


def config_with(config: Config, node: DictConfig) -> Config:
    """The configuration with the sections of a node in place of its own. Raises BadInput."""
    try:
        sections = OmegaConf.to_object(OmegaConf.merge(OmegaConf.masked_copy(_SCHEMA, list(node)), node))
    except OmegaConfBaseException as error:
        raise BadInput(str(error).splitlines()[0]) from None
    return replace(config, **sections)  # type: ignore[arg-type]


def config_from_plain(plain: dict[str, Any]) -> Config:
    """A frozen, checked configuration from the result of `config_to_plain`, perhaps by an earlier version.

    Raises BadInput.
    """
    return _frozen(escaped(complete(plain)))


def _frozen(values: dict[str, Any]) -> Config:
    try:
        config = OmegaConf.to_object(OmegaConf.merge(_SCHEMA, values))
    except OmegaConfBaseException as error:
        raise BadInput(str(error).splitlines()[0]) from None
    assert isinstance(config, Config)
    return config


def config_to_plain(config: Config) -> dict[str, Any]:
    """The configuration as plain types; members of Enums become their names."""
    return dict(msgspec.to_builtins(asdict(config)))


def escaped(value: Any) -> Any:
    """The value with its text, at any depth, escaped so that OmegaConf reads each `${` as text."""
    escape = re.compile(r"(\\*)\$\{")
    return mapped(lambda item: escape.sub(r"\1\1\\${", item) if isinstance(item, str) else item, value)


def _refuse_interpolations(node: DictConfig) -> None:
    """Raise BadInput for an interpolation, such as of an environment variable: records keep values."""
    written = OmegaConf.to_container(node, resolve=False, throw_on_missing=False)
    for name, value in _leaves({key: item for key, item in written.items() if key not in HERE}):  # type: ignore[union-attr]
        if isinstance(value, str) and INTERPOLATION.search(value):
            raise BadInput(f"{name}={value} is an interpolation: write out its value; the text ${{ is written \\${{")


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value within dictionaries and lists, with its dotted key."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield name, value
        return
    for key, item in items:
        yield from _leaves(item, f"{name}.{key}" if name else str(key))


def _thaw(node: DictConfig) -> None:
    """Remove the read-only flag that a frozen dataclass sets. `to_object` still returns frozen values."""
    OmegaConf.set_readonly(node, None)
    for key in node:
        if isinstance(node[key], DictConfig):
            _thaw(node[key])


_SCHEMA = schema()  # merging copies it
