"""Looks: a setting that is reported again with more seeds gets intervals that are valid at every look, everywhere."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpora import fixture_plan
from records import LAYERS, UPDATES, WIDTH, a_run, a_study, some_runs, write_records

import ablate
from ablate.analysis.effects import of_cell, values
from ablate.analysis.estimators import ANYTIME, FIXED
from ablate.analysis.metrics import metric
from ablate.data.corpus import Corpus
from ablate.plan.composition import Plan
from ablate.records.collect import collect
from ablate.records.looks import REPORT, UNTIL, Look, looks_in, sequential, with_look
from ablate.records.read import read_records
from ablate.records.report_data import ReportData
from ablate.report.figures import FIGURES
from ablate.report.render import build
from ablate.report.text.summary import summary
from ablate.store.folders import Store

PACKAGE = Path(ablate.__file__).parent


def looks_at(*sets: Sequence[int], purpose: str = REPORT) -> list[Look]:
    looks: list[Look] = []
    for seeds in sets:
        looks = with_look(looks, Look(tuple(seeds), purpose, ("id",)))
    return looks


SEEN: dict[str, tuple[list[Sequence[int]], bool]] = {  # the looks in order, and whether the last is sequential
    "once": ([range(3)], False),
    "the same seeds again": ([range(3), range(3)], False),
    "more seeds": ([range(3), range(5)], True),
    "more seeds, then the first ones again": ([range(3), range(5), range(3)], True),
    "fewer seeds": ([range(5), range(3)], True),
    "fewer seeds, then all again": ([range(5), range(3), range(5)], True),
    "other seeds": ([range(3), range(100, 103)], False),
    "other seeds, after more of the first": ([range(3), range(5), range(100, 105)], False),
    "other seeds, then more of those": ([range(3), range(100, 103), range(100, 105)], True),
    "overlapping seeds": ([range(3), range(2, 6)], True),
    "all seeds of two tests": ([range(3), range(3, 6), range(6)], True),
}


@pytest.mark.parametrize("what", SEEN)
def test_sets_that_share_seeds_and_are_not_the_same_make_a_setting_sequential(what: str) -> None:
    sets, expected = SEEN[what]
    looks = looks_at(*sets)
    assert sequential(looks, sets[-1]) is expected
    assert len(looks) == len({tuple(each) for each in sets})


def test_adding_seeds_until_something_is_decided_is_sequential_at_the_first_look() -> None:
    looks = with_look(looks_at(range(2), purpose=UNTIL), Look((0, 1), REPORT, ("id",)))
    assert sequential(looks, range(2))
    assert not sequential(looks, range(100, 102))


def test_records_without_looks_are_one_look_at_their_seeds() -> None:
    plan = [["a", 3, "x"], ["b", 3, "y"], ["a", 4, "z"], ["b", 4, "w"]]
    assert looks_in({"plan": plan}) == [Look((3, 4), REPORT, ("x", "y"), rules=1)]
    assert looks_in({"plan": plan, "max_seeds": 20}) == [Look((3, 4), UNTIL, ("x", "y"), rules=1)]


# What collecting records keeps.


def collected(root: Path, plan: Plan) -> dict[str, Any]:
    folder = collect(Store(root), plan, {plan.corpus: Corpus.load(plan.corpus)})
    return json.loads((folder / "manifest.json").read_text())


def test_every_report_of_a_setting_is_kept_as_a_look(tmp_path: Path) -> None:
    study = "+sweep=norm_placement"
    for words, seeds in (
        (["seeds=2"], [0, 1]),
        (["seeds=2"], [0, 1]),
        (["seeds=3", "first_seed=100"], [100, 101, 102]),
    ):
        manifest = collected(tmp_path, fixture_plan(study, *words))
        assert manifest["looks"][-1]["seeds"] == seeds
    manifest = collected(tmp_path, fixture_plan(study, "seeds=4"))
    assert [look["seeds"] for look in manifest["looks"]] == [[0, 1], [100, 101, 102], [0, 1, 2, 3]]
    assert sequential(looks_in(manifest), range(4))
    assert not sequential(looks_in(manifest), range(100, 103))


def test_a_plain_report_does_not_hide_that_seeds_were_added_until_claims_were_decided(tmp_path: Path) -> None:
    collected(tmp_path, fixture_plan("+sweep=norm_placement", "seeds=2", "until=resolved"))
    manifest = collected(tmp_path, fixture_plan("+sweep=norm_placement", "seeds=2"))
    assert "max_seeds" not in manifest
    assert [(look["seeds"], look["purpose"]) for look in manifest["looks"]] == [([0, 1], UNTIL)]
    assert sequential(looks_in(manifest), range(2))


CHANGED: dict[str, Callable[[dict[str, Any]], Any]] = {  # an earlier manifest that says nothing of these runs
    "runs of another meaning or corpus": lambda manifest: [look.update(runs=["other"]) for look in manifest["looks"]],
    "records that are damaged": lambda manifest: manifest.update(looks=3),
    "a look without seeds": lambda manifest: [look.update(seeds=[]) for look in manifest["looks"]],
}


@pytest.mark.parametrize("what", CHANGED)
def test_looks_at_other_trainings_are_dropped(what: str, tmp_path: Path) -> None:
    plan = fixture_plan("+sweep=norm_placement", "seeds=2")
    manifest = collected(tmp_path, plan)
    CHANGED[what](manifest)
    (tmp_path / "experiments" / plan.study.name / plan.setting / "manifest.json").write_text(json.dumps(manifest))
    assert [look["seeds"] for look in collected(tmp_path, plan.with_seeds(4))["looks"]] == [[0, 1, 2, 3]]


def test_a_look_is_kept_as_long_as_one_cell_has_its_runs(tmp_path: Path) -> None:
    plan = fixture_plan("+sweep=norm_placement", "seeds=2")
    collected(tmp_path, plan)
    cell = plan.cells[0]
    study = replace(plan.study, variants={cell.name: plan.study.variants[cell.name]})
    configs = {cell.name: plan.configs[cell.name]}
    changed = replace(plan, study=study, cells=[cell], configs=configs).with_seeds(4)
    assert [look["seeds"] for look in collected(tmp_path, changed)["looks"]] == [[0, 1], [0, 1, 2, 3]]


# What a report makes of them.

FACTOR = {"warmup": {0: {"optim.warmup": 0}, 0.1: {"optim.warmup": 0.1}}}
AGAIN = [{"seeds": list(range(n)), "purpose": REPORT, "runs": []} for n in (3, 8)]
CONFIG = {"model": {"layers": LAYERS, "d_model": WIDTH}, "train": {"updates": UPDATES}, "optim": {"lr": 0.002}}


def some_data(root: Path, looks: list[dict[str, Any]], factors: dict[str, Any] | None = None) -> ReportData:
    study = a_study(("a", "b", "c"), factors=factors)
    return read_records(write_records(root, study, some_runs(study, 8), looks=looks))


def rounded(value: float) -> float:
    return float(f"{value:.6g}")


@pytest.mark.parametrize("factors", [None, FACTOR], ids=["plain", "with a factor"])
def test_every_interval_of_a_sequential_setting_is_a_confidence_sequence(
    factors: dict[str, Any] | None, tmp_path: Path
) -> None:
    data = some_data(tmp_path, AGAIN, factors)
    assert data.sequential
    for found in summary(data)["variants"]:
        scores = list(values(of_cell(data.runs, found["variant"]), metric("test_bleu")).values())
        interval = ANYTIME.interval(scores)
        assert (found["low"], found["high"]) == (rounded(interval.low), rounded(interval.high))
        if found["difference"]:
            base = list(values(of_cell(data.runs, found["baseline"] or "a"), metric("test_bleu")).values())
            effect = ANYTIME.effect(np.array(base), np.array(scores))
            assert found["difference"]["low"] == pytest.approx(rounded(effect.low))


PLAIN = ("t interval", "Holm", "From ten seeds up", "stats.ttest")


@pytest.mark.parametrize("factors", [None, FACTOR], ids=["plain", "with a factor"])
@pytest.mark.parametrize("again", [True, False], ids=["sequential", "fixed"])
@pytest.mark.usefixtures("undrawn")
def test_a_report_names_the_intervals_that_it_has(again: bool, factors: dict[str, Any] | None, tmp_path: Path) -> None:
    data = some_data(tmp_path, AGAIN if again else AGAIN[1:], factors)
    text = (build(tmp_path, "toy", data.setting) / "report.md").read_text()
    assert ("confidence sequence" in text) is again
    assert ("p (Bonferroni)" in text) is again
    assert ("reported more than once" in text) is again
    assert any(word in text for word in PLAIN) is not again


def test_no_function_of_a_report_makes_an_interval_that_knows_no_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every number and figure of a sequential setting comes from `ANYTIME`: `FIXED` is not asked for anything."""

    def refuse(*_: Any) -> Any:
        raise AssertionError("an interval for a fixed number of seeds")

    asked = [name for name, value in vars(FIXED).items() if callable(value)]
    data = some_data(tmp_path, AGAIN, FACTOR)
    monkeypatch.setattr("ablate.records.report_data.FIXED", replace(FIXED, **dict.fromkeys(asked, refuse)))
    build(tmp_path, "toy", data.setting)


