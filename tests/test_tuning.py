"""Equal tuning: one grid for all, points of it chosen on validation, and a name for what is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpora import composed, fixture_plan
from records import LAYERS, UPDATES, WIDTH, a_run, a_study, write_records

from ablate.analysis.estimators import FIXED
from ablate.analysis.judging import judge_all
from ablate.analysis.tuning import DECIDED, Finding, Tuning, classify, tuning
from ablate.analysis.verdicts import Reading, Verdict
from ablate.config import BadInput
from ablate.plan.composition import Plan, plan
from ablate.records.read import read_records
from ablate.report.index import ledger
from ablate.report.render import build
from ablate.report.text.tuned import MEANS
from ablate.report.text.tuned import edges as edge_lines
from ablate.store.study_file import study_from, study_to_plain
from ablate.study import Study

RATES = (0.001, 0.002, 0.004)
SHARED, UNLEARNED, SEEDS = 0.002, 5.0, 6
SENSITIVE = {
    "id": "s-1", "sentence": "B is more sensitive.", "contrast": "b - a", "metric": "lr_sensitivity",
    "kind": "directional", "direction": "higher", "command": "python -m ablate +sweep=toy tune=lr",
}  # fmt: skip

Curve = dict[float, tuple[float, float]]  # rate -> validation loss, BLEU
FLAT: Curve = {0.001: (1.6, 40.0), 0.002: (1.5, 40.0), 0.004: (1.6, 40.0)}
STEEP: Curve = {0.001: (2.5, 36.0), 0.002: (1.5, 40.0), 0.004: (2.9, 34.0)}


def a_plain_study() -> Study:
    return a_study(("a", "b"), [SENSITIVE])


def runs_of(curves: dict[str, Curve], noise: float = 0.05) -> list[dict]:
    runs = []
    for cell in a_plain_study().tuned(RATES).cells():
        loss, bleu = curves[cell.variant][cell.factors["lr"]]
        for seed in range(SEEDS):
            rng = np.random.default_rng([seed, *cell.name.encode()])
            score, lost = bleu + noise * rng.normal(), loss + 0.01 * noise * rng.normal()
            runs.append(a_run(a_plain_study().tuned(RATES), cell.name, seed, score, best_validation_loss=lost))
    return runs


def tuned(curves: dict[str, Curve], noise: float = 0.05) -> Tuning:
    return tuning(a_plain_study().tuned(RATES), runs_of(curves, noise), {"lr": SHARED}, UNLEARNED, FIXED)


SCENES: dict[Finding, tuple[Curve, float]] = {  # what b does where a is flat
    Finding.gain: ({rate: (loss, bleu + 3) for rate, (loss, bleu) in FLAT.items()}, 0.05),
    Finding.loss: ({rate: (loss, bleu - 3) for rate, (loss, bleu) in FLAT.items()}, 0.05),
    Finding.artefact: ({0.001: (1.5, 40.0), 0.002: (1.6, 37.0), 0.004: (1.7, 30.0)}, 0.05),
    Finding.robustness: ({0.001: (1.52, 40.0), 0.002: (1.5, 40.0), 0.004: (1.52, 40.0)}, 0.05),
    Finding.sensitivity: (STEEP, 0.05),
    Finding.none: (FLAT, 0.05),
    Finding.unresolved: (FLAT, 5.0),
}


@pytest.mark.parametrize("finding", SCENES, ids=lambda finding: finding.name)
def test_what_is_found_has_a_name(finding: Finding) -> None:
    curve, noise = SCENES[finding]
    (row,) = tuned({"a": FLAT, "b": curve}, noise).rows
    assert row.finding is finding


def test_every_finding_of_a_measure_that_has_a_better_end_has_its_scene() -> None:
    assert set(SCENES) == set(Finding) - {Finding.higher, Finding.lower}


NO_GAIN = (Reading.negligible,)
OPEN = (Reading.negligible, Reading.unresolved)
TRUTH: list[tuple[tuple[Reading, ...], tuple[Reading, ...], tuple[Reading, ...], Finding]] = [
    # at the shared rate, at own best rates, sensitivity of the variant ("better" is less sensitive) -> the finding
    (tuple(Reading), (Reading.better,), tuple(Reading), Finding.gain),
    (tuple(Reading), (Reading.worse,), tuple(Reading), Finding.loss),
    (tuple(Reading), (Reading.higher,), tuple(Reading), Finding.higher),
    (tuple(Reading), (Reading.lower,), tuple(Reading), Finding.lower),
    (tuple(Reading), (Reading.unresolved,), tuple(Reading), Finding.unresolved),
    (tuple(DECIDED), NO_GAIN, tuple(Reading), Finding.artefact),
    (OPEN, NO_GAIN, (Reading.better,), Finding.robustness),
    (OPEN, NO_GAIN, (Reading.worse,), Finding.sensitivity),
    (OPEN, NO_GAIN, OPEN, Finding.none),
]


def test_the_finding_follows_from_three_readings() -> None:
    table = {
        (shared, own, sensitivity): finding
        for shareds, owns, sensitivities, finding in TRUTH
        for shared in shareds
        for own in owns
        for sensitivity in sensitivities
    }
    sensitivities = [Reading.better, Reading.worse, Reading.negligible, Reading.unresolved]  # less is better
    readings = [reading for reading in Reading if reading is not Reading.earlier]
    for shared in readings:
        for own in readings:
            for sensitivity in sensitivities:
                assert classify(shared, own, sensitivity) is table[shared, own, sensitivity]


@pytest.mark.parametrize("finding", Finding, ids=lambda finding: finding.name)
def test_robust_is_said_of_no_variant_that_is_more_sensitive(finding: Finding) -> None:
    words = f"{finding.value}; {MEANS[finding]}"
    assert ("gain in robustness" in words) is (finding is Finding.robustness)
    assert ("more sensitive" in words) is ("loss of robustness" in words) is (finding is Finding.sensitivity)


def test_rates_are_chosen_on_validation_and_scored_on_test() -> None:
    misleading: Curve = {0.001: (1.4, 30.0), 0.002: (1.5, 40.0), 0.004: (1.6, 50.0)}
    found = tuned({"a": FLAT, "b": misleading})
    assert found.best["b"].rate == 0.001
    (row,) = found.rows
    assert row.own.effect.mean == pytest.approx(-10, abs=0.2)
    assert row.shared.effect.mean == pytest.approx(0, abs=0.2)
    assert row.change.mean == pytest.approx(row.own.effect.mean - row.shared.effect.mean)


@pytest.mark.parametrize(("best", "edge"), [(0.001, "lowest"), (0.002, None), (0.004, "highest")])
def test_a_best_rate_on_the_edge_of_the_grid_is_flagged(best: float, edge: str | None) -> None:
    curve: Curve = {rate: (1.4 if rate == best else 1.6, 40.0) for rate in RATES}
    found = tuned({"a": FLAT, "b": curve}).best["b"]
    assert (found.rate, found.edges) == (best, {"lr": edge} if edge else {})


def test_sensitivity_is_the_mean_loss_above_the_best_capped_where_nothing_was_learned() -> None:
    curve: Curve = {0.001: (2.0, 30.0), 0.002: (1.5, 40.0), 0.004: (9.0, 0.0)}
    found = tuned({"a": FLAT, "b": curve}, noise=0.0)
    values = {record["variant"]: record["lr_sensitivity"] for record in found.records}
    assert values["b"] == pytest.approx((2.0 + 1.5 + UNLEARNED) / 3 - 1.5)
    assert values["a"] == pytest.approx((1.6 + 1.5 + 1.6) / 3 - 1.5)


def test_a_diverged_run_has_learned_nothing_whatever_its_best_loss_was() -> None:
    study = a_plain_study().tuned(RATES)
    runs = [
        {**run, "status": "diverged", "test_bleu": None} if run["variant"] == "b,lr=0.002" and run["seed"] == 0 else run
        for run in runs_of({"a": FLAT, "b": FLAT}, noise=0.0)
    ]
    found = tuning(study, runs, {"lr": SHARED}, UNLEARNED, FIXED)
    assert found.best["b"].losses[0.002,] == pytest.approx((UNLEARNED + (SEEDS - 1) * 1.5) / SEEDS)


GRID = {"lr": (0.001, 0.002, 0.004), "warmup": (0.0, 0.15, 0.4)}


def over_both(best: tuple[float, float]) -> Tuning:
    """A study in which `b` does best at this point and `a` in the middle; losses grow with the steps from there."""
    study = a_plain_study().tuned(GRID)
    runs = []
    for cell in study.cells():
        rate, warmup = best if cell.variant == "b" else (0.002, 0.15)
        steps = abs(GRID["lr"].index(cell.factors["lr"]) - GRID["lr"].index(rate))
        more = abs(GRID["warmup"].index(cell.factors["warmup"]) - GRID["warmup"].index(warmup))
        for seed in range(SEEDS):
            loss = 1.5 + 0.1 * steps + 0.3 * more
            runs.append(a_run(study, cell.name, seed, 40.0 + seed - loss, best_validation_loss=loss))
    return tuning(study, runs, {"lr": 0.002, "warmup": 0.15}, UNLEARNED, FIXED)


@pytest.mark.parametrize("rate", GRID["lr"])
@pytest.mark.parametrize("warmup", GRID["warmup"])
def test_the_best_point_is_found_in_both_and_edges_are_named(rate: float, warmup: float) -> None:
    found = over_both((rate, warmup))
    assert found.best["b"].values == {"lr": rate, "warmup": warmup}
    edges = {"lr": {0.001: "lowest", 0.004: "highest"}.get(rate), "warmup": {0.4: "highest"}.get(warmup)}
    assert found.best["b"].edges == {name: edge for name, edge in edges.items() if edge}  # nothing is below no warmup
    assert found.best["a"].edges == {}
    text = " ".join(edge_lines(found))
    for name, edge in edges.items():
        assert (f"`b` ({name} {found.best['b'].values[name]:g}, the {edge})" in text) is bool(edge)


def test_sensitivity_to_the_rate_is_that_at_the_best_warmup_and_neighbours_are_in_both() -> None:
    found = over_both((0.001, 0.4))
    values = {record["variant"]: record["lr_sensitivity"] for record in found.records}
    assert values == {"a": pytest.approx(0.2 / 3), "b": pytest.approx(0.1)}
    beside = {
        way: {run["variant"]: run["best_validation_loss"] for run in runs} for way, runs in found.neighbours.items()
    }
    assert beside == {
        "the next lower learning rate": {"a": 1.6},  # b has its best at the edge
        "the next higher learning rate": {"a": 1.6, "b": 1.6},
        "the next shorter warmup": {"a": 1.8, "b": 1.8},
        "the next longer warmup": {"a": 1.8},
    }


@pytest.mark.parametrize("names", [("lr", "warmup"), ("warmup",)], ids=str)
@pytest.mark.usefixtures("undrawn")
def test_a_report_names_all_that_was_tuned(names: tuple[str, ...], tmp_path: Path) -> None:
    grid, study = {name: list(GRID[name]) for name in names}, a_plain_study()
    whole = study.tuned(grid)
    config = {"model": {"layers": LAYERS, "d_model": WIDTH}, "train": {"updates": UPDATES, "batch_tokens": 9},
              "optim": {"lr": 0.002, "warmup": 0.15}}  # fmt: skip
    runs = [a_run(whole, cell.name, seed, 40.0 + seed, config=config, best_validation_loss=2 - cell.factors["warmup"])
            for cell in whole.cells() for seed in range(SEEDS)]  # fmt: skip
    folder = write_records(tmp_path, study, runs, grid=grid, config=config)
    assert read_records(folder).cells == whole.cells()
    text = (build(tmp_path, "toy", folder.name) / "report.md").read_text()
    what = {2: "learning rate and warmup", 1: "warmup"}[len(names)]
    assert f"Each at its own best {what}" in text
    assert "the highest" in text
    assert "shares of 0, 0.15 and 0.4 of them warmup" in text
    assert ("Sensitivity is" in text) is ("lr" in names)
    (row,) = json.loads((tmp_path / "reports" / "toy" / folder.name / "summary.json").read_text())["tuned"]
    assert (row["warmup"], row["baseline_warmup"], row["edge"]) == (0.4, 0.4, True)
    assert ("lr" in row) is ("lr" in names)


def test_claims_are_judged_at_own_best_rates() -> None:
    found = tuned({"a": FLAT, "b": STEEP})
    (verdict,) = judge_all(found.study, found.records, "python -m ablate", FIXED)
    assert verdict.verdict is Verdict.supported
    (untested,) = judge_all(a_plain_study(), [run for run in found.records if run.pop("lr_sensitivity")], "x", FIXED)
    assert untested.verdict is None
    assert untested.command is not None


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a store with the report of a tuned study."""
    root = tmp_path_factory.mktemp("root")
    curves = {"a": FLAT, "b": SCENES[Finding.artefact][0]}
    config = {"model": {"layers": LAYERS, "d_model": WIDTH}, "train": {"updates": UPDATES}, "optim": {"lr": SHARED}}
    study = a_plain_study()
    runs = [{**run, "config": {**config, **run["config"]}} for run in runs_of(curves)]
    write_records(root, study, runs, grid=list(RATES), config=config)
    build(root, study.name, "synthetic-laptop")
    return root


