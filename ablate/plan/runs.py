"""The runs of a study: the training and the evaluation of each cell and seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter

from ablate.config import BadInput, Config, DataConfig
from ablate.store.ids import RunSpec, all_but_the_seed, id_of_scores, id_of_seed, scoring
from ablate.study import Cell, Study


def runs_of(
    study: Study, setting: str, configs: dict[str, Config], seeds: Sequence[int], corpora: dict[DataConfig, str]
) -> list[RunSpec]:
    """Every seed of every cell, in the study's order. `configs` are those of the cells. Raises BadInput."""
    teachers = teachers_of(study, configs)
    found: dict[tuple[str, int], RunSpec] = {}
    for cell in teachers:
        config = configs[cell]
        corpus = corpora[config.data]
        shared, scored = all_but_the_seed(config, corpus), scoring(config)
        for seed in seeds:
            parents = tuple(found[teacher, seed].id for teacher in teachers[cell])
            training = id_of_seed(shared, seed, parents)
            evaluation = id_of_scores(scored, training)
            found[cell, seed] = RunSpec(training, evaluation, study.name, setting, cell, seed, config, corpus, parents)
    return [found[cell.name, seed] for cell in study.cells() for seed in seeds]


def teachers_of(study: Study, configs: dict[str, Config]) -> dict[str, list[str]]:
    """Cell -> the cells that it learns from: at its own levels of the factors. Teachers come before their students."""
    teachers = {cell.name: list(named_teachers(study, cell, configs[cell.name])) for cell in study.cells()}
    try:
        return {cell: teachers[cell] for cell in TopologicalSorter(teachers).static_order()}
    except CycleError as error:
        raise BadInput(f"train.teacher: {' learns from '.join(reversed(error.args[1]))}, a cycle") from None


def named_teachers(study: Study, cell: Cell, config: Config) -> Iterator[str]:
    teacher = config.train.teacher
    if teacher is None:
        return
    if teacher not in study.variants:
        raise BadInput(
            f"train.teacher={teacher} of {cell.name} is not a variant of this study: {', '.join(study.variants)}"
        )
    yield teacher + cell.name.removeprefix(cell.variant)
