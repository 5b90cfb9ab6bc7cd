"""The second pass of tune=lr: every variant beside the best rates of the grid, at the same points for all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from corpora import fixture_plan
from forks import QUICK, ablate
from records import LAYERS, UPDATES, WIDTH, a_run, a_study, write_records

from ablate.data.corpus import Corpus
from ablate.plan.composition import Plan
from ablate.records.collect import collect
from ablate.records.looks import UNTIL
from ablate.records.read import read_records
from ablate.report.evidence import Evidence, identity
from ablate.report.render import build
from ablate.run.refining import around_best, refinement
from ablate.store.folders import Store
from ablate.study import Study

RATES = (0.001, 0.002, 0.004)
BESTS = {  # best points of a and b -> the points that both get
    ((0.002,), (0.002,)): [0.00141, 0.00283],
    ((0.002,), (0.004,)): [0.00141, 0.00283, 0.00566],  # one of them is beside both
    ((0.001,), (0.004,)): [0.000707, 0.00141, 0.00283, 0.00566],
}


@pytest.mark.parametrize("bests", BESTS, ids=str)
def test_all_variants_get_the_points_beside_the_best_of_each(bests: tuple[tuple[float], tuple[float]]) -> None:
    study = a_study(("a", "b")).tuned(RATES)
    points = around_best(study, dict(zip("ab", bests)))
    assert points == {"a": [{"lr": rate} for rate in BESTS[bests]]}
    cells = study.refine(points).cells()
    for variant in "ab":
        rates = [cell.factors["lr"] for cell in cells if cell.variant == variant]
        assert rates == sorted({*RATES, *BESTS[bests]})
    assert all(cell.overrides["optim.lr"] == cell.factors["lr"] for cell in cells)
    assert {cell.baseline for cell in cells if cell.variant == "b"} == {c.name for c in cells if c.variant == "a"}


def test_a_rate_that_the_grid_has_is_not_trained_again() -> None:
    fine = a_study(("a", "b")).tuned((0.00141, 0.002, 0.00283, 0.004))
    assert around_best(fine, {"a": (0.002,), "b": (0.002,)}) == {}
    assert around_best(fine, {"a": (0.002,), "b": (0.004,)}) == {"a": [{"lr": 0.00566}]}


def test_each_level_of_another_factor_has_points_of_its_own_and_the_best_warmup_stays() -> None:
    levels = {"depth": {1: {"model.layers": 1}, 2: {"model.layers": 2}}}
    study = a_study(("a", "b"), factors=levels).tuned({"lr": RATES, "warmup": (0.02, 0.15)})
    deep = {"a,depth=2": (0.004, 0.15), "b,depth=2": (0.004, 0.15)}
    points = around_best(study, {"a,depth=1": (0.001, 0.02), "b,depth=1": (0.001, 0.15), **deep})
    assert points == {
        "a,depth=1": [{"lr": rate, "warmup": warmup} for rate in (0.000707, 0.00141) for warmup in (0.02, 0.15)],
        "a,depth=2": [{"lr": 0.00283, "warmup": 0.15}, {"lr": 0.00566, "warmup": 0.15}],
    }
    counts = {depth: sum(cell.factors["depth"] == depth for cell in study.refine(points).cells()) for depth in (1, 2)}
    assert counts == {1: 2 * (6 + 4), 2: 2 * (6 + 2)}


def runs_of(study: Study, best: dict[str, float]) -> list[dict[str, Any]]:
    config = {"model": {"layers": LAYERS, "d_model": WIDTH}, "train": {"updates": UPDATES}, "optim": {"lr": 0.002}}
    return [
        a_run(study, cell.name, seed, 40.0 + seed, config=config,
              best_validation_loss=1.5 + 100 * abs(cell.factors["lr"] - best[cell.variant]))
        for cell in study.cells()
        for seed in range(4)
    ]  # fmt: skip


@pytest.mark.usefixtures("undrawn")
def test_a_report_chooses_among_all_points_flags_edges_of_the_grid_and_says_that_it_was_refined(tmp_path: Path) -> None:
    study, points = a_study(("a", "b")), {"a": [{"lr": rate} for rate in (0.00141, 0.00283, 0.00566)]}
    whole = study.tuned(RATES).refine(points)
    runs = runs_of(whole, {"a": 0.00283, "b": 0.00566})
    folder = write_records(tmp_path, study, runs, grid=list(RATES), refined=points, config=runs[0]["config"])
    data = read_records(folder)
    assert data.cells == whole.cells()
    assert data.tuning is not None
    assert {name: best.rate for name, best in data.tuning.best.items()} == {"a": 0.00283, "b": 0.00566}
    assert {name: best.edges for name, best in data.tuning.best.items()} == {"a": {}, "b": {"lr": "highest"}}
    beside = {way: {run["variant"]: run["lr"] for run in found} for way, found in data.tuning.neighbours.items()}
    assert beside["the next lower learning rate"] == {"a": 0.002, "b": 0.004}
    assert beside["the next higher learning rate"] == {"a": 0.004}
    values = {run["variant"]: run["lr_sensitivity"] for run in data.tuning.records}
    grid = [100 * (0.00566 - rate) for rate in RATES]
    assert values["b"] == pytest.approx(sum(grid) / 3 - min(grid))  # of the grid alone
    text = (build(tmp_path, "toy", folder.name) / "report.md").read_text()
    assert "divided and multiplied by the root of 2 (0.00141; 0.00283; 0.00566)" in text
    assert "`b` (0.00566, the highest)" in text


@pytest.mark.parametrize("damage", [{"refined": {"a": [{"warmup": 0.1}]}}, {"grid": {"heads": [1]}}], ids=str)
def test_records_of_points_that_are_none_are_damaged(tmp_path: Path, damage: dict[str, Any]) -> None:
    study = a_study(("a", "b"))
    folder = write_records(tmp_path, study, [], **{"grid": list(RATES), **damage})
    with pytest.raises(ValueError, match="is damaged"):
        read_records(folder)


# --- from a command -------------------------------------------------------------------------------------------------

WORDS = ("+sweep=norm_placement", "preset=smoke", "data=fixture", "train.updates=20", *QUICK)
TUNED = (*WORDS, "tune=lr", "grid=[0.002,0.008]")


def manifest_of(root: Path) -> dict[str, Any]:
    (path,) = root.glob("experiments/*/*/manifest.json")
    return dict(json.loads(path.read_text()))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which a study was tuned by one command."""
    root = tmp_path_factory.mktemp("root")
    done = ablate(*TUNED, f"root={root}")
    assert done.returncode == 0, done.stderr
    assert "beside the best of the grid, every variant also at pre: lr=" in done.stdout
    return root