MAKERS = {"mean_interval", "paired_effect", "wilson", "difference_of_shares", "t_half_width", "paired_p", "holm"}


@pytest.mark.parametrize(
    "path",
    [path for room in ("report", "publish", "run", "tracking", "records") for path in (PACKAGE / room).rglob("*.py")],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_only_an_estimator_makes_intervals_for_reports(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            assert not names & MAKERS, f"{path} imports {names & MAKERS}: take them from ReportData's estimator"
            if names & {"FIXED", "ANYTIME"}:
                assert path.name == "report_data.py"  # where the choice between the two is made


def test_every_caption_can_name_the_intervals(tmp_path: Path) -> None:
    data = some_data(tmp_path, AGAIN)
    for entry in FIGURES.values():
        text = entry.text(data)
        assert "{" not in text
        assert "t interval" not in text


# Rates under tune=lr.

RATES = (0.001, 0.002)


def losing_runs(first: float, later: float) -> list[dict[str, Any]]:
    """Runs of b whose loss at rate 0.001 is `first` on seeds 0 and 1 and `later` on others; it is 1.5 at 0.002."""
    study = a_study(("a", "b")).tuned(RATES)
    return [
        a_run(
            study,
            cell.name,
            seed,
            40.0 + seed,
            best_validation_loss=1.5 if cell.factors["lr"] == 0.002 else first if seed < 2 else later,
            config=CONFIG,
        )
        for cell in study.cells()
        for seed in range(6)
    ]


@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.usefixtures("undrawn")
def test_rates_of_a_sequential_setting_stay_those_of_its_first_look(fixed: bool, tmp_path: Path) -> None:
    study = a_study(("a", "b"))
    rates = {"rates": {"a": 0.001, "b": 0.001}} if fixed else {}
    looks = [
        {"seeds": [0, 1], "purpose": UNTIL, "runs": [], **rates},
        {"seeds": list(range(6)), "purpose": UNTIL, "runs": []},
    ]
    runs = losing_runs(1.4, 1.9)
    folder = write_records(tmp_path, study, runs, grid=list(RATES), config=CONFIG, looks=looks, max_seeds=20)
    data = read_records(folder)
    assert data.tuning is not None
    assert {name: best.rate for name, best in data.tuning.best.items()} == dict.fromkeys(
        "ab", 0.001 if fixed else 0.002
    )
    text = (build(tmp_path, "toy", folder.name) / "report.md").read_text()
    assert ("chosen at the first look, on 2 seeds" in text) is fixed


def test_the_first_look_chooses_the_rates_and_later_ones_keep_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the runs' losses are is decided here; what the manifest makes of them is not."""
    losses = {0.001: {0: 1.0, 1: 1.0, 2: 9.0, 3: 9.0}}
    known = "ablate.records.collect.run_record"
    monkeypatch.setattr(
        known,
        lambda folder, spec, cell, unmeasured=(): {
            **{"run_id": spec.id, "variant": spec.cell, "seed": spec.seed, "status": "finished"},
            **dict.fromkeys(("parameter_counts", "diagnostics", "final_dead_units")),
            "best_validation_loss": losses.get(cell.factors["lr"], {}).get(spec.seed, 2.0),
        },
    )
    plan = fixture_plan("+sweep=norm_placement", "tune=lr", "grid=[0.001,0.002]", "until=resolved", "seeds=2")
    first, second = (collected(tmp_path, each) for each in (plan, plan.with_seeds(4)))
    assert first["looks"][0]["rates"] == {"pre": 0.001, "post": 0.001}
    assert [look.get("rates") for look in second["looks"]] == [{"pre": 0.001, "post": 0.001}, None]


def test_rates_of_a_setting_that_is_extended_are_those_of_the_seeds_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ablate.records.collect.run_record",
        lambda folder, spec, cell, unmeasured=(): {
            **{"run_id": spec.id, "variant": spec.cell, "seed": spec.seed, "status": "finished"},
            **dict.fromkeys(("parameter_counts", "diagnostics", "final_dead_units")),
            "best_validation_loss": 9.0 if spec.seed > 1 and cell.factors["lr"] == 0.001 else cell.factors["lr"],
        },
    )
    plan = fixture_plan("+sweep=norm_placement", "tune=lr", "grid=[0.001,0.002]", "seeds=2")
    assert "rates" not in collected(tmp_path, plan)["looks"][0]
    assert collected(tmp_path, plan.with_seeds(6))["looks"][0]["rates"] == {"pre": 0.001, "post": 0.001}