def test_a_report_says_what_tuning_showed(reported: Path) -> None:
    folder = reported / "reports" / "toy" / "synthetic-laptop"
    text = (folder / "report.md").read_text()
    summary = json.loads((folder / "summary.json").read_text())
    (row,) = summary["tuned"]
    assert (row["variant"], row["lr"], row["baseline_lr"], row["edge"]) == ("b", 0.001, 0.002, True)
    assert row["finding"] == Finding.artefact.value
    assert row["finding"] in text.split("\n")[2]
    assert "lowest of the grid" in text
    assert (folder / "figures" / "sensitivity.png").exists()
    assert {each["baseline"] for each in summary["variants"] if each["variant"] == "b,lr=0.004"} == {"a,lr=0.004"}
    assert Finding.artefact.value in ledger(reported).read_text()


def test_the_loss_that_caps_is_the_corpuss(reported: Path) -> None:
    data = read_records(reported / "experiments" / "toy" / "synthetic-laptop")
    assert data.tuning is not None
    assert max(max(best.losses.values()) for best in data.tuning.best.values()) <= UNLEARNED


# --- planning -------------------------------------------------------------------------------------------------------


def with_study(study: dict[str, Any]) -> Callable[[list[str]], Any]:
    def compose(overrides: list[str]) -> Any:
        node = composed(overrides)
        node.study = {"name": "sizes", "question": "How large?", **study}
        return node

    return compose


