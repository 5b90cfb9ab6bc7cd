"""Configurations as Hydra composes them and as JSON keeps them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from enum import Enum
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ablate.config import BadInput, Config

HERE = ("root", "hydra")  # what says where, which no record keeps
INTERPOLATION = re.compile(r"(?<!\\)(?:\\\\)*\$\{")  # a ${ that OmegaConf takes for more than text


def schema() -> DictConfig:
    """The types and defaults of `Config` for Hydra to merge files and overrides into."""
    node = OmegaConf.structured(Config)
    _thaw(node)
    return node


def config_from(node: DictConfig) -> Config:
    """What Hydra composed, checked and frozen. Raises BadInput."""
    unknown = [str(key) for key in node if key not in _SCHEMA and key != "hydra"]
    if unknown:
        raise BadInput(
            f"a file of conf/ says {', '.join(unknown)}, which is no key; there are {', '.join(map(str, _SCHEMA))}. "
            "A file of conf/sweep/ or conf/preset/ begins with '# @package _global_'"
        )
    _refuse_interpolations(node)
    values = {str(key): node[key] for key in _SCHEMA}
    return _frozen({key: escaped(value) if isinstance(value, str) else value for key, value in values.items()})


def config_from_plain(plain: dict[str, Any]) -> Config:
    """What `config_to_plain` gave, checked and frozen. Raises BadInput."""
    return _frozen(escaped(plain))


def _frozen(values: dict[str, Any]) -> Config:
    try:
        config = OmegaConf.to_object(OmegaConf.merge(_SCHEMA, values))
    except OmegaConfBaseException as error:
        raise BadInput(str(error).splitlines()[0]) from None
    assert isinstance(config, Config)
    return config


def config_to_plain(config: Config) -> dict[str, Any]:
    """Plain types only; an Enum's member by its name."""
    plain = _named(asdict(config))
    assert isinstance(plain, dict)
    return plain


def _named(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _named(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_named(item) for item in value]
    return value.name if isinstance(value, Enum) else value


def escaped(value: Any) -> Any:
    """The value, however deep, with its text written such that OmegaConf takes each `${` for text."""
    if isinstance(value, dict):
        return {key: escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [escaped(item) for item in value]
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", value) if isinstance(value, str) else value


def _refuse_interpolations(node: DictConfig) -> None:
    """Raise BadInput for a value that stands for another, such as an environment variable: records keep values."""
    written = OmegaConf.to_container(node, resolve=False, throw_on_missing=False)
    for name, value in _leaves({key: item for key, item in written.items() if key not in HERE}):  # type: ignore[union-attr]
        if isinstance(value, str) and INTERPOLATION.search(value):
            raise BadInput(f"{name}={value} stands for another value: write it out; the text ${{ is written \\${{")


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value within dictionaries and lists, with its dotted key."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield name, value
        return
    for key, item in items:
        yield from _leaves(item, f"{name}.{key}" if name else str(key))


def _thaw(node: DictConfig) -> None:
    """Remove the read-only flag that a frozen dataclass sets. `to_object` returns frozen values nevertheless."""
    OmegaConf.set_readonly(node, None)
    for key in node:
        if isinstance(node[key], DictConfig):
            _thaw(node[key])


_SCHEMA = schema()  # merging copies it