@pytest.mark.long
def test_a_command_trains_the_grid_and_then_beside_its_best(trained: Path) -> None:
    manifest = manifest_of(trained)
    points = manifest["refined"]["pre"]
    assert len(points) >= 2
    by_variant = {name: [cell["factors"]["lr"] for cell in manifest["cells"] if cell["variant"] == name]
                  for name in ("pre", "post")}  # fmt: skip
    assert by_variant["pre"] == by_variant["post"] == sorted([0.002, 0.004, 0.008, *(point["lr"] for point in points)])
    assert len(list(trained.glob("runs/*/result.json"))) == len(manifest["plan"]) == 2 * 2 * len(by_variant["pre"])
    verified = ablate("--verify", f"root={trained}", "norm_placement", module="ablate.report")
    assert verified.returncode == 0, verified.stdout


@pytest.mark.long
def test_the_same_command_again_trains_nothing_and_more_seeds_keep_the_points(trained: Path) -> None:
    first = manifest_of(trained)
    times = {path: path.stat().st_mtime_ns for path in trained.glob("runs/*/result.json")}
    again = ablate(*TUNED, f"root={trained}")
    assert again.returncode == 0, again.stderr
    assert manifest_of(trained)["refined"] == first["refined"]
    assert {path: path.stat().st_mtime_ns for path in trained.glob("runs/*/result.json")} == times
    more = ablate(*TUNED, "seeds=3", f"root={trained}")
    assert more.returncode == 0, more.stderr
    second = manifest_of(trained)
    assert second["refined"] == first["refined"]
    assert second["looks"][0]["rates"].keys() == {"pre", "post"}
    assert len(second["plan"]) == 3 * len(first["plan"]) / 2


