"""across=: a study crossed with levels of keys that it does not vary itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from corpora import composed, fixture_plan
from forks import QUICK, ablate
from records import a_run, a_study, write_records
from short import sometimes

from ablate.cli import CONF
from ablate.config import BadInput
from ablate.plan.composition import plan
from ablate.plan.matching import inner_parameters
from ablate.records.read import read_records
from ablate.report.levels import places
from ablate.store.crossing import crossed, factor_names, levels_from
from ablate.study import WITHIN, Study

SMOKE = ["data=fixture", "preset=smoke"]
STUDIES = sorted(path.stem for path in CONF.glob("sweep/*.yaml") if path.stem != "aa")


LEVELS = ["{optim.beta2:[0.9,0.98]}", "{optim.clip:[1,2],train.label_smoothing:[0,0.1,0.2]}"]


def levels_of(study: Study) -> dict[str, list]:
    return {name: [*levels] for name, levels in study.factors.items()}


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("across", sometimes(LEVELS, LEVELS[0]))
def test_every_study_is_crossed_with_every_combination_of_levels(name: str, across: str) -> None:
    plain, found = (plan(composed, [*SMOKE, f"+sweep={name}", *more]) for more in ([], [f"across={across}"]))
    keys = yaml.safe_load(across.replace(":", ": "))
    combinations = 1
    for key, levels in keys.items():
        combinations *= len(levels)
        assert levels_of(found.study)[key.rpartition(".")[2]] == levels
    assert len(found.cells) == combinations * len(plain.cells)
    for cell in found.cells:
        section, _, field = next(iter(keys)).partition(".")
        assert getattr(getattr(found.configs[cell.name], section), field) == cell.factors[field]
        assert cell.baseline is None or cell.baseline in found.configs
    tested = [claim for claim in plain.study.claims if claim.parts]
    assert len(found.study.claims) == len(plain.study.claims) + (combinations - 1) * len(tested)
    spoken = {name for claim in found.study.claims for part in claim.parts for name in part.cells}
    before = {name for claim in plain.study.claims for part in claim.parts for name in part.cells}
    there = {cell.name for cell in plain.cells}
    assert len(spoken & {cell.name for cell in found.cells}) == combinations * len(before & there)


def test_a_level_that_is_the_configuration_s_own_value_trains_nothing_again() -> None:
    plain = fixture_plan("+sweep=activation")
    found = fixture_plan("+sweep=activation", "across={train.updates:[60,120]}")
    assert {run.id for run in plain.runs} < {run.id for run in found.runs}


def test_crossing_has_a_setting_of_its_own_whatever_the_order_of_the_levels() -> None:
    def setting(*overrides: str) -> str:
        return plan(composed, [*SMOKE, "+sweep=norm_placement", *overrides]).setting

    assert setting("across={train.updates:[40,20]}") == "fixture-smoke-updates=20+40"
    assert setting("across={train.updates:[20,40]}") == setting("across={train.updates:[40,20]}")
    assert setting("across={model.position:[sinusoidal,none]}") == "fixture-smoke-position=sinusoidal+none"
    tuned = setting("across={train.updates:[20,40]}", "tune=lr", "grid=[0.001]")
    assert tuned == "fixture-smoke-tune=lr,updates=20+40,grid=0.001"
    many = setting("across={train.updates:[" + ",".join(str(10 * level) for level in range(1, 30)) + "]}")
    assert len(many) < 40


NAMES = {
    ("model.d_model",): ["d_model"],
    ("train.updates",): ["train.updates"],  # records have `updates`
    ("optim.lr",): ["lr"],
    ("model.dropout", "train.dropout"): ["model.dropout", "train.dropout"],
    ("precision",): ["precision_level"],  # a key without a section, and that of a run's record
    ("model.layers", "model.heads"): ["layers", "heads"],
}


@pytest.mark.parametrize("keys", NAMES, ids=str)
def test_a_factor_is_named_after_the_last_part_of_its_key_unless_that_is_taken(keys: tuple[str, ...]) -> None:
    assert list(factor_names(a_study(), {key: [] for key in keys}).values()) == NAMES[keys]


def test_a_factor_whose_name_the_study_has_is_named_after_the_whole_key() -> None:
    study = a_study(factors={"layers": {1: {"model.heads": 1}, 2: {"model.heads": 2}}})
    assert [*crossed(study, {"model.layers": [1, 2]}).factors] == ["layers", "model.layers"]


REFUSED = {
    "3": "should be {KEY: ",
    "[1]": "should be {KEY: ",
    "{}": "should be {KEY: ",
    "{train.updates:5}": "train.updates needs a list of levels",
    "{train.updates:[]}": "train.updates needs a list of levels",
    "{train.updates:[[1]]}": "a level is one number, word or null",
    "{train.updates:[{a:1}]}": "a level is one number, word or null",
    "{train.updates:[20,20]}": "train.updates has the level 20 twice",
    "{train.updates:[20,'20']}": "train.updates has the level 20 twice",
    "{optim.clip:[1,1.0]}": "optim.clip has the level 1 twice",
    "{train.updates:[20,many]}": "train.updates=many",
    "{train.updates:[20,-1]}": r"train.updates=-1 is out of range",
    "{model.position:[sinusoidal,magic]}": "model.position=magic is unknown; it may be sinusoidal, none",
    "{model.d_model:[32,33]}": "model.d_model=33 is odd",
    "{model.colour:[red]}": "there is no key model.colour",
    "{seeds:[1,2]}": "across cannot set seeds; it may set keys of model",
    "{diagnostics.times:[1,2]}": "across cannot set diagnostics.times",
    "{data.test_sentences:[1,2]}": "varies data.test_sentences",
    "{model.activation:[relu,gelu]}": "the study activation varies model.activation itself",
}


@pytest.mark.parametrize("across", REFUSED)
def test_levels_that_make_no_sense_are_refused_in_a_line_that_names_the_key(across: str) -> None:
    with pytest.raises(BadInput, match=REFUSED[across]) as error:
        plan(composed, [*SMOKE, "+sweep=activation", f"across={across}"])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        (["+sweep=aa", "across={train.updates:[20,40]}"], "two halves"),
        (["+sweep=activation", "across={train.updates:[20,40]}", "train.updates=30"], "because across= varies it"),
        (["+sweep=activation", "across={optim.lr:[0.1,0.2]}", "tune=lr"], "varies optim.lr itself"),
        (["+sweep=residual", "across={train.updates:[20,40]}"], "residual varies train.updates itself"),
        (["+sweep=activation", "model.architecture=lstm", "across={model.heads:[1,2]}"], "does not read"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_crossed_together_is_refused(overrides: list[str], why: str) -> None:
    with pytest.raises(BadInput, match=why):
        plan(composed, [*SMOKE, *overrides])


@pytest.mark.parametrize("across", sometimes(["{model.layers:[1,2]}", "{model.heads:[1,4]}"], "{model.heads:[1,4]}"))
def test_twins_are_of_the_baselines_size_at_every_level(across: str) -> None:
    found = plan(composed, ["data=fixture", "+sweep=ffn_ratio", "match=parameters", f"across={across}"])
    twins = [cell for cell in found.cells if "matched" in cell.variant]
    assert len({level for cell in twins for level in cell.factors.values()}) == 2
    for cell in twins:
        twin, baseline = (inner_parameters(found.configs[name].model) for name in (cell.name, str(cell.baseline)))
        assert abs(twin / baseline - 1) <= WITHIN


def own_study(folder: Path) -> str:
    (folder / "sweep").mkdir()
    (folder / "sweep" / "own.yaml").write_text(
        "# @package _global_\nacross: {model.layers: [1, 2], optim.clip: [1, 2]}\nstudy:\n  name: own\n"
        "  question: Does it matter?\n  baseline: pre\n  variants: {pre: {}, post: {model.norm_placement: post}}\n"
    )
    return f"--config-dir={folder}"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], "fixture-smoke-layers=1+2,clip=1+2"),
        (["across={train.updates:[20,40]}"], "fixture-smoke-updates=20+40"),  # replaces that of the file
        (["across={model.layers:[1,3]}"], "fixture-smoke-layers=1+3"),
        (["across=null"], "fixture-smoke"),
    ],
    ids=str,
)
def test_the_command_line_replaces_what_the_study_s_file_crosses(
    given: list[str], expected: str, tmp_path: Path
) -> None:
    command = ablate("+sweep=own", *SMOKE, *given, "dry_run=true", f"root={tmp_path}", own_study(tmp_path))
    assert command.returncode == 0, command.stderr
    assert f"{expected}:" in command.stdout


ACROSS = {"train.updates": [20, 40], "model.head_width": [None, 4], "model.position": ["sinusoidal", "none"]}


def test_records_give_the_cells_of_their_plan_again(tmp_path: Path) -> None:
    study = a_study(("a", "b"), factors={"depth": {1: {"model.layers": 1}, 2: {"model.layers": 2}}})
    levels = levels_from(ACROSS)
    whole = crossed(study, levels).tuned([0.001, 0.002])
    runs = [a_run(whole, cell.name, seed) for cell in whole.cells() for seed in range(2)]
    found = read_records(write_records(tmp_path, study, runs, across=levels, grid=[0.001, 0.002]))
    assert found.cells == whole.cells()
    assert found.study.claims == whole.claims
    assert list(found.frame["head_width"].unique()) == ["null", 4]


@pytest.mark.long
def test_a_crossed_study_runs_and_its_report_holds(tmp_path: Path) -> None:
    across = "across={train.updates:[10,20,40]}"
    command = ablate("+sweep=norm_placement", *SMOKE, across, "seeds=2", *QUICK, f"root={tmp_path}", figures=True)
    assert command.returncode == 0, command.stderr
    folder = Path(command.stdout.splitlines()[-1])
    manifest = json.loads((tmp_path / "experiments" / folder.parent.name / folder.name / "manifest.json").read_text())
    assert manifest["across"] == {"train.updates": [10, 20, 40]}
    assert manifest["command"].endswith(f"'{across}' seeds=2")
    assert "train.updates is 10, 20 and 40 in turn" in (folder / "report.md").read_text()
    assert {path.stem for path in folder.glob("figures/*.png")} >= {"over_factor", "interaction", "learning_curves"}
    verified = ablate("--verify", f"root={tmp_path}", module="ablate.report", figures=True)
    assert verified.returncode == 0, verified.stdout + verified.stderr


PLACES = {
    (1000, 4000, 16000): [0, 1, 2],
    (16, 32, 64, 128): [0, 1, 2, 3],
    (1, 2, 3): [0, 1, 2],
    (0, 10, 100): [0, 1, 2],  # zero has no logarithm
    (2, 12, 100): [0, 0.916, 2],
    (1, 1.01, 100): [0, 1, 2],  # the first two would fall together
    (5, 7): [0, 1],
}


@pytest.mark.parametrize("levels", PLACES, ids=str)
def test_levels_that_grow_by_factors_stand_by_their_logarithms(levels: tuple[float, ...]) -> None:
    assert places(levels) == pytest.approx(PLACES[levels], abs=0.001)