def planned(*words: str) -> Plan:
    return plan(composed, ["data=fixture", *words])


def test_a_tuned_study_shares_its_runs_with_studies_at_those_rates() -> None:
    found = planned("+sweep=norm_placement", "tune=lr", "grid=[0.001,0.01]")
    assert found.setting == "fixture-laptop-tune=lr,grid=0.001+0.01"
    ids = {(spec.cell, spec.seed): spec.id for spec in found.runs}
    for rate in (0.001, found.config.optim.lr, 0.01):
        for spec in planned("+sweep=norm_placement", f"optim.lr={rate}").runs:
            assert ids[f"{spec.cell},lr={rate:g}", spec.seed] == spec.id
    assert len(ids) == 3 * 2 * found.config.seeds


def test_without_a_grid_the_rate_stands_in_the_middle_of_one() -> None:
    found = planned("+sweep=norm_placement", "tune=lr", "optim.lr=0.003")
    assert found.added["grid"] == [0.00075, 0.0015, 0.003, 0.006, 0.012]


WRONG = {
    "grid=[0.1]": "needs tune=lr",
    "grid={warmup:[0.1]} tune=lr": "needs tune=warmup",
    "tune=heads": "tune=heads: it may be none, lr, warmup, or a list such as [lr,warmup]",
    "tune=[lr,lr]": "tune=['lr', 'lr']: it may be none",
    "tune=lr rates=a/b": "takes no tune= beside it",
    "tune=lr grid=0.1": "must be a list of learning rates",
    "tune=lr grid=[]": "must be a list of learning rates",
    "tune=lr grid=[0.1,-1]": "must be a list of learning rates",
    "tune=lr grid=[a]": "must be a list of learning rates",
    "tune=lr grid={lr:[]}": "grid.lr=[] must be a list of learning rates",
    "tune=lr grid={heads:[1]}": "heads is unknown; it may be lr, warmup",
    "tune=warmup grid={warmup:[1]}": "grid.warmup=[1] must be a list of shares from 0 up and below 1",
    "tune=warmup grid={warmup:[-0.1]}": "grid.warmup=[-0.1] must be a list of shares",
    "match=size": "match=size: it may be none, parameters, flops, or a list such as [parameters,flops]",
    "match=flops": "have the baseline's cost",
    "until=resolved seeds=5 max_seeds=3": "max_seeds=3 is below seeds=5",
    "match=parameters": "have the baseline's size",
}


