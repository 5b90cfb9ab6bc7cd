"""first_seed: a study trains first_seed, first_seed + 1 and so on, from plan to report, and nothing else changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from corpora import composed, fixture_plan
from records import a_run, a_study, some_runs, write_records

from ablate.analysis.effects import halved
from ablate.config import BadInput
from ablate.data.corpus import Corpus
from ablate.plan.composition import plan
from ablate.records.collect import collect
from ablate.records.read import read_records
from ablate.report.evidence import planned_seeds
from ablate.report.render import build
from ablate.store.folders import Store
from ablate.store.study_file import study_from, study_to_plain
from ablate.study import HALVES

STUDY = {"name": "mine", "question": "Does it matter?", "baseline": "a", "variants": {"a": {}, "b": {"model.heads": 2}}}


@pytest.mark.parametrize("name", ["norm_placement", "warmup", "aa"])
def test_seeds_begin_at_the_first_and_nothing_else_is_another(name: str) -> None:
    usual, later = fixture_plan(f"+sweep={name}"), fixture_plan(f"+sweep={name}", "first_seed=1")
    assert later.setting == usual.setting
    assert {spec.seed for spec in later.runs} == {spec.seed + 1 for spec in usual.runs}
    ids = [{(spec.cell, spec.seed): spec.id for spec in each.runs} for each in (usual.with_seeds(4), later)]
    assert ids[1].items() <= ids[0].items()


def test_more_seeds_begin_at_the_first_too() -> None:
    found = fixture_plan("+sweep=norm_placement", "first_seed=100").with_seeds(5)
    assert [spec.seed for spec in found.runs] == [*range(100, 105)] * 2


@pytest.mark.parametrize(("words", "first"), [((), 7), (("first_seed=0",), 0), (("first_seed=3",), 3)])
def test_the_command_line_goes_before_the_study(words: tuple[str, ...], first: int) -> None:
    def with_study(overrides: list[str]) -> Any:
        node = composed(overrides)
        node.study = {**STUDY, "first_seed": 7}
        return node

    found = plan(with_study, ["data=fixture", "preset=smoke", *words])
    assert (found.config.first_seed, min(spec.seed for spec in found.runs)) == (first, first)


@pytest.mark.parametrize("seed", [-1, 1.5, "ten", True, 10**7])
def test_a_first_seed_that_makes_no_sense_gets_a_line(seed: Any) -> None:
    with pytest.raises(BadInput, match="first_seed"):
        study_from({**STUDY, "first_seed": seed})


def test_a_study_is_written_as_it_is_read() -> None:
    study = study_from({**STUDY, "first_seed": 100})
    assert study_from(study_to_plain(study)) == study
    assert "first_seed" not in study_to_plain(study_from(STUDY))


def test_the_halves_of_a_study_of_one_variant_are_counted_from_the_first_seed() -> None:
    study = a_study(("baseline",))
    runs = [a_run(study, "baseline", seed) for seed in range(10, 16)]
    found = [(run["variant"], run["pair"], run["seed"]) for run in halved(runs, 6, 10)]
    assert found == [(HALVES[place // 3], 10 + place % 3, 10 + place) for place in range(6)]


def test_records_say_where_seeds_began_and_so_does_the_report(tmp_path: Path) -> None:
    found = fixture_plan("+sweep=aa", "first_seed=100")
    folder = collect(Store(tmp_path), found, {found.corpus: Corpus.load(found.corpus)})
    assert json.loads((folder / "manifest.json").read_text())["first_seed"] == 100
    data = read_records(folder)
    assert [run["pair"] for run in data.runs] == [100, 100]
    assert planned_seeds(data).agrees
    text = (build(tmp_path, "aa", folder.name) / "report.md").read_text()
    assert "(from 100 up)" in text


def test_seeds_that_are_not_those_of_the_manifest_are_named(tmp_path: Path) -> None:
    study = a_study()
    runs = some_runs(study, 3)
    assert planned_seeds(read_records(write_records(tmp_path / "right", study, runs))).agrees
    found = planned_seeds(read_records(write_records(tmp_path / "wrong", study, runs, first_seed=1)))
    assert (found.recorded, found.found) == ("1 to 3", "0 to 2")
