"""Kill a study anywhere: the same command again goes on, touches nothing that was finished, and ends as one that nobody
disturbed.

Where it is killed is drawn from everything that an undisturbed study does to its files, in each of its phases, before
it is done, halfway through and after, and from its time.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults import RANDOM, Ended, Kill, Study, Touch, Trace
from short import sometimes
from waiting import PATIENCE

from ablate.records.read import read_records
from ablate.report.render import markdown, results_csv
from ablate.report.text.summary import summary
from ablate.run.costs import NAME as COSTS

PHASES = {  # -> what is done to files in it, verb and name; the first that fits
    "planning": r"root/runs/\w+/\.?(run\.json|failure|notes)|remove .*/running$|create root/\w+$",
    "fetching": r"cache/(downloads|locks/tatoeba)",
    "preparing": r"cache/",
    "checkpointing": r"checkpoint",
    "scoring": r"read .*/weights\.pt|append .*/failure",
    "results": r"\.?(result.*\.json|weights\.pt)",
    "training": r"root/runs/",
    "collecting": r"root/experiments/",
    "reporting": r"root/reports/",
}
POINTS = 4  # in each phase
TIMES = 4  # kills at random times, of a study with workers
SHORT = ("checkpointing 2",)  # what the short suite tries
UPDATES = 20  # of each of the four runs
COMMAND = (
    "+sweep=norm_placement",
    "preset=smoke",
    f"train.updates={UPDATES}",
    "wandb.mode=disabled",
    "cost_probe=false",
)
SMALL = (*COMMAND, "data=tatoeba", "workers=1")
PLAIN = (*COMMAND, "data=fixture")
TIMED = ("decoding_seconds", "seconds", "tokens_per_second", "peak_memory", "provenance")


def phase_of(touch: Touch) -> str | None:
    return next((phase for phase, what in PHASES.items() if re.search(what, f"{touch.verb} {touch.name}")), None)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Touch], dict[str, Any]]:
    """All that a study does to its files, in order, and what it leaves."""
    folder = tmp_path_factory.mktemp("undisturbed")
    study = Study(folder / "study", SMALL)
    ended = study.run(Trace(log=folder / "trace"))
    assert ended.code == 0, ended.err
    touches = [Touch(*line.split(" ", 1)) for line in (folder / "trace").read_text().splitlines()]
    return touches, left_by(study.root)


def point(touches: list[Touch], phase: str, number: int) -> Kill:
    """One of the phase's moments, the same for the same number each time; each is at another file, where it can be."""
    drawn = random.Random(phase)
    what = sorted({(touch.name, touch.verb) for touch in touches if phase_of(touch) == phase})
    name, verb = (drawn.sample(what, len(what)) * POINTS)[number]
    drawn = random.Random(f"{phase} {number}")
    halfway = ["halfway"] if verb in ("replace", "append") else []
    when = drawn.choice(["before", "after", "later", *halfway, *halfway])
    return Kill(verb, name, drawn.randint(1, touches.count(Touch(verb, name))), when, drawn.uniform(0, 0.5))


@pytest.mark.parametrize("where", sometimes([f"{phase} {n}" for phase in PHASES for n in range(POINTS)], *SHORT))
def test_a_study_killed_anywhere_ends_as_one_that_was_not(tmp_path: Path, undisturbed, where: str) -> None:
    touches, expected = undisturbed
    phase, number = where.split()
    study, kill = Study(tmp_path, SMALL), point(touches, phase, int(number))
    killed = study.run(kill)
    assert killed.code == -signal.SIGKILL, (kill, killed)
    goes_on(study, expected)


