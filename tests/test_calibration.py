"""Simulated studies are judged wrongly as seldom, and rightly as often, as the methods promise (tests/README.md)."""

from pathlib import Path

import numpy as np
import pytest
from calibration import LOOKS, NOISES, ROWS, STUDIES, Row, table
from short import case

from ablate.analysis.sequential import SCALE, log_e_values

pytestmark = pytest.mark.calibration
SHORT = ("library Gaussian 5", "detectable 5 20", "conjunctions Gaussian 2 1", "conjunction found 5", "stability t3 5")
ALIKE = ("library", "detectable", "conjunction", "stability")  # of each of these rows one is short
LONG = {  # which take seconds and are like others that are short
    *("A/A Gaussian family", "A/A t3 family", "shares 0.5 10", "shares 0.8 10"),
    *("sequential shares 0.5", "sequential shares 0.8"),
    *("stopping t", "stopping t3", "stopping Laplace", "stopping contaminated", "stopping family"),
    *(name for name in ROWS if name.startswith(ALIKE) and name not in SHORT),
}


@pytest.mark.parametrize("name", [case(name, short=name not in LONG) for name in ROWS])
def test_it_happens_as_often_as_promised(name):
    row = ROWS[name](STUDIES)
    assert row.holds, row
    assert table([row]).splitlines()[-1] in Path(__file__).with_name("README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NOISES)
def test_noises_have_the_same_variance(name):
    assert np.var(NOISES[name](np.random.default_rng(0), (1_000_000,))) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("happened", "law", "holds"), [
    (50, "within", True), (20, "within", False), (90, "within", False),
    (20, "at most", True), (90, "at most", False), (50, "breaks", False), (90, "breaks", True),
])  # fmt: skip
def test_a_row_holds_where_its_count_is_allowed(happened, law, holds):
    assert Row("", "", "", 0.05, happened, 1000, law).holds is holds


@pytest.mark.parametrize("effect", [1.0, 1.5, 2.0])
def test_the_default_scale_finds_effects_nearly_as_soon_as_the_best(effect):
    """Half of all studies have found one after as many seeds as under the best of many scales, give or take one."""
    values = np.random.default_rng(0).normal(effect, 1, (1000, LOOKS[-1]))

    def seeds(scale):
        found = np.array([log_e_values(each, 0.0, scale) for each in values]) >= np.log(20)
        return np.median(np.where(found.any(axis=1), found.argmax(axis=1) + 1, LOOKS[-1] + 1))

    assert seeds(SCALE) <= min(seeds(scale) for scale in (0.25, 0.5, 1, 1.5, 3, 4, 8)) + 1
