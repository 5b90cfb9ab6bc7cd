"""The noise library: which variances it holds, whom they judge, when it is frozen, and what it says of a plan."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpora import fixture_plan
from records import a_run, a_study, some_runs, write_records
from scipy import stats

from ablate.analysis.effects import compare
from ablate.analysis.estimators import ANYTIME, FIXED
from ablate.analysis.moderated import guarded, prior_of
from ablate.analysis.noise import Noise, Spread, mark, once, typical
from ablate.analysis.power import POWER, detectable, seeds_for
from ablate.config import Config
from ablate.data.corpus import Corpus
from ablate.records.collect import collect, freeze_noise, write_gzip
from ablate.records.noise_library import frozen, is_frozen, library
from ablate.records.read import NOISE, read_manifest, read_records
from ablate.report.__main__ import main
from ablate.report.render import build
from ablate.report.text.detectable import noise_lines, outlook
from ablate.store.folders import Store
from ablate.store.plain import config_to_plain
from ablate.study import Pairs

PLACE = ("synthetic", "laptop")
BUDGET = "400 x 1"
SEVEN = [f"v{index}" for index in range(8)]


def recorded(root: Path, name: str, variants: list[str], seeds: int = 3, **more: Any) -> Path:
    study = a_study(variants, name=name)
    return write_records(root, study, some_runs(study, seeds), **more)


def spreads(root: Path, metric: str = "test_bleu") -> list[Spread]:
    return [each for each in library(root).get(PLACE, []) if each.metric == metric]


# What it holds.


def test_it_holds_one_variance_a_contrast_with_its_baseline(tmp_path: Path) -> None:
    study = a_study(["a", "b", "c"])
    runs = some_runs(study, 4)
    write_records(tmp_path, study, runs)
    found = {each.variant: each for each in spreads(tmp_path)}
    assert found.keys() == {"b", "c"}
    scores = {cell: [run["test_bleu"] for run in runs if run["variant"] == cell] for cell in "abc"}
    assert found["b"].variance == pytest.approx(np.var(np.subtract(scores["b"], scores["a"]), ddof=1))
    assert (found["b"].seeds, found["b"].baseline, found["b"].budget) == (4, "a", BUDGET)


LEFT_OUT: dict[str, dict[str, Any]] = {
    "fewer than three pairs": {"seeds": 2},
    "seeds that were added after a look": {
        "looks": [{"seeds": list(range(n)), "purpose": "report", "runs": []} for n in (2, 3)]
    },
    "seeds that were added until claims were decided": {"max_seeds": 20},
}


@pytest.mark.parametrize("what", LEFT_OUT)
def test_it_leaves_out(what: str, tmp_path: Path) -> None:
    recorded(tmp_path, "toy", ["a", "b"], **LEFT_OUT[what])
    assert spreads(tmp_path) == []


def test_it_leaves_out_pairs_that_share_no_seed(tmp_path: Path) -> None:
    study = replace(a_study(["a"]), pairs=Pairs.halves)
    write_records(tmp_path, study, [a_run(study, "a", seed, 40.0 + seed) for seed in range(8)])
    assert spreads(tmp_path) == []


def test_it_leaves_out_contrasts_of_different_budgets(tmp_path: Path) -> None:
    study = a_study(["a", "b"])
    runs = [run | {"config": {"train": {"updates": 100 if run["variant"] == "a" else 200}}} for run in some_runs(study)]
    write_records(tmp_path, study, runs)
    assert spreads(tmp_path) == []


def test_damaged_records_hide_no_others(tmp_path: Path) -> None:
    recorded(tmp_path, "toy", ["a", "b"])
    (recorded(tmp_path, "other", ["a", "b"]) / "manifest.json").write_text("{")
    assert [each.study for each in spreads(tmp_path)] == ["toy"]


def test_a_contrast_that_two_studies_have_counts_once_with_the_most_seeds(tmp_path: Path) -> None:
    recorded(tmp_path, "one", ["a", "b"], seeds=3)
    recorded(tmp_path, "two", ["b", "a"], seeds=5)  # which sets the same keys, as the other variant
    recorded(tmp_path, "three", ["x", "y"], seeds=4)
    assert [(each.study, each.seeds) for each in spreads(tmp_path)] == [("two", 5)]


def test_a_cell_is_known_by_what_it_sets_beside_the_defaults() -> None:
    whole = config_to_plain(Config())
    part: dict[str, Any] = {"model": {"d_model": whole["model"]["d_model"]}}
    other = {"model": {"d_model": 7}}
    assert mark([{"config": whole}]) == mark([{"config": part}]) != mark([{"config": other}])
    assert mark([{}]) == ""


# Whom it judges.


def some_spreads(count: int = 8, study: str = "other", variance: float = 1.0) -> tuple[Spread, ...]:
    """Of a library whose standard deviations are around 1."""
    variances = variance * np.random.default_rng(0).chisquare(4, count) / 4
    return tuple(
        Spread("test_bleu", BUDGET, study, "s", f"v{place}", "base", (f"{place}", "base"), 5, float(each), 40.0)
        for place, each in enumerate(variances)
    )


FOUND = some_spreads()


def prior_without(*left: int) -> Any:
    kept = [each for place, each in enumerate(FOUND) if place not in left]
    return prior_of([each.variance for each in kept], [each.seeds - 1 for each in kept])


def test_a_contrast_is_judged_by_the_others() -> None:
    noise = Noise(FOUND, ("mine", "s"))
    assert noise.prior("test_bleu", BUDGET, "v0", "base", ("x", "y")) == prior_without()
    assert noise.prior("test_bleu", BUDGET, "v9", "base", FOUND[2].cells) == prior_without(2)  # in another study
    own = Noise(FOUND, ("other", "s"))
    assert own.prior("test_bleu", BUDGET, "v1", "base", ("x", "y")) == prior_without(1)
    assert own.prior("test_bleu", BUDGET, "base", "v1", ("x", "y")) == prior_without(1)


@pytest.mark.parametrize(("metric", "budget"), [("test_loss", BUDGET), ("test_bleu", "4000 x 1")])
def test_contrasts_of_another_metric_or_budget_say_nothing(metric: str, budget: str) -> None:
    assert Noise(FOUND).prior(metric, budget, "a", "b", ("x", "y")) is None
    assert Noise(FOUND).spread(metric, budget) is None


def test_losses_over_fewer_references_are_noisier_and_say_nothing() -> None:
    few, many = ([replace(each, metric="test_loss", references=n) for each in FOUND] for n in (0, 3514))
    noise = Noise((*few, *(replace(each, variance=each.variance / 4) for each in many)))
    for references, scale in ((0, 1), (3514, 4)):
        found = noise.prior("test_loss", BUDGET, "a", "b", ("x", "y"), references)
        assert found is not None
        assert found == prior_of([each.variance / scale for each in FOUND], [each.seeds - 1 for each in FOUND])
    assert noise.prior("test_loss", BUDGET, "a", "b", ("x", "y"), 99) is None
    assert len(noise.over("test_loss", BUDGET)) == len(few) + len(many)


def test_a_spread_of_losses_knows_over_how_many_references_they_are(tmp_path: Path) -> None:
    study = a_study(["a", "b"])
    write_records(tmp_path, study, [run | {"loss_references": 77} for run in some_runs(study, 4)])
    found = {each.metric: each.references for each in library(tmp_path)[PLACE]}
    assert (found["test_loss"], found["validation_loss"], found["test_bleu"]) == (77, 0, 0)


def test_fewer_than_six_others_say_nothing() -> None:
    six = FOUND[:6]
    assert Noise(six).prior("test_bleu", BUDGET, "a", "b", ("x", "y")) is not None
    assert Noise(six).prior("test_bleu", BUDGET, "a", "b", six[0].cells) is None


def test_a_fluke_of_a_spread_is_judged_by_the_library() -> None:
    study = a_study()
    runs = [
        a_run(study, cell, seed, 40 + seed + 0.6 * (cell == "pre") + 0.01 * seed * (cell == "pre"))
        for cell in ("pre", "post")
        for seed in range(3)
    ]
    plain, judged, sequential = (
        compare(runs, "test_bleu", "pre", "post", estimator)
        for estimator in (FIXED, FIXED.knowing(Noise(FOUND)), ANYTIME.knowing(Noise(FOUND)))
    )
    assert (plain.effect.method, judged.effect.method, sequential.effect.method) == (
        "paired_t", "moderated", "sequential",
    )  # fmt: skip
    assert judged.effect == guarded(plain.effect, prior_without())
    assert judged.effect.plain == (plain.effect.low, plain.effect.high)
    assert plain.effect.low > 0 > judged.effect.low


def test_once_keeps_the_first_of_equals() -> None:
    assert once([*FOUND, *some_spreads(study="later")]) == [*FOUND]


# When it is frozen.


def test_it_is_frozen_at_the_first_report_on_a_set_of_seeds(tmp_path: Path) -> None:
    plan = fixture_plan("+sweep=norm_placement", "seeds=3")

    def collected(plan: Any) -> bytes:
        folder = collect(Store(tmp_path), plan, {plan.corpus: Corpus.load(plan.corpus)})
        freeze_noise(tmp_path, folder, config_to_plain(plan.preset))
        return (folder / NOISE).read_bytes()

    first = collected(plan)
    study = a_study(["a", "b"], name="later")
    corpus = json.loads((tmp_path / f"experiments/norm_placement/{plan.setting}/manifest.json").read_text())["corpus"]
    write_records(tmp_path, study, some_runs(study), preset="smoke", corpus=corpus)
    assert collected(plan) == collected(plan.with_seeds(5)) == first
    assert collected(fixture_plan("+sweep=norm_placement", "seeds=3", "first_seed=100")) != first


def with_library(root: Path) -> Path:
    """A setting that was reported when the records held seven other contrasts."""
    recorded(root, "others", SEVEN, seeds=4)
    folder = recorded(root, "toy", ["pre", "post"])
    write_gzip(folder / NOISE, [frozen(root, read_manifest(folder), config_to_plain(Config()))])
    return folder


def test_a_report_rebuilds_from_its_own_copy(tmp_path: Path) -> None:
    folder = with_library(tmp_path)
    assert is_frozen(folder, read_manifest(folder))
    first = (build(tmp_path, "toy", folder.name) / "report.md").read_bytes()
    data = read_records(folder)
    assert {each.effect.plain is not None for each in data.comparisons} == {True}
    shutil.rmtree(tmp_path / "experiments" / "others")
    assert (build(tmp_path, "toy", folder.name) / "report.md").read_bytes() == first


def test_a_setting_without_a_library_is_judged_by_plain_intervals(tmp_path: Path) -> None:
    folder = with_library(tmp_path)
    (folder / NOISE).unlink()
    assert not is_frozen(folder, read_manifest(folder))
    assert {each.effect.method for each in read_records(folder).comparisons} == {"paired_t"}


# What it says.


@pytest.mark.parametrize("seeds", [2, 5, 10, 20])
def test_what_seeds_detect_is_the_power_of_the_noncentral_t(seeds: int) -> None:
    shift, critical = detectable(seeds) * math.sqrt(seeds), stats.t.ppf(0.975, seeds - 1)
    power = stats.nct.sf(critical, seeds - 1, shift) + stats.nct.cdf(-critical, seeds - 1, shift)
    assert power == pytest.approx(POWER, abs=1e-4)


def test_seeds_for_a_difference_are_the_least_that_detect_it() -> None:
    n = seeds_for(0.5, 1.0)
    assert n is not None
    assert detectable(n) <= 0.5 < detectable(n - 1)
    assert seeds_for(0.0, 1.0) is seeds_for(1e-6, 1.0) is seeds_for(0.5, math.nan) is None


def test_the_typical_spread_is_that_of_most_contrasts() -> None:
    wild = Spread("test_bleu", BUDGET, "w", "s", "v", "b", ("x", "y"), 5, 400.0, 40.0)
    assert typical([*some_spreads(2000), wild]) == pytest.approx(1, abs=0.05)


def test_the_library_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded(tmp_path, "others", SEVEN, seeds=4)
    assert main(["--noise", f"root={tmp_path}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("synthetic, preset laptop: ")
    (bleu,) = [line.split() for line in lines if line.strip().startswith("test_bleu ")]
    assert bleu[:5] == ["test_bleu", "400", "x", "1", "7"]
    spread = typical(spreads(tmp_path))
    assert [float(each) for each in bleu[-4:-1]] == pytest.approx(
        [spread * detectable(n) for n in (5, 10, 20)], rel=0.05
    )
    assert list(noise_lines("synthetic", "laptop", [])) == lines[:1] + list(noise_lines("x", "y", []))[1:]


CLAIM = {"id": "c", "sentence": "s", "contrast": "pre - post", "kind": "directional", "metric": "test_bleu"}


@pytest.mark.parametrize(("margin", "seeds", "too_few"), [(5.0, 5, False), (0.5, 5, True), (0.5, 50, False)])
def test_a_plan_says_whether_its_seeds_can_decide(margin: float, seeds: int, too_few: bool) -> None:
    study = a_study(claims=[CLAIM | {"margin": margin}], metric="parameters")
    (line,) = outlook(Noise(FOUND), study, BUDGET, seeds)
    assert f"{seeds} seeds detect a difference of " in line
    assert ("too few for the margin" in line) is too_few
    (line,) = outlook(Noise(), study, BUDGET, seeds)
    assert "too few contrasts in the records" in line


def test_a_margin_that_is_a_share_is_one_of_the_baselines_in_the_records(tmp_path: Path) -> None:
    recorded(tmp_path, "others", SEVEN, seeds=4)
    noise = Noise(tuple(library(tmp_path)[PLACE]))
    (line,) = outlook(noise, a_study(metric="test_loss"), BUDGET, 3)
    assert "too few for the margin of 0.016" in line  # 1 % of a loss of 1.6
