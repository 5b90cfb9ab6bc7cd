"""Equal tuning: one grid for all, rates chosen on validation, and a name for what is found. And twins of one size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from corpora import composed, fixture_plan
from records import LAYERS, UPDATES, WIDTH, a_run, a_study, write_records

from ablate.analysis.judging import judge_all
from ablate.analysis.tuning import Finding, Tuning, tuning
from ablate.analysis.verdicts import Verdict
from ablate.config import BadInput
from ablate.plan.composition import Plan, plan
from ablate.plan.matching import WITHIN, inner_parameters
from ablate.records.read import read_records
from ablate.report import build, ledger
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
    return tuning(a_plain_study().tuned(RATES), runs_of(curves, noise), SHARED, UNLEARNED)


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
    assert (found.rate, found.edge) == (best, edge)


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
    found = tuning(study, runs, SHARED, UNLEARNED)
    assert found.best["b"].losses[0.002] == pytest.approx((UNLEARNED + (SEEDS - 1) * 1.5) / SEEDS)


def test_claims_are_judged_at_own_best_rates() -> None:
    found = tuned({"a": FLAT, "b": STEEP})
    (verdict,) = judge_all(found.study, found.records, "python -m ablate")
    assert verdict.verdict is Verdict.supported
    (untested,) = judge_all(a_plain_study(), [run for run in found.records if run.pop("lr_sensitivity")], "x")
    assert untested.verdict is None
    assert untested.command is not None


@pytest.fixture
def reported(tmp_path: Path) -> Path:
    """The root of a store with the report of a tuned study."""
    curves = {"a": FLAT, "b": SCENES[Finding.artefact][0]}
    config = {"model": {"layers": LAYERS, "d_model": WIDTH}, "train": {"updates": UPDATES}, "optim": {"lr": SHARED}}
    study = a_plain_study()
    runs = [{**run, "config": {**config, **run["config"]}} for run in runs_of(curves)]
    write_records(tmp_path, study, runs, grid=list(RATES), config=config)
    build(tmp_path, study.name, "synthetic-laptop")
    return tmp_path


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
    "tune=warmup": "tune",
    "tune=lr grid=0.1": "no list of learning rates",
    "tune=lr grid=[]": "no list of learning rates",
    "tune=lr grid=[0.1,-1]": "no list of learning rates",
    "tune=lr grid=[a]": "no list of learning rates",
    "until=resolved seeds=5 max_seeds=3": "max_seeds=3 is below seeds=5",
    "match=parameters": "of the baseline's size",
}


@pytest.mark.parametrize("words", WRONG)
def test_what_makes_no_sense_is_said_in_a_line(words: str) -> None:
    with pytest.raises((BadInput, Exception)) as caught:
        planned("+sweep=norm_placement", *words.split())
    assert WRONG[words] in str(caught.value)


def test_twins_have_the_baselines_size_and_change_d_model_alone() -> None:
    found = planned("+sweep=ffn_ratio", "match=parameters")
    aim = inner_parameters(found.configs["ratio4"].model)
    twins = [name for name in found.configs if name.endswith(",matched")]
    assert {name.removesuffix(",matched") for name in twins} == set(found.configs) - {"ratio4", *twins}
    for name in twins:
        twin, raw = found.configs[name].model, found.configs[name.removesuffix(",matched")].model
        assert abs(inner_parameters(twin) / aim - 1) <= WITHIN < abs(inner_parameters(raw) / aim - 1)
        assert (twin.d_k, twin.heads, twin.ffn_ratio) == (raw.d_k, raw.heads, raw.ffn_ratio)
    assert found.setting == "fixture-laptop-match=parameters"


def test_a_smoke_model_is_too_narrow_for_a_close_match_and_gets_the_nearest() -> None:
    found = planned("+sweep=ffn_ratio", "preset=smoke", "match=parameters")
    aim = inner_parameters(found.configs["ratio4"].model)
    for name in found.added["twins"]:
        assert abs(inner_parameters(found.configs[name].model) / aim - 1) < 0.1


def test_more_seeds_are_more_of_the_same_runs() -> None:
    few = fixture_plan("+sweep=norm_placement")
    more = few.with_seeds(5)
    assert {spec.id for spec in few.runs} < {spec.id for spec in more.runs}
    assert {spec.id for spec in more.runs} == {
        spec.id for spec in planned("+sweep=norm_placement", "preset=smoke", "seeds=5").runs
    }


# --- twins in a report ----------------------------------------------------------------------------------------------


def with_twin(root: Path, raw: float, twin: float) -> str:
    """The report of a study whose variant scores so much above the baseline, and its twin so much."""
    study = a_study(("a", "b"))
    whole = study.twinned({"b,matched": {"model.ffn_ratio": 2, "model.d_model": 96}})
    runs = [
        a_run(whole, cell.name, seed, 40 + {"a": 0.0, "b": raw, "b,matched": twin}[cell.name] + 0.01 * (seed % 3))
        for cell in whole.cells()
        for seed in range(SEEDS)
    ]
    write_records(root, study, runs, twins={"b,matched": {"model.ffn_ratio": 2, "model.d_model": 96}})
    return (build(root, "toy", "synthetic-laptop") / "report.md").read_text()


@pytest.mark.parametrize(
    ("raw", "twin", "said"),
    [
        (3.0, -3.0, "depends on whether parameters are matched: `b`"),
        (3.0, 2.0, "No effect is seen to change its sign"),
        (0.01, -0.01, "that is not decided: `b`"),
    ],
)
def test_an_effect_whose_sign_depends_on_what_is_matched_is_flagged(
    tmp_path: Path, raw: float, twin: float, said: str
) -> None:
    text = with_twin(tmp_path, raw, twin)
    assert said in text
    assert "parameters (" in text.partition("At the baseline's size")[2]