@pytest.mark.long
def test_a_study_killed_while_its_costs_are_measured_goes_on(tmp_path: Path, undisturbed) -> None:
    command = tuple(given.replace("cost_probe=false", "cost_probe=true") for given in SMALL)
    study = Study(tmp_path / "study", command)
    assert study.run(Kill("remove", f"*/{COSTS}", when="later", seconds=1.0)).code == -signal.SIGKILL
    goes_on(study, undisturbed[1])
    assert len(list(study.root.glob(f"experiments/*/*/{COSTS}"))) == 1


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the study leaves whose workers are killed."""
    study = Study(tmp_path_factory.mktemp("alone"), (*PLAIN, "workers=1"))
    assert study.run().code == 0
    return left_by(study.root)


@pytest.mark.long
@pytest.mark.parametrize("whom", ["everybody", "a worker"])
@pytest.mark.parametrize("number", range(TIMES))
def test_a_study_whose_workers_are_killed_at_any_time_ends_as_one_that_was_not(
    tmp_path: Path, alone: dict[str, Any], whom: str, number: int
) -> None:
    """As from a shell, with workers in processes of their own."""
    study, drawn = Study(tmp_path, PLAIN), random.Random(f"{whom} {number}")
    process = from_a_shell(study)
    wait_for_updates(study.root, drawn.randrange(4 * UPDATES))
    if whom == "everybody":
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        goes_on(study, alone, lambda: ended(from_a_shell(study)))
    else:
        while not kill_one_of(study.root, drawn):
            assert process.poll() is None
        done = ended(process)
        assert done.code == 0, done
        assert "a worker died" in done.out
        assert left_by(study.root) == alone
        assert left_over(study.folder) == []


def from_a_shell(study: Study) -> subprocess.Popen:
    command = [sys.executable, "-m", "ablate", *study.command(), "workers=2"]
    environment = os.environ | {"ABLATE_CACHE": str(study.cache)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=environment, text=True, start_new_session=True, **pipes)


def ended(process: subprocess.Popen) -> Ended:
    out, err = process.communicate(timeout=PATIENCE)
    return Ended(process.returncode, out, err)


def wait_for_updates(root: Path, updates: int) -> None:
    """Until the runs of a study have come so far, all together."""
    while sum(max(0, path.read_bytes().count(b"\n") - 1) for path in root.glob("runs/*/curve.csv")) < updates:
        time.sleep(0.01)


def kill_one_of(root: Path, drawn: random.Random) -> bool:
    """SIGKILL to whoever is at one of the runs, if anybody is."""
    with contextlib.suppress(IndexError, FileNotFoundError, ProcessLookupError):
        at_it = drawn.choice(sorted(root.glob("runs/*/running")))
        os.kill(int(at_it.read_text().split()[0]), signal.SIGKILL)
        return True
    return False


def goes_on(study: Study, expected: dict[str, Any], run: Callable[[], Ended] | None = None) -> None:
    """The same command again, and what must hold of it."""
    check_whole(study.root)
    before = finished(study.root)
    again = (run or study.run)()
    assert again.code == 0, again
    assert "Traceback" not in again.err
    after = finished(study.root)
    assert {path: after.get(path) for path in before} == before
    assert left_by(study.root) == expected
    assert left_over(study.folder) == []


def finished(root: Path) -> dict[Path, tuple[int, int]]:
    """Every result file, its inode and its time."""
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in root.glob("runs/*/[er][ev]*.json")}


def left_by(root: Path) -> dict[str, Any]:
    """The records, time aside; and the report, which must be the one that these records make."""
    (records,) = root.glob("experiments/*/*")
    left: dict[str, Any] = {path.name: content(path) for path in records.iterdir() if path.name != COSTS}
    left["runs.jsonl"] = [{k: v for k, v in run.items() if k not in TIMED} for run in left["runs.jsonl"]]
    (report,) = root.glob("reports/*/*")
    left["report"] = sorted(path.name for path in report.iterdir())  # a study in this process draws fewer figures
    data = read_records(records)
    figures = {name: {} for name in FIGURES_IN.findall((report / "report.md").read_text())}
    assert (report / "report.md").read_text() == markdown(data, figures)
    assert (report / "results.csv").read_text() == results_csv(data)
    assert content(report / "summary.json") == summary(data)
    return left


FIGURES_IN = re.compile(r"\(<?figures/(\w+)\.\w+>?\)")


def content(path: Path) -> Any:
    """What a record holds, or a report's table. Raises where it is not whole."""
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    if path.suffix == ".json":
        return json.loads(text)
    return [json.loads(line) for line in text.splitlines()]


def check_whole(root: Path) -> None:
    """No record and no report is half-written, at any time."""
    for path in root.glob("experiments/*/*/[!.]*"):
        content(path)
    for path in [*root.glob("reports/*/*/[!.]*"), *root.glob("reports/*/*/figures/[!.]*")]:
        if path.is_file():
            assert path.read_bytes().rstrip().endswith(ENDS[path.suffix]), path
    for report in root.glob("reports/*/*/report.md"):
        assert {"report.html", "results.csv", "summary.json"} <= {path.name for path in report.parent.iterdir()}
        for name in FIGURES_IN.findall(report.read_text()):
            assert list((report.parent / "figures").glob(f"{name}.*"))
    for path in root.glob("reports/*/*/results.csv"):
        rows = list(csv.reader(path.open()))
        assert {len(row) for row in rows} == {len(rows[0])}


ENDS = {".html": b"</html>", ".svg": b"</svg>", ".png": b"IEND\xaeB`\x82", ".json": b"}", ".csv": b"", ".md": b""}


def left_over(folder: Path) -> list[Path]:
    """Files and folders in the making that nobody is making any more."""
    return [path for path in folder.rglob("*") if path.suffix == ".part" or RANDOM.search(path.name)]