@pytest.mark.parametrize("words", WRONG)
def test_what_makes_no_sense_is_said_in_a_line(words: str) -> None:
    with pytest.raises(BadInput) as caught:
        planned("+sweep=norm_placement", *words.split(" "))
    assert WRONG[words] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("words", ["tune=warmup", "tune=[lr,warmup]"])
def test_a_study_that_varies_what_is_tuned_is_refused(words: str) -> None:
    with pytest.raises(BadInput, match=r"the study warmup varies optim\.warmup itself"):
        planned("+sweep=warmup", words)


SETTINGS = {
    "tune=lr": "tune=lr",
    "tune=[lr]": "tune=lr",
    "tune=warmup": "tune=warmup",
    "tune=[warmup,lr]": "tune=lr+warmup",
    "tune=lr refine=false": "tune=lr,refine=false",
    "tune=lr grid={lr:[0.01,0.001]}": "tune=lr,grid=0.001+0.01",
    "tune=[lr,warmup] grid={warmup:[0.15,0]}": "tune=lr+warmup,warmups=0+0.15",
    "refine=false": "",
    "tune=none match=none": "",
}


@pytest.mark.parametrize("words", SETTINGS)
def test_what_is_tuned_is_part_of_the_settings_name(words: str) -> None:
    setting = planned("+sweep=norm_placement", "preset=smoke", *words.split(" ")).setting
    assert setting == f"fixture-smoke-{SETTINGS[words]}".rstrip("-")


