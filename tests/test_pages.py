"""What a report says besides its own numbers: the explanation, published results, and how large noise is."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from records import a_run, a_study, some_runs, write_records

from ablate.analysis.resampling import resampled
from ablate.config import BadInput
from ablate.report.render import build
from ablate.report.text.explanation import explanation
from ablate.store.study_file import study_from, study_to_plain

PAPER = {"text": "Post-norm fails.", "source": "Somebody 2020, Table 3"}
NUMBERS = {**PAPER, "unit": "BLEU", "numbers": {"pre": 25.8, "post": 24.15}}


def with_known(*known, **more):
    return study_from({**study_to_plain(a_study(**more)), "known": list(known)})


def report(root: Path, study, runs=None, **manifest) -> str:
    folder = write_records(root, study, runs or some_runs(study, 5), **manifest)
    return (build(root, study.name, folder.name) / "report.md").read_text()


# --- why ------------------------------------------------------------------------------------------------------------

README = """# toy
## Why
Post-norm is *slower*: see
[the paper](https://example.org) and `warmup`.

- First **reason**.
- <b>Second</b> | one.

## What was found
Nothing.
"""


def test_the_explanation_of_the_authors_stands_near_the_top(tmp_path, undrawn):
    (tmp_path / "experiments" / "toy").mkdir(parents=True)
    (tmp_path / "experiments" / "toy" / "README.md").write_text(README)
    text = report(tmp_path, a_study())
    section = text.split("## Why\n")[1].split("\n## ")[0]
    assert "Post-norm is *slower*: see the paper and `warmup`." in section
    assert "- First **reason**." in section
    assert "\\<b\\>Second\\</b\\> \\| one." in section
    assert "Nothing." not in section


def test_without_an_explanation_there_is_no_section(tmp_path):
    assert explanation(tmp_path / "README.md") == []
    (tmp_path / "README.md").write_text("# toy\n## What was found\nIt was found.\n")
    assert explanation(tmp_path / "README.md") == []


# --- published results ----------------------------------------------------------------------------------------------


def test_published_results_are_written_as_they_are_read():
    study = with_known(PAPER, NUMBERS)
    assert study_from(study_to_plain(study)) == study
    assert study.known[1].numbers == {"pre": 25.8, "post": 24.15}
    assert "known" not in study_to_plain(a_study())


BAD = {
    "known must be a list": PAPER,
    "should be {text": ["Somebody 2020"],
    "author is unknown; it may be text, source, numbers, unit": [{**PAPER, "author": "x"}],
    "source is missing": [{"text": "x"}],
    "both numbers and their unit": [{**PAPER, "unit": "BLEU"}],
    "has big, which should be a number": [{**NUMBERS, "numbers": {"pre": "big"}}],
    "a number of other, which is not a variant of this study: pre, post": [{**NUMBERS, "numbers": {"other": 1}}],
}


@pytest.mark.parametrize("what", BAD)
def test_published_results_that_make_no_sense_get_a_line(what):
    with pytest.raises(BadInput, match=re.escape(what)):
        study_from({**study_to_plain(a_study()), "known": BAD[what]})


def test_published_differences_stand_beside_ours(tmp_path, undrawn):
    text = report(tmp_path, with_known(PAPER, NUMBERS))
    section = text.split("## Beside published results")[1].split("\n## ")[0]
    assert section.count("Post-norm fails. (Somebody 2020, Table 3)") == 2
    (row,) = [line for line in section.splitlines() if line.startswith("| `post` |")]
    assert row.startswith("| `post` | 24.15 | \N{MINUS SIGN}1.65 | \N{MINUS SIGN}")
    assert "Beside published results" not in report(tmp_path / "none", a_study())


# --- noise ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arm", [3, 5, 10])
def test_runs_of_one_configuration_are_rarely_told_apart(arm):
    alarms = [resampled(np.random.default_rng(seed).normal(size=40), arm, 0.5, draws=500).alarms for seed in range(40)]
    assert np.mean(alarms) == pytest.approx(0.05, abs=0.01)


def test_means_further_apart_than_the_margin_are_counted():
    values = np.random.default_rng(0).normal(size=400)
    found = resampled(values, 8, margin=0.5)
    assert found.beyond == pytest.approx(0.317, abs=0.03)  # of N(0, 2 / 8), beyond one standard deviation


def test_too_few_runs_are_not_taken_apart():
    assert resampled(range(9), 5, 0.5) is None
    assert resampled(range(9), 1, 0.5) is None


def aa_records(root: Path, seeds: int = 20, **more) -> None:
    mapping = study_to_plain(a_study(("baseline",), name="aa"))
    study = study_from({**mapping, "pairs": "halves"})
    rng = np.random.default_rng(0)
    runs = [a_run(study, "baseline", seed, 40 + float(rng.normal())) for seed in range(seeds)]
    write_records(root, study, runs, **more)


def noise_of(text: str) -> str:
    return text.split("## How large noise is here")[1].split("\n## ")[0]


def test_a_report_says_what_the_aa_study_showed(tmp_path, undrawn):
    aa_records(tmp_path)
    section = noise_of(report(tmp_path, a_study()))
    assert "one configuration was trained with 20 seeds (aa/synthetic-laptop)" in section
    assert "5,000 times 5 of these runs" in section
    assert re.search(r"p is below 0.05 in \d\.\d % of these comparisons", section)
    assert "These are rough" in section


@pytest.mark.parametrize("change", [{"preset": "paper"}, {"corpus": {"fingerprint": "other"}}])
def test_an_aa_study_elsewhere_says_nothing(tmp_path, undrawn, change):
    aa_records(tmp_path, **change)
    assert "Without any difference" not in noise_of(report(tmp_path, a_study()))


def test_a_report_says_what_its_seeds_detect(tmp_path, undrawn):
    study = a_study()
    section = noise_of(report(tmp_path, study, some_runs(study, 5)))
    assert re.search(r"5 seeds detect a difference of 0\.\d+ BLEU with 80 % power", section)
