"""Equal tuning: one grid for all, rates chosen on validation, and a name for what is found. And twins of one size."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpora import composed, fixture_plan
from records import LAYERS, UPDATES, WIDTH, a_run, a_study, write_records
from short import each_once

from ablate.analysis.estimators import FIXED
from ablate.analysis.judging import judge_all
from ablate.analysis.tuning import DECIDED, Finding, Tuning, classify, tuning
from ablate.analysis.verdicts import Reading, Verdict
from ablate.config import BadInput
from ablate.data.corpus import Corpus
from ablate.data.prepare import prepare
from ablate.plan.composition import Plan, plan
from ablate.plan.matching import inner_parameters
from ablate.records.collect import collect
from ablate.records.read import read_records
from ablate.report.evidence import Evidence, identity
from ablate.report.index import ledger
from ablate.report.render import build
from ablate.report.text.tuned import MEANS
from ablate.store.folders import Store
from ablate.study import WITHIN, Study

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
    return tuning(a_plain_study().tuned(RATES), runs_of(curves, noise), SHARED, UNLEARNED, FIXED)


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
    found = tuning(study, runs, SHARED, UNLEARNED, FIXED)
    assert found.best["b"].losses[0.002] == pytest.approx((UNLEARNED + (SEEDS - 1) * 1.5) / SEEDS)


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
    "tune=lr grid=0.1": "must be a list of learning rates",
    "tune=lr grid=[]": "must be a list of learning rates",
    "tune=lr grid=[0.1,-1]": "must be a list of learning rates",
    "tune=lr grid=[a]": "must be a list of learning rates",
    "until=resolved seeds=5 max_seeds=3": "max_seeds=3 is below seeds=5",
    "match=parameters": "have the baseline's size",
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


def test_a_twin_sets_only_what_its_architecture_reads() -> None:
    study = "{name: a, question: q, baseline: t, variants: {t: {model.layers: 2}, l: {model.architecture: lstm}}}"
    found = planned(f"+study={study}", "match=parameters")
    assert list(found.added["twins"]) == ["l,matched"]
    assert set(found.added["twins"]["l,matched"]) == {"model.architecture", "model.d_model"}
    one, other = (inner_parameters(found.configs[name].model) for name in ("t", "l,matched"))
    assert abs(other / one - 1) <= WITHIN


CROSSED: dict[str, dict[Any, dict[str, Any]]] = {  # factors of any kind that twins have to follow
    "heads": {1: {"model.heads": 1}, 8: {"model.heads": 8}},
    "d_k": {8: {"model.head_width": 8}, 64: {"model.head_width": 64}},
    "depth": {1: {"model.layers": 1}, 12: {"model.layers": 12}},
    "width": {64: {"model.d_model": 64}, 256: {"model.d_model": 256}},
    "warmup": {0: {"optim.warmup": 0}, 0.5: {"optim.warmup": 0.5}},
}
TUNES = [(), ("tune=lr", "grid=[0.001,0.002]")]
RATIOS = {"baseline": "four", "variants": {"four": {"model.ffn_ratio": 4}, "one": {"model.ffn_ratio": 1}}}


def with_study(study: dict[str, Any]) -> Callable[[list[str]], Any]:
    def compose(overrides: list[str]) -> Any:
        node = composed(overrides)
        node.study = {"name": "sizes", "question": "How large?", **study}
        return node

    return compose


@pytest.mark.parametrize(("factor", "tune"), each_once(CROSSED, TUNES))
def test_twins_have_the_baselines_size_at_every_level_of_every_factor(factor: str, tune: tuple[str, ...]) -> None:
    study = {**RATIOS, "factors": {factor: CROSSED[factor], "norm": {"post": {"model.norm_placement": "post"}}}}
    found = plan(with_study(study), ["data=fixture", "match=parameters", *tune])
    twins = [cell for cell in found.cells if cell.variant == "one,matched"]
    assert len(twins) == len(CROSSED[factor]) * (3 if tune else 1)
    for cell in twins:
        twin, baseline = found.configs[cell.name].model, found.configs[str(cell.baseline)].model
        raw = found.configs[cell.name.replace(",matched", "")].model
        assert abs(inner_parameters(twin) / inner_parameters(baseline) - 1) <= WITHIN
        assert (twin.d_k, twin.heads, twin.ffn_ratio, twin.layers) == (raw.d_k, raw.heads, raw.ffn_ratio, raw.layers)


@pytest.mark.parametrize("tune", TUNES, ids=["plain", "tuned"])
def test_records_read_back_the_cells_of_twins(tmp_path: Path, tune: tuple[str, ...]) -> None:
    study = {**RATIOS, "factors": {"depth": {1: {"model.layers": 1}, 2: {"model.layers": 2}}}}
    found = plan(with_study(study), ["data=fixture", "preset=smoke", "match=parameters", *tune])
    prepare(found.config.data, lambda line: None)
    folder = collect(Store(tmp_path), found, {found.corpus: Corpus.load(found.corpus)})
    data = read_records(folder)
    assert data.cells == found.cells
    assert all(each.agrees for run in data.runs for each in identity(Evidence(data, run)))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a variant that sets the width itself": (
        {"baseline": "wide", "variants": {"wide": {"model.d_model": 256}, "narrow": {"model.d_model": 64}}},
        "a twin changes model.d_model",
    ),
    "a size that no width comes near": (
        {"baseline": "small", "variants": {"small": {"model.ffn_ratio": 1}, "huge": {"model.ffn_ratio": 1000}}},
        "comes nearest",
    ),
    "a variant that is of one size at some levels only": (
        {
            "baseline": "four",
            "variants": {"four": {"model.ffn_ratio": 4}, "other": {"model.ffn_ratio": 4, "model.heads": 1}},
            "factors": {"d_k": {16: {"model.head_width": 16}, 32: {"model.head_width": 32, "model.heads": 4}}},
        },
        "would train some runs twice",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_matched_is_refused_in_a_line(what: str) -> None:
    study, said = REFUSED[what]
    with pytest.raises(BadInput, match=said) as caught:
        plan(with_study(study), ["data=fixture", "match=parameters"])
    assert "\n" not in str(caught.value)


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
        spec.id for spec in planned("+sweep=norm_placement", "preset=smoke", "seeds=5", "first_seed=0").runs
    }


# --- twins in a report ----------------------------------------------------------------------------------------------


def with_twin(root: Path, raw: float, twin: float, counts: dict[str, int] | None = None, noise: float = 0.0) -> str:
    """The report of a study whose variant scores so much above the baseline, and its twin so much."""
    rng = np.random.default_rng(0)
    study = a_study(("a", "b"))
    whole = study.twinned({"b,matched": {"model.ffn_ratio": 2, "model.d_model": 96}}, {})
    runs = [
        a_run(whole, cell.name, seed, 40 + {"a": 0.0, "b": raw, "b,matched": twin}[cell.name] + 0.01 * (seed % 3)
              + noise * rng.normal())
        | ({"parameter_counts": counts} if counts is not None and cell.name == "b,matched" else {})
        for cell in whole.cells()
        for seed in range(SEEDS)
    ]  # fmt: skip
    write_records(root, study, runs, twins={"b,matched": {"model.ffn_ratio": 2, "model.d_model": 96}})
    return (build(root, "toy", "synthetic-laptop") / "report.md").read_text()


@pytest.mark.parametrize(
    ("raw", "twin", "noise", "said"),
    [
        (3.0, -3.0, 0.0, "depends on whether parameters are matched: `b`"),
        (3.0, 2.0, 0.0, "No effect changes its sign"),
        (1.0, 0.0, 1.0, "but this is unresolved: `b`"),
    ],
)
@pytest.mark.usefixtures("undrawn")
def test_an_effect_whose_sign_depends_on_what_is_matched_is_flagged(
    tmp_path: Path, raw: float, twin: float, noise: float, said: str
) -> None:
    text = with_twin(tmp_path, raw, twin, noise=noise)
    assert said in text
    assert "parameters (" in text.partition("Twins of the baseline's size")[2]
    assert "number of parameters, within 3 %," in text


@pytest.mark.parametrize(
    "counts", [{"embedding": 9, "encoder.0.feedforward": 8}, {}], ids=["of another size", "unknown"]
)
@pytest.mark.usefixtures("undrawn")
def test_a_report_says_that_sizes_are_equal_only_where_they_were_recorded_so(
    tmp_path: Path, counts: dict[str, int]
) -> None:
    text = with_twin(tmp_path, 3.0, -3.0, counts)
    assert "within 3 %" not in text
    assert "depends on whether parameters are matched" not in text
    assert "| not matched |" in text
    assert ("**Not matched**" in text) is bool(counts)
    assert ("do not say how many parameters `b,matched`" in text) is not counts
