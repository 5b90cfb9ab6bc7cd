"""From a command line to a plan: compose and check the study's cells, and list their runs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ablate.config import (
    READ_BY,
    READS,
    TUNABLE,
    BadInput,
    Config,
    DataConfig,
    ModelConfig,
    Until,
    check_name,
    reads,
)
from ablate.data.prepare import fingerprint
from ablate.plan.arguments import override_keys, parse
from ablate.plan.matching import twins
from ablate.plan.naming import check_encoding, setting_name
from ablate.plan.quoting import GROUPS, literal, quoted, typed
from ablate.plan.rates import TunedSetting, overrides_of, taken
from ablate.plan.runs import runs_of
from ablate.plan.tuned_grid import tuned_grid
from ablate.store.crossing import crossed, levels_from
from ablate.store.ids import RunSpec
from ablate.store.plain import config_from, config_with, escaped
from ablate.store.study_checks import check_study
from ablate.store.study_file import grid_to_plain, study_from
from ablate.study import Cell, Pairs, Study, matched_in, name_without
from ablate.system.places import expanded

Compose = Callable[[list[str]], DictConfig]
Find = Callable[[Path, str], TunedSetting]  # (root, the value of rates=)


@dataclass(frozen=True)
class Plan:
    """Everything that a command is going to do."""

    study: Study  # with the levels of this preset, and the additions of match=, across=, tune= and rates=
    declared: Study  # as in its file
    setting: str
    config: Config  # of the baseline
    cells: list[Cell]
    configs: dict[str, Config]  # cell -> resolved configuration
    runs: list[RunSpec]
    overrides: list[str]  # as on the command line
    corpora: dict[DataConfig, str]  # recipe -> fingerprint
    added: dict[str, Any] = field(default_factory=dict)  # by across=, match=, tune= and rates=, for the manifest
    preset: Config = field(default_factory=Config)  # without what the study and the command line set

    def with_seeds(self, seeds: int) -> Plan:
        """The same study with another number of seeds."""
        config = replace(self.config, seeds=seeds)
        runs = runs_of(self.study, self.setting, self.configs, seeds_of(config), self.corpora)
        return replace(self, config=config, runs=runs)

    def refined(self, points: Mapping[str, Sequence[Mapping[str, float]]]) -> Plan:
        """The same study with more points of what is tuned (`Study.refine`)."""
        study = self.study.refine(points)
        alike = {name_without(cell, *study.searched): self.configs[cell.name] for cell in self.cells}
        configs, cells = dict(self.configs), study.cells()
        for cell in cells:
            if cell.name not in configs:
                config = alike[name_without(cell, *study.searched)]
                values = {name: cell.factors[name] for name in study.searched}  # names of keys of `optim` too
                configs[cell.name] = replace(config, optim=replace(config.optim, **values))
        runs = runs_of(study, self.setting, configs, seeds_of(self.config), self.corpora)
        added = {**self.added, "refined": {cell: [*each] for cell, each in points.items()}}
        return replace(self, study=study, cells=cells, configs=configs, runs=runs, added=added)

    @property
    def corpus(self) -> str:
        """Fingerprint of the baseline's corpus."""
        return self.corpora[self.config.data]


def plan(compose: Compose, arguments: Sequence[str], find: Find | None = None) -> Plan:
    """Compose and check every cell. `find` reads the records that rates= names. Raises BadInput."""
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
            raise BadInput(f"{key} cannot be set on the command line, because the study {study.name} varies it")
    sizes = [f"{key}={quoted(value)}" for key, value in study.size(first.preset).items()]
    sizes += [f"first_seed={study.first_seed}"] if study.first_seed else []
    selections = [argument for argument, key in zip(typed_arguments, keys) if key in GROUPS]  # these name a setting
    levels = levels_from(first.across if across is None else across.value())
    for key in keys:
        if key in levels:
            raise BadInput(f"{key} cannot be set on the command line, because across= varies it")

    composed = compose([*sizes, *arguments])
    base = replace(config_from(composed), across=levels or None)
    default = config_from(compose([*sizes, *selections]))
    groups = [argument for argument in selections if not argument.lstrip("+").startswith("sweep=")]
    preset = config_from(compose(groups)) if sizes else default
    setting = setting_name(base, default)
    check_encoding(f"{study.name}/{setting}")
    check_halves(study, base)
    study, added = enlarged(study, base, composed, keys, find)
    cells = study.cells()
    configs = {cell.name: cell_config(base, composed, cell) for cell in cells}
    check_read(cells, configs, keys)
    recipes = dict.fromkeys([base.data, *(config.data for config in configs.values())])
    sizes_of_test = {
        "data.test_sentences": {recipe.test_sentences for recipe in recipes},
        "evaluation.loss_sentences": {config.evaluation.loss_sentences for config in (base, *configs.values())},
    }
    for key, values in sizes_of_test.items():
        if len(values) > 1:
            raise BadInput(f"the study {study.name} varies {key}: variants are scored on the same sentences")
    corpora = {recipe: fingerprint(recipe) for recipe in recipes}
    runs = runs_of(study, setting, configs, seeds_of(base), corpora)
    check_distinct(runs, cells)
    overrides = [typed(argument) for argument in typed_arguments]
    return Plan(study, declared, setting, base, cells, configs, runs, overrides, corpora, added, preset)


def seeds_of(config: Config) -> range:
    """The seeds of every cell."""
    return range(config.first_seed, config.first_seed + config.seeds)


