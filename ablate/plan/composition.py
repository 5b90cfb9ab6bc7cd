"""From a command line to a plan: compose, check and name the study's cells, and list their runs."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ablate.config import (
    READ_BY,
    READS,
    BadInput,
    Config,
    DataConfig,
    Match,
    ModelConfig,
    Tune,
    Until,
    check_name,
    reads,
)
from ablate.data.prepare import fingerprint
from ablate.plan.arguments import override_keys, parse
from ablate.plan.matching import twins
from ablate.plan.quoting import GROUPS, literal, quoted, typed
from ablate.plan.runs import runs_of
from ablate.store.crossing import crossed, levels_from
from ablate.store.ids import RunSpec, digest
from ablate.store.plain import config_from, escaped
from ablate.store.study_checks import check_study
from ablate.store.study_file import study_from
from ablate.study import RATE, RATE_KEY, Cell, Pairs, Study

Compose = Callable[[list[str]], DictConfig]

DETERMINANTS = ("model", "optim", "train", "data", "evaluation")  # sections that determine a result
NAMES = ("name", "loader", "path")  # of a corpus: a result depends on its content, not on these
LONGEST_SUFFIX = 60  # characters


@dataclass(frozen=True)
class Plan:
    """Everything that a command will do, before it does anything."""

    study: Study  # with its factors' levels of this preset, and what match=, across= and tune= add
    declared: Study  # as its file has it
    setting: str
    config: Config  # of the baseline
    cells: list[Cell]
    configs: dict[str, Config]  # cell -> resolved configuration
    runs: list[RunSpec]
    overrides: list[str]  # as on the command line
    corpora: dict[DataConfig, str]  # recipe -> fingerprint
    added: dict[str, Any] = field(default_factory=dict)  # what across=, match= and tune= added, for the manifest
    preset: Config = field(default_factory=Config)  # without what the study and the command line set

    def with_seeds(self, seeds: int) -> Plan:
        """The same study with another number of seeds."""
        config = replace(self.config, seeds=seeds)
        return replace(
            self, config=config, runs=runs_of(self.study, self.setting, self.configs, seeds_of(config), self.corpora)
        )

    @property
    def corpus(self) -> str:
        """Fingerprint of the baseline's corpus."""
        return self.corpora[self.config.data]


def plan(compose: Compose, arguments: Sequence[str]) -> Plan:
    """Compose and check every cell. Raises BadInput."""
    arguments = [literal(argument) for argument in arguments]
    keys = override_keys(arguments)
    typed_arguments, (arguments, across) = arguments, without_across(arguments)
    first = config_from(compose(arguments))
    declared = study_from(first.study)
    study = declared.at(first.preset)
    check_study(declared)
    check_name("data.name", first.data.label)
    check_name("preset", first.preset)
    for key in keys:
        if key in study.varied():
            raise BadInput(f"{key} is what the study {study.name} varies, so it cannot be set on the command line")
    sizes = [f"{key}={quoted(value)}" for key, value in study.size(first.preset).items()]
    sizes += [f"first_seed={study.first_seed}"] if study.first_seed else []
    selections = [argument for argument, key in zip(typed_arguments, keys) if key in GROUPS]  # these name a setting
    levels = levels_from(first.across if across is None else across.value())
    for key in keys:
        if key in levels:
            raise BadInput(f"{key} is what across= varies, so it cannot be set on the command line")

    composed = compose([*sizes, *arguments])
    base = replace(config_from(composed), across=levels or None)
    default = config_from(compose([*sizes, *selections]))
    groups = [argument for argument in selections if not argument.lstrip("+").startswith("sweep=")]
    preset = config_from(compose(groups)) if sizes else default
    setting = setting_name(base, default)
    check_encoding(f"{study.name}/{setting}")
    check_halves(study, base)
    study, added = enlarged(study, base, composed)
    cells, configs = study.cells(), {}
    for cell in cells:
        configs[cell.name] = cell_config(composed, cell)  # ten times as fast as composing anew
    check_read(cells, configs, keys)
    recipes = dict.fromkeys([base.data, *(config.data for config in configs.values())])
    if len({recipe.test_sentences for recipe in recipes}) > 1:
        raise BadInput(f"the study {study.name} varies data.test_sentences: variants are scored on the same sentences")
    corpora = {recipe: fingerprint(recipe) for recipe in recipes}
    runs = runs_of(study, setting, configs, seeds_of(base), corpora)
    check_distinct(runs)
    overrides = [typed(argument) for argument in typed_arguments]
    return Plan(study, declared, setting, base, cells, configs, runs, overrides, corpora, added, preset)


def seeds_of(config: Config) -> range:
    """The seeds of every cell."""
    return range(config.first_seed, config.first_seed + config.seeds)


def without_across(arguments: list[str]) -> tuple[list[str], Override | None]:
    """The arguments but `across=`, and that: Hydra would merge it with the study's own, which it replaces."""
    parsed = parse(arguments)
    given = [each for each in parsed if each.key_or_group == "across"]
    rest = [argument for argument, each in zip(arguments, parsed) if each.key_or_group != "across"]
    return rest, given[-1] if given else None


def cell_config(composed: DictConfig, cell: Cell) -> Config:
    """A cell's configuration. Raises BadInput that names the cell."""
    try:
        return config_from(changed(composed, cell.overrides))
    except BadInput as error:
        raise BadInput(f"{cell.name}: {error}") from None


