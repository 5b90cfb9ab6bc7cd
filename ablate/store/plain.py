"""Configurations as Hydra composes them and as JSON keeps them."""

from __future__ import annotations

import re
from dataclasses import asdict
from enum import Enum
from typing import Any

from omegaconf import Container, DictConfig, ListConfig, OmegaConf
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


def evaluation_of(config: Config) -> dict[str, Any]:
    """What run.json keeps of an evaluation: its section, and the size of a test set that is chosen from a pool."""
    plain = config_to_plain(config)
    size = {"test_sentences": config.data.test_sentences} if config.data.held_out is not None else {}
    return {**plain["evaluation"], **size}


def evaluated(plain: dict[str, Any], evaluation: dict[str, Any]) -> Config:
    """The configuration of a run with another evaluation, as `evaluation_of` gave it. Raises BadInput."""
    size = {key: value for key, value in evaluation.items() if key == "test_sentences"}
    section = {key: value for key, value in evaluation.items() if key not in size}
    return config_from_plain({**plain, "data": {**plain["data"], **size}, "evaluation": section})


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


def _refuse_interpolations(node: Container, above: str = "") -> None:
    """Raise BadInput for what stands for another value, the environment's among them: records keep what is written."""
    keys = node if isinstance(node, DictConfig) else range(len(node)) if isinstance(node, ListConfig) else ()
    for key in [] if node._is_none() or node._is_missing() else list(keys):
        name = f"{above}.{key}" if above else str(key)
        if name in HERE:
            continue
        child = node._get_node(key)
        value = child._value() if child is not None and child._is_interpolation() else ""  # type: ignore[union-attr]
        if INTERPOLATION.search(str(value)):
            raise BadInput(f"{name}={value} stands for another value: write it out; the text ${{ is written \\${{")
        if isinstance(child, Container):
            _refuse_interpolations(child, name)


def _thaw(node: Container) -> None:
    """Lift the read-only flag that a frozen dataclass sets; `to_object` gives frozen values all the same."""
    node._set_flag("readonly", None)
    if isinstance(node, DictConfig):
        for key in node:
            child = node._get_node(key)
            if isinstance(child, Container):
                _thaw(child)


_SCHEMA = schema()  # merging copies it
