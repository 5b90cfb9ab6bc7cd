"""rates=: each variant takes what a tuned setting found best for it, and its report needs that setting no more."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from corpora import composed
from forks import QUICK, ablate
from records import LAYERS, UPDATES, WIDTH, a_run, a_study, write_records

from ablate.config import BadInput
from ablate.plan.composition import Plan, plan
from ablate.plan.rates import OwnBest, TunedSetting, nearest
from ablate.records.tuned_settings import tuned_setting

NAME = "norm_placement/tuned"
PRE, POST = {"lr": 0.004, "warmup": 0.02}, {"lr": 0.002, "warmup": 0.4}


def found_best(*found: OwnBest) -> TunedSetting:
    return TunedSetting(NAME, (0, 1), found)


def planned(tuned: TunedSetting, *words: str, sweep: str = "norm_placement") -> Plan:
    words = ("data=fixture", "preset=smoke", f"+sweep={sweep}", f"rates={NAME}", *words)
    return plan(composed, words, lambda root, name: tuned)


BOTH = found_best(OwnBest("pre", {}, 60, PRE), OwnBest("post", {}, 60, POST, ("warmup",)))


def test_each_variant_takes_its_own_values_and_shares_its_runs_with_studies_at_those() -> None:
    found = planned(BOTH)
    for name, values in (("pre", PRE), ("post", POST)):
        optim = found.configs[name].optim
        assert {"lr": optim.lr, "warmup": optim.warmup} == values
        words = [f"optim.{key}={value}" for key, value in values.items()]
        plain = plan(composed, ["data=fixture", "preset=smoke", "+sweep=norm_placement", *words])
        assert {spec.id for spec in found.runs if spec.cell == name} == {s.id for s in plain.runs if s.cell == name}
    taken = found.added["rates"]
    assert (taken.setting, taken.seeds, taken.edges) == (NAME, [0, 1], {"post": ["warmup"]})


def test_the_setting_is_named_after_where_the_values_come_from() -> None:
    assert planned(BOTH).setting.startswith("fixture-smoke-rates=")
    assert len(planned(BOTH).setting) < 40
    words = ["data=fixture", "preset=smoke", "+sweep=norm_placement", "rates=a/b"]
    other = plan(composed, words, lambda root, name: BOTH)
    assert other.setting != planned(BOTH).setting


BUDGETS = [OwnBest(name, {}, updates, {"lr": updates / 1e4}) for name in ("pre", "post") for updates in (20, 80)]
NEAREST = {10: 20, 20: 20, 40: 20, 80: 80, 320: 80}  # updates -> of those that were tuned


@pytest.mark.parametrize("updates", NEAREST)
def test_a_budget_takes_its_own_values_or_those_of_the_nearest_smaller_one(updates: int) -> None:
    assert nearest(BUDGETS[:2], updates).updates == NEAREST[updates]
    found = planned(found_best(*BUDGETS), f"across={{train.updates:[{updates},1000]}}")
    assert found.configs[f"post,train.updates={updates}"].optim.lr == NEAREST[updates] / 1e4
    assert found.configs["pre,train.updates=1000"].optim.lr == 80 / 1e4
    assert found.added["rates"].updates[f"post,train.updates={updates}"] == NEAREST[updates]


def test_levels_that_were_tuned_take_their_own_values_and_others_the_variants() -> None:
    ways = [OwnBest(name, {"d_model": d}, 60, {"lr": d / 1e4}) for name in ("pre", "post") for d in (16, 32)]
    found = planned(found_best(*ways), "across={model.d_model:[16,32],model.layers:[1,2]}")
    assert {cell.factors["d_model"] / 1e4: 0 for cell in found.cells}.keys() == {
        found.configs[cell.name].optim.lr for cell in found.cells
    }


REFUSED = {
    ("norm_placement", "seeds=1"): (found_best(OwnBest("pre", {}, 60, PRE)), "it did not tune post; it tuned pre"),
    ("norm_placement", "across={model.d_model:[16,64]}"): (
        found_best(*(OwnBest(name, {"d_model": 16}, 60, PRE) for name in ("pre", "post"))),
        "it did not tune pre,d_model=64; it tuned pre,d_model=16",
    ),
    ("norm_placement", "seeds=2"): (
        found_best(*(OwnBest(name, {"depth": 1}, 60, PRE) for name in ("pre", "post"))),
        "it was tuned at levels of depth, which this study lacks",
    ),
    ("norm_placement", "optim.lr=0.1"): (BOTH, "optim.lr cannot be set on the command line, because rates="),
    ("norm_placement", "across={optim.lr:[0.1,0.2]}"): (BOTH, "varies optim.lr itself"),
    ("warmup", "seeds=2"): (BOTH, "the study warmup varies optim.warmup itself"),
    ("norm_placement", "tune=lr"): (BOTH, "takes no tune= beside it"),
}


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_what_cannot_be_taken_is_said_in_a_line(case: tuple[str, str]) -> None:
    sweep, words = case
    tuned, said = REFUSED[case]
    with pytest.raises(BadInput, match=said) as caught:
        planned(tuned, words, sweep=sweep)
    assert "\n" not in str(caught.value)


# --- the records of a tuned setting ---------------------------------------------------------------------------------

GRID = {"lr": [0.002, 0.004], "warmup": [0.02, 0.4]}
CONFIG = {"model": {"layers": LAYERS, "d_model": WIDTH}, "train": {"updates": UPDATES},
          "optim": {"lr": 0.002, "warmup": 0.4}}  # fmt: skip


def write_tuned(root: Path, **more: Any) -> None:
    study = a_study(("pre", "post"))
    whole = study.tuned(GRID)
    best = {"pre": PRE, "post": POST}
    runs = [
        a_run(whole, cell.name, seed, 40.0, config=CONFIG,
              best_validation_loss=1.5 + sum(cell.factors[key] != best[cell.variant][key] for key in GRID))
        for cell in whole.cells()
        for seed in (0, 1)
    ]  # fmt: skip
    write_records(root, study, runs, grid=GRID, config=CONFIG, **more)


def test_records_of_a_tuned_setting_give_its_best_values_with_their_budget_and_edges(tmp_path: Path) -> None:
    write_tuned(tmp_path)
    found = tuned_setting(tmp_path, "toy/synthetic-laptop")
    assert found.seeds == (0, 1)
    assert {each.variant: each.values for each in found.found} == {"pre": PRE, "post": POST}
    assert {each.updates for each in found.found} == {UPDATES}
    assert all(each.edges == ("lr", "warmup") for each in found.found)


def test_a_setting_that_is_not_there_or_was_not_tuned_is_said_with_those_that_were(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="rates=a/b: there are no records of it; no setting was tuned here"):
        tuned_setting(tmp_path, "a/b")
    write_tuned(tmp_path)
    other = a_study(name="plain")
    write_records(tmp_path, other, [a_run(other, cell.name, 0) for cell in other.cells()])
    for name, said in (
        ("toy/none", "there are no records of it"),
        ("../toy/synthetic-laptop", "there are no records of it"),
        ("toy", "there are no records of it"),
        ("plain/synthetic-laptop", "it was not tuned, with tune="),
    ):
        with pytest.raises(BadInput, match=f"{said}; settings that were tuned: toy/synthetic-laptop"):
            tuned_setting(tmp_path, name)


WORDS = ("+sweep=norm_placement", "preset=smoke", "data=fixture", *QUICK)


@pytest.mark.long
def test_a_study_takes_what_was_tuned_and_its_report_is_rebuilt_without_the_tuned_setting(tmp_path: Path) -> None:
    grid = ["tune=[lr,warmup]", "grid={lr:[0.002],warmup:[0.4]}", "train.updates=20", "refine=false"]
    tuned = ablate(*WORDS, *grid, f"root={tmp_path}")
    assert tuned.returncode == 0, tuned.stderr
    (source,) = tmp_path.glob("experiments/norm_placement/*")
    name = f"norm_placement/{source.name}"
    across = "across={train.updates:[20,40]}"
    taken = ablate(*WORDS, f"rates={name}", across, "first_seed=101", f"root={tmp_path}")
    assert taken.returncode == 0, taken.stderr
    folder = Path(taken.stdout.splitlines()[-1])
    manifest = json.loads((tmp_path / "experiments" / "norm_placement" / folder.name / "manifest.json").read_text())
    assert manifest["rates"]["setting"] == name
    assert manifest["rates"]["cells"].keys() == {cell["name"] for cell in manifest["cells"]}
    assert set(manifest["rates"]["updates"].values()) == {20}
    text = (folder / "report.md").read_text()
    headline = text.split("\n")[2]
    assert f"Each variant has its own best learning rate and warmup of `{name}` (`pre`: lr " in headline
    assert "Seeds 101 both chose them and test them here" in text
    assert "after the nearest smaller one that was tuned" in text
    assert "One peak learning rate" not in text
    assert json.loads((folder / "summary.json").read_text())["rates"] == manifest["rates"]
    shutil.rmtree(source)
    shutil.rmtree(tmp_path / "reports" / "norm_placement" / source.name)
    again = ablate("norm_placement", f"root={tmp_path}", module="ablate.report")
    assert again.returncode == 0, again.stderr
    assert (folder / "report.md").read_text() == text
    refused = ablate(*WORDS, f"rates={name}", f"root={tmp_path}")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "there are no records of it" in refused.stderr
