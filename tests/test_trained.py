"""Whether a run trained: the bar is half of what the preset's default configuration reaches."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from corpora import composed, fixture_plan
from records import CORPUS, UPDATES, a_study, some_runs, write_records

from ablate.analysis.trained import Default, bar, defaults, has_trained
from ablate.analysis.verdicts import Verdict
from ablate.config import Config
from ablate.plan.composition import plan
from ablate.records.collect import write_gzip
from ablate.records.noise_library import frozen
from ablate.records.read import NOISE, read_manifest, read_records
from ablate.report.render import build
from ablate.store.plain import config_to_plain

UNIGRAM = 5.0
BUDGET = f"{UPDATES} x 1"
DEFAULT = Default("feedbeef", BUDGET, 1.6, ("a", "b", "c"))
BAR = 3.3  # halfway


def a_record(**changes: Any) -> dict[str, Any]:
    config = {"train": {"updates": UPDATES}, "model": {}, "optim": {}}
    return {"run_id": "r", "status": "finished", "validation_loss": 1.5, "updates": UPDATES, "corpus": "feedbeef",
            "config": config, **changes}  # fmt: skip


OUTCOMES: dict[str, tuple[dict[str, Any], int | None]] = {
    "as good as the default": ({}, 1),
    "just within": ({"validation_loss": BAR - 1e-9}, 1),
    "just short": ({"validation_loss": BAR + 1e-6}, 0),
    "learned, and no more": ({"validation_loss": 4.5}, 0),
    "diverged": ({"status": "diverged", "validation_loss": None}, 0),
    "a fault": ({"status": "failed", "validation_loss": None}, None),
    "no updates": ({"updates": 0}, None),
    "another budget": ({"config": {"train": {"updates": 7}}}, None),
    "another corpus": ({"corpus": "cafe"}, None),
}


@pytest.mark.parametrize("what", OUTCOMES)
def test_a_run_trained_where_it_closed_half_of_the_gap(what: str) -> None:
    changes, expected = OUTCOMES[what]
    assert bar(UNIGRAM, DEFAULT) == pytest.approx(BAR)
    assert has_trained(a_record(**changes), UNIGRAM, [DEFAULT]) == expected


def test_a_default_that_learned_nothing_is_no_bar() -> None:
    assert has_trained(a_record(), UNIGRAM, [Default("feedbeef", BUDGET, 5.0, ())]) is None


def default_runs(losses: list[float], **config: Any) -> list[dict[str, Any]]:
    sections = {"train": {"updates": UPDATES}, "model": {}, "optim": {}, **config}
    return [a_record(run_id=str(place), validation_loss=loss, config=sections) for place, loss in enumerate(losses)]


def test_the_bar_is_the_median_of_the_default_configurations_runs_in_all_studies() -> None:
    plain = config_to_plain(Config())
    others = default_runs([9.0] * 3, model={"layers": 7})
    longer = default_runs([1.0] * 3, train={"updates": 2 * UPDATES})
    lost = [a_record(run_id="d", status="diverged", validation_loss=None)]
    found = defaults([*default_runs([1.4, 1.9, 1.6]), *default_runs([1.4, 1.9, 1.6]), *others, *longer, *lost], plain)
    assert found == [
        Default("feedbeef", BUDGET, 1.6, ("0", "1", "2")),
        Default("feedbeef", f"{2 * UPDATES} x 1", 1.0, ("0", "1", "2")),
    ]


def test_two_runs_of_the_default_are_too_few() -> None:
    assert defaults(default_runs([1.4, 1.9]), config_to_plain(Config())) == []


@pytest.mark.parametrize("preset", ["laptop", "smoke", "paper"])
def test_the_default_of_a_preset_is_neither_the_studys_nor_the_command_lines(preset: str) -> None:
    alone = plan(composed, ["data=fixture", f"preset={preset}"])
    found = plan(composed, ["data=fixture", f"preset={preset}", "+sweep=residual", "optim.lr=0.1"])
    first, second, third = ((each.model, each.optim, each.train) for each in (found.preset, alone.preset, alone.config))
    assert first == second == third


def test_a_plan_of_one_preset_knows_its_default() -> None:
    assert fixture_plan("+sweep=norm_placement").preset.model.d_model == 32


# In reports.

CLAIM = {"id": "c", "sentence": "s", "contrast": "pre - post", "kind": "share_trained"}


def recorded(root: Path) -> Path:
    """Runs of which those of post have learned, and not trained, beside runs of the default."""
    study = a_study(claims=[CLAIM])
    runs = [
        run | {"validation_loss": 1.5 if run["variant"] == "pre" else 4.0, "learned": 1} for run in some_runs(study, 5)
    ]
    folder = write_records(root, study, runs)
    default = {"model": {"layers": 2, "d_model": 128, "ffn_ratio": 1}, "train": {"updates": 7}, "optim": {}}
    write_gzip(folder / NOISE, [frozen(root, read_manifest(folder), default)])
    return folder


def test_claims_about_training_are_tested_on_the_runs_that_trained(tmp_path: Path) -> None:
    data = read_records(recorded(tmp_path))
    assert [run["trained"] for run in data.runs] == [1] * 5 + [0] * 5
    (found,) = data.verdicts
    assert found.verdict is Verdict.supported
    assert "pre: 5 of 5 trained" in found.only.note


def test_reports_show_which_runs_trained(tmp_path: Path) -> None:
    folder = build(tmp_path, "toy", recorded(tmp_path).name)
    assert [row["trained"] for row in csv.DictReader((folder / "results.csv").open())] == ["1"] * 5 + ["0"] * 5
    text = (folder / "report.md").read_text()
    assert "**Runs that trained: `pre` 5 of 5; `post` 0 of 5.**" in text
    assert "| 5 of 5 | 0 of 5 |" in text
    assert "difference in the share that trained" in text


def test_without_runs_of_the_default_nobody_knows(tmp_path: Path) -> None:
    folder = recorded(tmp_path)
    (folder / NOISE).unlink()
    data = read_records(folder)
    assert {run["trained"] for run in data.runs} == {None}
    (found,) = data.verdicts
    assert found.verdict is None
    assert CORPUS["unigram_cross_entropy"] == UNIGRAM