@pytest.mark.long
def test_a_dry_run_says_so_and_refine_false_leaves_it_out(tmp_path: Path) -> None:
    said = ablate(*TUNED, "dry_run=true", f"root={tmp_path}").stdout
    assert "then every variant also beside the best learning rates" in said
    without = ablate(*TUNED, "refine=false", f"root={tmp_path}")
    assert without.returncode == 0, without.stderr
    assert "refined" not in manifest_of(tmp_path)
    assert manifest_of(tmp_path)["setting"] == "fixture-smoke-updates=20,tune=lr,grid=0.002+0.008,refine=false"
    assert len(manifest_of(tmp_path)["plan"]) == 2 * 3 * 2


# --- what is fixed at the first look --------------------------------------------------------------------------------


def a_tuned_plan(monkeypatch: pytest.MonkeyPatch, best: dict[int, float], *words: str) -> Plan:
    """A plan whose runs count as done; `best` is the rate at which a seed has its lowest loss."""

    def outcome(store: Store, spec: Any) -> dict[str, Any]:
        loss = abs(spec.config.optim.lr - best[spec.seed])
        return {"variant": spec.cell, "seed": spec.seed, "status": "finished", "best_validation_loss": loss}

    monkeypatch.setattr("ablate.run.refining.outcome", outcome)
    monkeypatch.setattr("ablate.store.folders.Store.done", lambda store, spec: True)
    return fixture_plan("+sweep=norm_placement", "tune=lr", "grid=[0.001,0.002,0.004,0.008]", *words)


def refined(root: Path, plan: Plan) -> Plan:
    found = refinement(plan, Store(root), {plan.corpus: Corpus.load(plan.corpus)}, lambda line: None)
    assert found is not None
    return found


@pytest.mark.parametrize("words", [(), ("until=resolved",)], ids=["seeds added to a report", UNTIL])
def test_points_are_those_of_the_first_look(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = {0: 0.002, 1: 0.002, 2: 0.008, 3: 0.008, 4: 0.008, 5: 0.008, 100: 0.008, 101: 0.008}
    plan = a_tuned_plan(monkeypatch, best, "seeds=2", *words)
    first = refined(tmp_path, plan)
    assert first.added["refined"] == {"pre": [{"lr": 0.00141}, {"lr": 0.00283}]}
    folder = collect(Store(tmp_path), first, {plan.corpus: Corpus.load(plan.corpus)})
    data = read_records(folder)
    assert data.cells == first.cells
    assert all(each.agrees for run in data.runs for each in identity(Evidence(data, run)))
    later = refined(tmp_path, plan.with_seeds(6))
    assert later.added["refined"] == first.added["refined"]
    other = refined(tmp_path, a_tuned_plan(monkeypatch, best, "seeds=2", "first_seed=100", *words))
    assert other.added["refined"] != first.added["refined"]  # seeds that no look has seen choose anew


def test_added_points_have_the_configuration_of_their_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = a_tuned_plan(monkeypatch, {0: 0.002}, "seeds=1")
    found = refined(tmp_path, plan)
    ids = {spec.cell: spec.id for spec in found.runs}
    for rate in (0.00141, 0.00283):
        for spec in fixture_plan("+sweep=norm_placement", f"optim.lr={rate}", "seeds=1").runs:
            assert ids[f"{spec.cell},lr={rate}"] == spec.id
