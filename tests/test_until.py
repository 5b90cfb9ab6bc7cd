"""until=resolved goes on while a claim is open, and no longer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from forks import QUICK, ablate
from records import a_study, some_runs, write_records

from ablate.records.read import read_records
from ablate.report.render import build
from ablate.run.until import open_questions

CLAIM = {
    "id": "c-1", "sentence": "A is better.", "contrast": "pre - post", "metric": "test_bleu", "kind": "directional",
}  # fmt: skip


@pytest.mark.parametrize(("step", "seeds", "open_ids"), [(8.0, 8, []), (-8.0, 8, []), (0.5, 3, ["c-1"])])
def test_a_claim_is_open_until_it_is_decided_either_way(
    tmp_path: Path, step: float, seeds: int, open_ids: list[str]
) -> None:
    study = a_study(claims=[CLAIM])
    folder = write_records(tmp_path, study, some_runs(study, seeds, step), max_seeds=20)
    assert open_questions(read_records(folder)) == open_ids


def test_without_claims_the_variants_are_what_is_open(tmp_path: Path) -> None:
    study = a_study(("a", "b", "c"))
    folder = write_records(tmp_path, study, some_runs(study, 3, 0.5), max_seeds=20)
    assert set(open_questions(read_records(folder))) <= {"b", "c"}
    assert open_questions(read_records(folder))


def test_what_survivors_cannot_decide_is_not_waited_for(tmp_path: Path) -> None:
    study = a_study(claims=[CLAIM])
    folder = write_records(tmp_path, study, some_runs(study, 8, 8.0, diverged=[("post", 0)]), max_seeds=20)
    assert open_questions(read_records(folder)) == []


@pytest.mark.usefixtures("undrawn")
def test_looking_again_takes_wider_intervals_and_says_so(tmp_path: Path) -> None:
    study = a_study(claims=[CLAIM])
    runs = some_runs(study, 8, 1.0)
    once = read_records(write_records(tmp_path / "once", study, runs))
    again = read_records(write_records(tmp_path / "again", study, runs, max_seeds=20))
    (one,), (other,) = once.comparisons, again.comparisons
    assert one.effect.mean == pytest.approx(other.effect.mean)
    assert other.effect.high - other.effect.low > one.effect.high - one.effect.low
    texts = [
        (build(root, "toy", "synthetic-laptop") / "report.md").read_text()
        for root in (tmp_path / "once", tmp_path / "again")
    ]
    assert "confidence sequence" not in texts[0]
    assert "confidence sequence" in texts[1]
    assert "Seeds were added" in texts[1]


@pytest.mark.long
def test_seeds_are_added_up_to_the_most_and_only_those_are_trained(tmp_path: Path) -> None:
    words = ["+sweep=norm_placement", "preset=smoke", "data=fixture", "train.updates=20", *QUICK]
    command = [*words, "until=resolved", f"root={tmp_path}"]
    first = ablate(*command, "max_seeds=3")
    assert first.returncode == 0, first.stderr
    assert re.search(r"undecided after 2 seeds: norm-.*; training 3 seeds", first.stdout)
    assert "max_seeds=3 are trained; undecided: " in first.stdout
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/result.json")}
    assert len(times) == 6
    second = ablate(*command, "max_seeds=4")
    assert second.returncode == 0, second.stderr
    assert len(list(tmp_path.glob("runs/*/result.json"))) == 8
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    report = next(tmp_path.glob("reports/*/*/report.md")).read_text()
    assert re.search(r"4 seeds a variant", report)
