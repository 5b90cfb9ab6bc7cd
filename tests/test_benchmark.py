"""The benchmark: what it makes of measurements, and measuring ablate itself, at a size whose numbers mean nothing."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from ablate.benchmark import PARTS, command, processes, throughput
from ablate.benchmark.__main__ import main
from ablate.benchmark.command import PEER_PACKAGES
from ablate.benchmark.measurements import FOLDER, Measurements, Rates, StoreCost, read_all, write
from ablate.benchmark.page import rebuild, text
from ablate.benchmark.processes import Subject
from ablate.benchmark.ratios import exponent, ratio
from ablate.benchmark.surroundings import portable
from ablate.benchmark.targets import TARGETS
from ablate.benchmark.throughput import LONE, PAIR, STUDY, in_turn, training_turns, translation_turns
from ablate.benchmark.workload import Workload, workload

WORK = Workload(
    corpus="toy", fingerprint="none", vocabulary_size=8000, model={}, batch_tokens=1000, batch_sentences=64,
    updates=100, sentences=1000, length=15, tokens_a_run=900_000.0,
)  # fmt: skip


def peer(batches: str, malloc: str, *rates: float, subject: str = "JoeyNMT") -> Rates:
    return Rates(subject=subject, batches=batches, malloc=malloc, threads=2, rates=list(rates))


RECORD = Measurements(
    command="python -m ablate.benchmark", started_at="2026-01-02T03:04:05+00:00", seconds=60.0,
    machine={"processor": "none", "cores": 2, "memory": None, "platform": "none"}, versions={"torch": "0"}, rounds=2,
    workload=WORK,
    training=[
        Rates(subject=LONE, rates=[5000.0, 4000.0]),
        Rates(subject=STUDY, threads=2, processes=2, rates=[10000.0, 8000.0]),
        peer("own", "installed", 2500.0, 2000.0), peer("own", "installed", 1000.0, 1000.0, subject="slow"),
        peer("ours", "tuned", 5000.0, 5000.0),
        Rates(subject="broken", batches="own", malloc="installed", failure="no such module"),
    ],
    translation=[
        Rates(subject=LONE, rates=[60.0, 60.0]), Rates(subject=PAIR, threads=2, rates=[100.0, 110.0]),
        peer("ours", "tuned", 50.0, 50.0), peer("own", "installed", 400.0, 400.0, subject="CTranslate2, int8"),
    ],
    against={"ours": [100.0, 130.0], "theirs": [80.0, 100.0], "commit": "abc"},
    limit={"seconds": [0.1], "products": [{"512": 1e11, "1024": 9e10}], "operations": 7e9, "useful": 6e9, "share": 0.7},
    gpu={"device_name": "none", "tokens_a_second": 1e6, "seconds": [0.002], "floor": [0.001], "training_memory": 2**30},
    growth={"depth": {"1": [1.0, 1.1], "2": [2.0, 2.1], "4": [4.0, 4.3]}},
    store=[StoreCost(runs=10_000, planning=[2.0, 4.0, 2.5], collecting=[9.0])],
    study_seconds=600.0,
)  # fmt: skip
REACHED = [4.0, 1.8, 2.1, 1.275, 0.7, 10.0, 2.5]  # of RECORD, by target
MET = [True, False, False, True, True, False, True]


def test_a_ratio_is_the_median_of_those_within_a_round() -> None:
    found = ratio([10.0, 30.0, 20.0], [1.0, 10.0, 5.0])
    assert (found.median, found.low, found.high) == (4.0, 3.0, 10.0)


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_the_exponent_of_a_power_law_is_found_within_a_narrow_interval(slope: float) -> None:
    found = exponent({level: [3 * level**slope] * 2 for level in (1.0, 2.0, 4.0, 8.0)})
    assert found is not None
    assert found.slope == pytest.approx(slope, abs=1e-9)
    assert found.high - found.low < 1e-6


def test_the_interval_of_an_exponent_shows_that_the_cost_is_no_power_law() -> None:
    found = exponent({level: [100 + level**2] for level in (1.0, 4.0, 16.0, 64.0)})
    assert found is not None
    assert found.high - found.low > 1
    assert exponent({1.0: [1.0], 2.0: [2.0]}) is None


@pytest.mark.parametrize("index", range(len(TARGETS)))
def test_a_target_is_held_against_what_was_measured_within_each_round(index: int) -> None:
    target = TARGETS[index]
    found = target.find(RECORD)
    assert found is not None
    assert found.value.median == pytest.approx(REACHED[index])
    assert target.met(found) == MET[index]


def test_a_target_that_was_not_measured_is_neither_reached_nor_missed(tmp_path: Path) -> None:
    write(tmp_path, structs.replace(RECORD, training=[], translation=[], against=None, limit=None, gpu=None, growth={},
                                    store=[], study_seconds=None))  # fmt: skip
    page = rebuild(tmp_path).read_text(encoding="utf-8")
    assert page.count("| not measured |") == len(TARGETS)
    assert "reached" not in page


def test_the_page_is_made_of_the_records_alone_and_says_what_was_missed(tmp_path: Path) -> None:
    write(tmp_path, structs.replace(RECORD, study_seconds=1.0))
    later = write(tmp_path, structs.replace(RECORD, started_at="2026-02-02T03:04:05+00:00"))
    page = rebuild(tmp_path)
    content = page.read_text(encoding="utf-8")
    assert content == text(read_all(tmp_path))
    assert content.count("**missed**") == MET.count(False)
    assert content.count(f"| {later.name} |") == len(TARGETS) + 1
    assert "broken, its own batches, malloc as installed | 1 | not measured: no such module" in content
    assert "over JoeyNMT, its own batches, malloc as installed" in content
    assert (page.parent / "growth.svg").read_text(encoding="utf-8").startswith("<?xml")
    before = page.read_bytes()
    assert main(["--page", f"root={tmp_path}"]) == 0
    assert page.read_bytes() == before


def test_a_quick_record_does_not_replace_a_full_one(tmp_path: Path) -> None:
    quick = structs.replace(RECORD, workload=structs.replace(WORK, quick=True))
    write(tmp_path, structs.replace(quick, started_at="2026-03-02T03:04:05+00:00"))
    assert "Their numbers mean nothing" in rebuild(tmp_path).read_text(encoding="utf-8")
    write(tmp_path, RECORD)
    assert "mean nothing" not in rebuild(tmp_path).read_text(encoding="utf-8")


def test_the_page_names_records_of_a_busy_machine(tmp_path: Path) -> None:
    write(tmp_path, structs.replace(RECORD, busy=0.05))
    assert "Other processes were busy" not in rebuild(tmp_path).read_text(encoding="utf-8")
    path = write(tmp_path, structs.replace(RECORD, busy=1.5))
    assert f"Other processes were busy when {path.name} was begun" in rebuild(tmp_path).read_text(encoding="utf-8")


def test_a_record_names_no_path_of_the_machine() -> None:
    given = ["data.path=/home/me/x", "--root", "/home/me", "against=/home/me/y", "rounds=3", "--study"]
    assert portable(given) == ["data.path=...", "--root", "...", "against=...", "rounds=3", "--study"]


BAD: dict[str, tuple[list[str], str]] = {
    "an unknown part": (["parts=speed"], f"there are {', '.join(PARTS)}"),
    "no rounds": (["rounds=0"], "must be at least 1"),
    "an unknown kind of peers": (["peers=some"], "'all', 'none'"),
    "no checkout": (["against=."], "ablate/__init__.py"),
    "an unknown corpus": (["data=nowhere", "parts=", "peers=none"], "nowhere"),
    "nothing to measure": (["data=fixture", "--quick", "parts="], "give parts="),
    "no records": (["--page"], "python -m ablate.benchmark makes one"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_line(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, expected = BAD[case]
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line


def test_a_damaged_record_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / FOLDER / "x.json").write_text("{}")
    assert main(["--page", f"root={tmp_path}"]) == 2
    assert "x.json is no record of the benchmark" in capsys.readouterr().err


def test_missing_packages_of_peers_get_one_line_that_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(command, "find_spec", lambda name: None if name in PEER_PACKAGES else find(name))
    assert main(["data=fixture", "--quick"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert 'pip install -e ".[benchmark]"' in line
    assert "peers=none" in line


@pytest.fixture(scope="module")
def tiny() -> Workload:
    return workload(["data=fixture"], quick=True, updates=2)


@pytest.mark.long
def test_ablate_alone_is_measured(tiny: Workload) -> None:
    found = in_turn("training", training_turns(tiny, []), tiny, 1, lambda line: None)
    assert [(each.subject, each.failure, len(each.rates)) for each in found] == [(LONE, None, 1), (STUDY, None, 1)]
    assert min(rate for each in found for rate in each.rates) > 0


def test_subjects_take_turns_in_alternating_order(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    def together(subjects: Sequence[Subject]) -> list[dict[str, Any]]:
        started.append(len(subjects))
        return [{"tokens": 10 * len(started), "seconds": 2.0 + number} for number in range(len(subjects))]

    monkeypatch.setattr(throughput, "together", together)
    found = in_turn("training", training_turns(WORK, []), WORK, 2, lambda line: None)
    assert started == [1, 2, 2, 1]  # processes at a time
    assert [each.rates for each in found] == [[10 / 2, 40 / 2], [2 * 20 / 3, 2 * 30 / 3]]


def test_translations_of_ablate_all_have_the_fixed_length(tiny: Workload) -> None:
    found = in_turn("translation", translation_turns(tiny, [], [])[:1], tiny, 1, lambda line: None)
    assert (found[0].note, found[0].failure) == (None, None)
    assert len(found[0].rates) == 1


def test_what_fails_is_named_and_not_tried_again(tiny: Workload) -> None:
    lines: list[str] = []
    wrong = structs.replace(tiny, model={**tiny.model, "heads": 3})
    found = in_turn("training", training_turns(wrong, [])[:1], wrong, 3, lines.append)
    assert "model.heads=3" in str(found[0].failure)
    assert found[0].rates == []
    assert len(lines) == 1


def test_a_subject_inherits_no_setting_of_malloc_or_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    plain = processes.environment(Subject("own", {}))
    tuned = processes.environment(Subject("own", {}, tuned=True))
    assert not {name for name in plain if name.startswith("MALLOC_")} | ({"OMP_NUM_THREADS"} & set(plain))
    assert set(tuned) - set(plain) == set(processes.TUNED)


@pytest.mark.long
def test_a_quick_run_measures_every_part_of_ablate_itself(tmp_path: Path) -> None:
    arguments = [
        "data=fixture",
        "peers=none",
        "parts=limit,growth,store,gpu",
        "rounds=1",
        "--quick",
        f"root={tmp_path}",
    ]
    assert main([*arguments, f"against={processes.CHECKOUT}"]) == 0
    (path,) = (tmp_path / FOLDER).glob("*.json")
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert record["limit"]["operations"] > record["limit"]["useful"] > 0
    assert 0 < record["limit"]["share"] < 1
    assert set(record["growth"]) == {"members", "depth", "width", "length", "batch"}
    assert record["store"][0]["runs"] == 10
    assert all(math.isfinite(rate) for rate in record["against"]["theirs"])
    assert (tmp_path / FOLDER / "README.md").exists()