def without_across(arguments: list[str]) -> tuple[list[str], Override | None]:
    """The arguments without `across=`, and that override. It replaces the study's own; Hydra would merge the two."""
    given = None
    rest = []
    for argument, override in zip(arguments, parse(arguments)):
        if override.key_or_group == "across":
            given = override
        else:
            rest.append(argument)
    return rest, given


def cell_config(base: Config, composed: DictConfig, cell: Cell) -> Config:
    """A cell's configuration: that of all, with the sections that it changes. Raises BadInput that names the cell.

    Composing it anew would take far longer, which is felt where there are many cells.
    """
    sections = {key.partition(".")[0] for key in cell.overrides}
    try:
        return config_with(base, changed(OmegaConf.masked_copy(composed, list(sections)), cell.overrides))
    except BadInput as error:
        raise BadInput(f"{cell.name}: {error}") from None


def enlarged(
    study: Study, config: Config, composed: DictConfig, keys: Sequence[str], find: Find | None
) -> tuple[Study, dict[str, Any]]:
    """The study with the additions of across=, match=, tune= and rates=, and these for the manifest. Raises BadInput.

    `keys` are those that the command line sets.
    """
    added: dict[str, Any] = {}

    def configs() -> dict[str, Config]:
        return {cell.name: cell_config(config, composed, cell) for cell in study.cells()}

    if config.across:
        added["across"] = config.across
        study = crossed(study, config.across)
    if config.matched:
        found = twins(study, configs(), config.matched)
        added |= {"twins": found.variants, **({"twin_cells": found.cells} if found.cells else {})}
        study = study.twinned(found.variants, found.cells)
    if config.tuned:
        check_not_varied(study, {name: TUNABLE[name] for name in config.tuned}, f"tune={'+'.join(config.tuned)}")
        grid = tuned_grid(study, config)
        added["grid"] = grid_to_plain(grid)
        study = study.tuned(grid)
    if config.rates is not None:
        assert find is not None
        rates = taken(study, configs(), find(expanded(config.root, "root"), config.rates))
        sets = {TUNABLE[name] for values in rates.cells.values() for name in values}
        check_not_varied(study, {key.rpartition(".")[2]: key for key in sets}, f"rates={config.rates}")
        for key in sorted(sets & {*keys}):
            raise BadInput(f"{key} cannot be set on the command line, because rates={config.rates} sets it")
        added["rates"] = rates
        study = study.with_values(overrides_of(rates))
    return study, added


def check_not_varied(study: Study, keys: Mapping[str, str], what: str) -> None:
    """Raise BadInput if a study varies one of these keys itself, or has a factor of one of these names."""
    for name, key in keys.items():
        if key in study.varied() or name in study.factors:
            raise BadInput(f"{what}: the study {study.name} varies {key} itself")


def check_halves(study: Study, config: Config) -> None:
    """Raise BadInput if a study that compares the halves of its seeds cannot be split into two fixed halves."""
    if study.pairs is not Pairs.halves:
        return
    what = f"the study {study.name} compares two halves of one variant's seeds"
    if config.seeds % 2:
        raise BadInput(f"seeds={config.seeds}: {what}; give an even number")
    if config.tuned or config.until is not Until.none or config.across:
        raise BadInput(f"{what}: it takes no tune=, across= or until=")


def changed(composed: DictConfig, overrides: dict[str, Any]) -> DictConfig:
    """The composed configuration with these overrides. Raises BadInput that names the key."""
    node = copy.deepcopy(composed)
    for key, value in overrides.items():
        try:
            OmegaConf.update(node, key, escaped(value))
        except OmegaConfBaseException as error:
            raise BadInput(f"{key}={value}: {str(error).splitlines()[0]}") from None
    return node


def check_read(cells: list[Cell], configs: dict[str, Config], keys: Sequence[str]) -> None:
    """Raise BadInput if a key is set that the choices of its section do not read, because it would change nothing."""
    uses = [(f"variant {cell.name} sets {key}", key, [configs[cell.name]]) for cell in cells for key in cell.overrides]
    uses += [(f"{key} is set", key, [*configs.values()]) for key in keys]
    for what, key, users in uses:
        name, _, inner = key.partition(".")
        sections = [getattr(config, name) for config in users] if inner else []
        if sections and not any(reads(section, name, inner) for section in sections):
            raise BadInput(f"{what}, which {not_read(sections[0], name, key)}")


def not_read(section: Any, name: str, key: str) -> str:
    """Why a section does not read a key, and what would read it."""
    if isinstance(section, ModelConfig):
        known = ", ".join(f"model.{each}" for each in sorted(READS[section.architecture] or ()))
        return f"model.architecture={section.architecture} does not read; it reads {known}"
    choice, readers = READ_BY[key]
    return f"{name}.{choice}={getattr(section, choice)} does not read; {name}.{choice}={', '.join(readers)} does"


def check_distinct(runs: list[RunSpec], cells: list[Cell]) -> None:
    """Raise BadInput if two cells have the same runs, because their difference would show nothing.

    Twins of a variant that are matched in two ways may be the same.
    """
    twins = {cell.name for cell in cells if matched_in(cell.variant)}
    seen: dict[str, str] = {}
    for spec in runs:
        other = seen.setdefault(spec.evaluation, spec.cell)
        if other != spec.cell and not {other, spec.cell} <= twins:
            what = f"variants {other} and {spec.cell} are the same runs here"
            raise BadInput(f"{what}; each must change how a model is trained or evaluated")