def enlarged(study: Study, config: Config, composed: DictConfig) -> tuple[Study, dict[str, Any]]:
    """The study with what across=, match= and tune= add to it, and that as its manifest keeps it. Raises BadInput."""
    added: dict[str, Any] = {}
    if config.across:
        added["across"] = config.across
        study = crossed(study, config.across)
    if config.match is Match.parameters:
        found = twins(study, {cell.name: config_from(changed(composed, cell.overrides)) for cell in study.cells()})
        added |= {"twins": found.variants, **({"twin_cells": found.cells} if found.cells else {})}
        study = study.twinned(found.variants, found.cells)
    if config.tune is Tune.lr:
        if RATE_KEY in study.varied() or RATE in study.factors:
            raise BadInput(f"tune=lr: the study {study.name} varies {RATE_KEY} itself")
        added["grid"] = sorted({config.optim.lr, *map(float, config.grid or study.grid or around(config.optim.lr))})
        study = study.tuned(added["grid"])
    return study, added


def check_halves(study: Study, config: Config) -> None:
    """Raise BadInput where a study of one variant against itself cannot be split into two fixed halves of its seeds."""
    if study.pairs is not Pairs.halves:
        return
    if config.seeds % 2:
        raise BadInput(
            f"seeds={config.seeds}: the study {study.name} compares two halves of its seeds; give an even number"
        )
    if config.tune is not Tune.none or config.until is not Until.none or config.across:
        raise BadInput(
            f"the study {study.name} compares two halves of one variant's seeds: it takes no tune=, across= or until="
        )


def around(rate: float) -> list[float]:
    """A rate and its neighbours, each the double of the one before."""
    return [float(f"{rate * factor:.6g}") for factor in (0.25, 0.5, 1, 2, 4)]


def changed(composed: DictConfig, overrides: dict[str, Any]) -> DictConfig:
    """The composed configuration with these overrides on top. Raises BadInput that names the key."""
    node = copy.deepcopy(composed)
    for key, value in overrides.items():
        try:
            OmegaConf.update(node, key, escaped(value))
        except OmegaConfBaseException as error:
            raise BadInput(f"{key}={value}: {str(error).splitlines()[0]}") from None
    return node


def check_read(cells: list[Cell], configs: dict[str, Config], keys: Sequence[str]) -> None:
    """Raise BadInput where a key is set that the choices of its section do not read: it would change nothing."""
    wanted = [
        (f"variant {cell.name} sets {key}", key, [configs[cell.name]]) for cell in cells for key in cell.overrides
    ]
    wanted += [(f"{key} is set", key, [*configs.values()]) for key in keys]
    for what, key, concerned in wanted:
        name, _, inner = key.partition(".")
        sections = [getattr(config, name) for config in concerned] if inner else []
        if sections and not any(reads(section, name, inner) for section in sections):
            raise BadInput(f"{what}, which {not_read(sections[0], name, key)}")


def not_read(section: Any, name: str, key: str) -> str:
    """Why a section does not read a key, and what it takes."""
    if isinstance(section, ModelConfig):
        known = ", ".join(f"model.{each}" for each in sorted(READS[section.architecture] or ()))
        return f"model.architecture={section.architecture} does not read; it reads {known}"
    choice, readers = READ_BY[key]
    return f"{name}.{choice}={getattr(section, choice)} does not read; {name}.{choice}={', '.join(readers)} does"


def check_distinct(runs: list[RunSpec]) -> None:
    """Raise BadInput where two cells are the same runs, since nothing can be learnt from their difference."""
    seen: dict[str, str] = {}
    for spec in runs:
        other = seen.setdefault(spec.evaluation, spec.cell)
        if other != spec.cell:
            raise BadInput(
                f"variants {other} and {spec.cell} are the same runs here; each must change how a model is trained or "
                "evaluated"
            )


def setting_name(config: Config, default: Config) -> str:
    """`<data>-<preset>`, and a suffix for every other determinant of the result that was overridden."""
    changed = difference(determinants(config), determinants(default))
    changed |= {key: getattr(config, key) for key in ("tune", "match") if getattr(config, key).name != "none"}
    changed |= {key: "+".join(map(text, levels)) for key, levels in (config.across or {}).items()}
    if config.grid is not None:
        changed["grid"] = "+".join(map(text, sorted(config.grid)))
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
    """Raise BadInput for a folder whose name cannot be written in the system's encoding of file names."""
    try:
        os.fsencode(folder)
    except UnicodeEncodeError as error:
        raise BadInput(f"{folder} names a folder, and file names are {error.encoding} here: set PYTHONUTF8=1") from None


def determinants(config: Config) -> dict[str, Any]:
    """Dotted key -> value, for all that determines a result except the seed and the precision."""
    flat = {
        f"{section}.{key}": value for section in DETERMINANTS for key, value in asdict(getattr(config, section)).items()
    }
    return {key: value for key, value in flat.items() if key not in {f"data.{name}" for name in NAMES}}


def difference(these: dict[str, Any], those: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in these.items() if value != those[key]}


def text(value: Any) -> str:
    """The value of an overridden key as it stands in the name of a setting's folder, such as 0.001 in `lr=0.001`."""
    if value in (None, "null"):
        return "null" if value is None else '"null"'
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)