def test_rates_and_warmups_make_a_product_that_has_the_configurations_own_point() -> None:
    found = planned("+sweep=norm_placement", "preset=smoke", "tune=[lr,warmup]")
    grid = found.added["grid"]
    assert [*grid] == ["lr", "warmup"]
    assert grid["warmup"] == [0.02, 0.05, 0.15, 0.4]
    assert len(found.cells) == 2 * len(grid["lr"]) * len(grid["warmup"])
    plain = {spec.id for spec in planned("+sweep=norm_placement", "preset=smoke").runs}
    assert plain < {spec.id for spec in found.runs}
    for cell in found.cells:
        optim = found.configs[cell.name].optim
        assert {"lr": optim.lr, "warmup": optim.warmup} == cell.factors


def test_a_studys_file_has_grids_of_its_own_and_the_command_line_others(tmp_path: Path) -> None:
    study = {"variants": {"b": {}, "c": {"model.norm_placement": "post"}}, "baseline": "b",
             "grid": {"lr": [0.004, 0.001], "warmup": [0, 0.15]}}  # fmt: skip
    words = ["data=fixture", "preset=smoke", "tune=[lr,warmup]"]
    own = plan(with_study(study), words)
    assert own.added["grid"] == {"lr": [0.001, 0.004], "warmup": [0.0, 0.15]}
    assert study_from(study_to_plain(own.declared)) == own.declared
    other = plan(with_study(study), [*words, "grid={warmup:[0.3]}"])
    assert other.added["grid"] == {"lr": [0.001, 0.004], "warmup": [0.15, 0.3]}
    rates = plan(with_study({**study, "grid": [0.004, 0.002]}), [*words[:2], "tune=lr"])
    assert rates.added["grid"] == [0.002, 0.004]
    assert study_to_plain(rates.declared)["grid"] == [0.002, 0.004]


def test_more_seeds_are_more_of_the_same_runs() -> None:
    few = fixture_plan("+sweep=norm_placement")
    more = few.with_seeds(5)
    assert {spec.id for spec in few.runs} < {spec.id for spec in more.runs}
    assert {spec.id for spec in more.runs} == {
        spec.id for spec in planned("+sweep=norm_placement", "preset=smoke", "seeds=5", "first_seed=0").runs
    }
