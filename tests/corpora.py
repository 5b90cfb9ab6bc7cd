"""Plans on the handwritten corpus, composed as the command composes them."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from ablate.cli import CONF
from ablate.data.prepare import prepare
from ablate.plan.composition import Plan, plan
from ablate.store.plain import schema


def composed(overrides: list[str]) -> DictConfig:
    """What Hydra makes of these overrides. It is asked once, since composing takes most of the time of a plan."""
    return deepcopy(composed_once(tuple(overrides)))


@cache
def composed_once(overrides: tuple[str, ...]) -> DictConfig:
    ConfigStore.instance().store("schema", schema())
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=list(overrides))


def fixture_plan(*overrides: str) -> Plan:
    """A smoke-sized plan on the fixture corpus, which is prepared. Seeds begin at 0 if none says otherwise."""
    first = [] if any(override.startswith("first_seed=") for override in overrides) else ["first_seed=0"]
    planned = plan(composed, ["data=fixture", "preset=smoke", *first, *overrides])
    prepare(planned.config.data, lambda line: None)
    return planned


def in_this_process(task: str, function: Callable[..., Any], *arguments: Any, say: Callable[[str], None]) -> Any:
    """What stands in for `run_in_child` where this process is watched or changed."""
    return function(*arguments, say)
