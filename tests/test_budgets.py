"""Whether a difference holds, grows, shrinks or turns as runs train for longer."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from records import a_run, a_study, write_records

from ablate.analysis.budgets import Course, budget_factor, over_budgets
from ablate.analysis.effects import comparisons
from ablate.analysis.estimators import FIXED
from ablate.report.render import build

UPDATES = (1000, 4000, 16000)
LEVELS = {"train.updates": {n: {"train.updates": n} for n in UPDATES}}


def some_runs(study, means, noise=0.1, lost=()):
    """Runs of post that exceed those of pre by these means, budget by budget."""
    rng = np.random.default_rng(0)
    return [
        a_run(study, cell.name, seed, 40 + seed + (cell.variant == "post") * (mean + noise * rng.normal()),
              "diverged" if (cell.name, seed) in lost else "finished")
        for cell in study.cells()
        for mean in [means[list(LEVELS["train.updates"]).index(cell.factors["train.updates"])]]
        for seed in range(5)
    ]  # fmt: skip


COURSES = {
    "holds": [-2.0, -2.0, -2.0],
    "grows": [-0.5, -1.5, -3.0],
    "shrinks": [-3.0, -1.5, -0.6],
    "shrinks to nothing": [3.0, 1.0, 0.0],
    "grows from nothing": [0.0, 1.0, 3.0],
    "turns": [-2.8, -0.5, 1.5],
    "cannot be told": [0.0, 1.0, -1.0],
}


@pytest.mark.parametrize("what", COURSES)
def test_the_course_of_a_difference(what):
    study = a_study(factors=LEVELS)
    noise = 4.0 if what == "cannot be told" else 0.1
    runs = some_runs(study, COURSES[what], noise)
    (found,) = over_budgets(study, runs, comparisons(study, runs, FIXED), FIXED)
    assert found.course.value == re.sub(" (to|from) nothing", "", what)
    assert found.levels == UPDATES
    assert found.variant == "post"
    assert found.far_enough


def test_survivors_have_no_course():
    study = a_study(factors=LEVELS)
    runs = some_runs(study, COURSES["grows"], lost=[("post,train.updates=4000", 1)])
    (found,) = over_budgets(study, runs, comparisons(study, runs, FIXED), FIXED)
    assert found.course is Course.unclear


@pytest.mark.parametrize(
    ("levels", "enough"), [((1000, 4000, 16000), True), ((1000, 2000, 16000), False), ((1000, 4000), False)]
)
def test_three_budgets_each_four_times_the_last_are_far_enough(levels, enough):
    study = a_study(factors={"train.updates": {n: {"train.updates": n} for n in levels}})
    runs = [
        a_run(study, cell.name, seed, 40 + seed + 0.1 * seed * len(cell.name))
        for cell in study.cells()
        for seed in range(3)
    ]
    (found,) = over_budgets(study, runs, comparisons(study, runs, FIXED), FIXED)
    assert found.far_enough is enough


def test_a_factor_that_sets_something_else_is_no_budget():
    assert budget_factor(a_study(factors={"warmup": {0: {"optim.warmup": 0}, 1: {"optim.warmup": 1}}})) is None
    both = {n: {"train.updates": n, "model.layers": 1} for n in UPDATES}
    assert budget_factor(a_study(factors={"size": both})) is None
    assert budget_factor(a_study(factors={"depth": {0: {"train.updates": 0}, 1: {"train.updates": 9}}})) is None


def test_a_report_says_how_a_difference_goes_on(tmp_path: Path):
    study = a_study(factors=LEVELS)
    folder = write_records(tmp_path, study, some_runs(study, COURSES["turns"]))
    text = (build(tmp_path, "toy", folder.name) / "report.md").read_text()
    section = text.split("### Does the difference last?")[1].split("\n### ")[0]
    assert "`post`: **the difference turns**. BLEU differs by \N{MINUS SIGN}2.79 [" in section
    assert "after 1,000" in section
    assert "It takes 3 budgets" not in section
