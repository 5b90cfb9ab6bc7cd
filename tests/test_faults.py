"""What goes wrong around a study, by name: each gives a clear line and the right exit code, and loses nothing."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faults import Ended, Jump, Kill, Refuse, Study, Vanish
from short import each_once, sometimes
from test_kills import SMALL, check_whole, finished, left_by, left_over
from waiting import SOON
from wandb_server import served

from ablate.tracking import DRAIN, REPORT_DRAIN


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study that has ended well, to be copied."""
    study = Study(tmp_path_factory.mktemp("whole"), SMALL)
    ended = study.run()
    assert ended.code == 0, ended.err
    return study


@pytest.fixture
def ended(whole: Study, tmp_path: Path) -> Study:
    """One like it, which may be damaged."""
    shutil.copytree(whole.folder, tmp_path / "study")
    return Study(tmp_path / "study", whole.arguments)


def one_line(ended: Ended, code: int) -> str:
    """What a command that ended with this code said on standard error."""
    assert ended.code == code, ended
    (line,) = ended.err.splitlines()
    assert line.startswith("ablate: ")
    return line


def goes_on_as(study: Study, whole: Study) -> Ended:
    """The same command once more, when what was wrong no longer is."""
    before = finished(study.root)
    again = study.run()
    assert again.code == 0, again
    assert again.err == ""
    after = finished(study.root)
    assert {path: after.get(path) for path in before} == before
    assert left_by(study.root) == left_by(whole.root)
    assert left_over(study.folder) == []
    return again


# A full disk, and folders that cannot be written to

FULL = {  # when -> which file is the first that the disk has no room for
    "planning": ("*run.json*", 1),
    "training": ("*curve.csv", 7),
    "checkpointing": ("*.checkpoint.pt.*", 8),
    "scoring": ("*.evaluation-*", 4),
    "collecting records": ("root/experiments/*.runs.jsonl*", 1),
    "reporting": ("root/reports/*.summary.json*", 1),
}


class Full(Refuse):
    """From then on, nothing can be written anywhere."""

    def happen(self, path: Path, source: Path | None) -> None:
        self.name = "*"
        super().happen(path, source)


@pytest.mark.parametrize("when", sometimes(FULL, "training"))
def test_a_disk_that_fills_up_stops_a_study_and_costs_nothing_that_was_finished(
    tmp_path: Path, whole: Study, when: str
) -> None:
    study, (name, nth) = Study(tmp_path, SMALL), FULL[when]
    line = one_line(study.run(Full("[ac]*", name, nth, errno.ENOSPC)), 1)
    assert "No space left on device" in line
    done = len([*study.root.glob("runs/*/evaluation-*.json")])  # checkpoints are written by the clock
    assert f"{done} of 4 runs are done and kept; to continue: python -m ablate +sweep=norm_placement" in line
    check_whole(study.root)
    goes_on_as(study, whole)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few hundred kilobytes."""
    yield from mounted(tmp_path / "disk", "size=600k")


def mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip("only root may mount; the tests beside this one do without")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.long
def test_a_real_disk_that_is_full(small_disk: Path, whole: Study) -> None:
    study = Study(small_disk, SMALL)
    stopped = study.run()
    assert stopped.code == 1, stopped
    assert "Traceback" not in stopped.err
    assert "No space left on device" in stopped.out + stopped.err  # of a run, or of the command where nothing fits
    check_whole(study.root)
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    goes_on_as(study, whole)


REFUSED = {"a read-only file system": errno.EROFS, "a folder of somebody else's": errno.EACCES}
REMEDIES = {"root": "root=DIR", "cache": "ABLATE_CACHE"}


@pytest.mark.parametrize(("why", "where"), each_once(REFUSED, REMEDIES))
def test_a_folder_that_cannot_be_written_to_is_named_before_anything_is_done(
    tmp_path: Path, where: str, why: str
) -> None:
    study = Study(tmp_path, SMALL)
    line = one_line(study.run(Refuse("*", f"{where}*", 1, REFUSED[why])), 2)
    assert REMEDIES[where] in line
    assert not list(tmp_path.glob("root/runs/*"))


@pytest.mark.parametrize("where", REMEDIES)
def test_a_file_where_a_folder_should_be_is_named_too(tmp_path: Path, where: str) -> None:
    (tmp_path / where).write_text("in the way")
    line = one_line(Study(tmp_path, SMALL).run(), 2)
    assert REMEDIES[where] in line
    assert (tmp_path / where).read_text() == "in the way"


# What is gone


@pytest.mark.long
def test_a_cache_that_vanishes_fails_the_runs_that_need_it_and_the_next_command_retries_them(
    tmp_path: Path, whole: Study
) -> None:
    study = Study(tmp_path, SMALL)
    failing = study.run(Vanish("append", "*/curve.csv", 7, study.cache))  # in the second run
    assert failing.code == 1, failing
    assert failing.err == ""
    assert failing.out.count("\nfailed: ") == 2
    assert "run the study again to prepare it" in failing.out
    assert len(list(study.root.glob("runs/*/evaluation-*.json"))) == 2
    check_whole(study.root)
    goes_on_as(study, whole)


@pytest.mark.long
def test_a_cache_that_vanishes_when_all_is_trained_is_not_missed(tmp_path: Path, whole: Study) -> None:
    study = Study(tmp_path, SMALL)
    done = study.run(Vanish("replace", "*/evaluation-*.json", 4, study.cache))
    assert (done.code, done.err) == (0, "")
    assert left_by(study.root) == left_by(whole.root)


@pytest.mark.long
def test_files_of_ones_own_that_vanish_are_missed_by_the_next_command_only(tmp_path: Path) -> None:
    text = tmp_path / "mine"
    text.mkdir()
    for side in ("en", "fr"):
        (text / f"train.{side}").write_text("".join(f"word{i} word{i * i} word\n" for i in range(120)))
    own = [given for given in SMALL if not given.startswith("data=")]
    study = Study(tmp_path / "study", (*own, "data=files", f"data.path={text}"))
    assert study.run(Vanish("append", "*/curve.csv", 1, text)).code == 0
    before = finished(study.root)
    assert "data.path=" in one_line(study.run(), 2)
    assert finished(study.root) == before


# What is damaged

HARMS: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda whole: whole[: len(whole) // 2],
    "flipped": lambda whole: bytes(byte ^ (place == len(whole) // 2) for place, byte in enumerate(whole)),
    "emptied": lambda whole: b"",
}


def harm(path: Path, how: str) -> None:
    path.write_bytes(HARMS[how](path.read_bytes()))


@pytest.mark.parametrize("how", sometimes(HARMS, "flipped"))
def test_what_is_damaged_in_a_store_is_not_believed(ended: Study, whole: Study, how: str) -> None:
    """A fault a run: its result, its scores, its description, its curve."""
    first, second, third, fourth = sorted(path.parent for path in ended.root.glob("runs/*/result.json"))
    (scores,) = second.glob("evaluation-*.json")
    kept = finished(ended.root)
    for path in (first / "result.json", scores, third / "run.json", fourth / "curve.csv"):
        harm(path, how)
    for path in ended.root.glob("experiments/*/*/*"):
        harm(path, how)
    again = ended.run()
    assert (again.code, again.err) == (0, "")
    assert f"runs/{first.name}: result.json was damaged: it is kept as damaged-result.json" in again.out
    assert f"runs/{second.name}: {scores.name} was damaged: it is kept as damaged-{scores.name}" in again.out
    assert again.out.count("its curve files were damaged") == 1
    redone = {path for path, of in finished(ended.root).items() if kept.get(path) != of}
    assert redone == {*first.glob("[er][ev]*.json"), scores}
    left, expected = left_by(ended.root), left_by(whole.root)
    lost = [curve["run_id"] for curve in left["curves.jsonl.gz"] if not curve["update"]]
    assert lost == [fourth.name] == [curve["run_id"] for curve in left["curves.jsonl.gz"] if curve.get("damaged")]
    shutil.rmtree(fourth)  # as the line says
    assert ended.run().code == 0
    assert left_by(ended.root) == expected


@pytest.mark.parametrize("how", sometimes(HARMS, "flipped"))
def test_weights_that_are_damaged_are_made_anew_where_they_are_needed(ended: Study, whole: Study, how: str) -> None:
    folder = min(ended.root.glob("runs/*/weights.pt")).parent
    harm(folder / "weights.pt", how)
    assert "0 runs to train" in goes_on_as(ended, whole).out
    for scores in folder.glob("evaluation-*.json"):
        scores.unlink()
    again = ended.run()
    assert (again.code, again.err) == (0, "")
    assert f"runs/{folder.name}: result.json belongs to weights that are needed, and damaged or missing" in again.out
    assert left_by(ended.root) == left_by(whole.root)


@pytest.mark.parametrize("how", sometimes(HARMS, "flipped"))
def test_a_cache_that_is_damaged_is_made_anew(ended: Study, whole: Study, how: str) -> None:
    for path in [*ended.cache.glob("corpora/*/*"), *ended.cache.glob("downloads/*")]:
        harm(path, how)
    again = goes_on_as(ended, whole)
    assert "was damaged: it is renamed to" in again.out
    assert "fetching" in again.out


@pytest.mark.parametrize("how", sometimes(HARMS, "flipped"))
def test_a_checkpoint_that_is_damaged_is_set_aside_and_the_study_goes_on(
    tmp_path: Path, whole: Study, how: str
) -> None:
    study = Study(tmp_path, SMALL)
    study.run(Kill("append", "*/curve.csv", 5))
    (checkpoint,) = study.root.glob("runs/*/checkpoint.pt")
    harm(checkpoint, how)
    again = goes_on_as(study, whole)
    assert f"runs/{checkpoint.parent.name}: checkpoint.pt cannot be used (" in again.out
    assert checkpoint.with_name("damaged-checkpoint.pt").exists()


@pytest.mark.long
def test_a_run_that_cannot_be_scored_has_failed_alone_and_is_tried_again(tmp_path: Path, whole: Study) -> None:
    study = Study(tmp_path, SMALL)
    failing = study.run(Once("create", "*.evaluation-*", 2, errno.EACCES))
    assert (failing.code, failing.err) == (1, "")
    assert failing.out.count("\nfailed: ") == 1
    (results,) = study.root.glob("reports/*/*/results.csv")
    assert results.read_text().count(",failed,") == 1
    goes_on_as(study, whole)


class Once(Refuse):
    """Only that one time."""

    def happen(self, path: Path, source: Path | None) -> None:
        if self.seen == self.nth:
            super().happen(path, source)


# W&B

SERVERS = ("hangs", "breaks", "refuses", "is not there")


@pytest.mark.long
@pytest.mark.parametrize("what", SERVERS)
def test_a_wandb_that_does_not_serve_neither_stops_nor_slows_a_study(
    tmp_path: Path, whole: Study, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    online = tuple(given.replace("wandb.mode=disabled", "wandb.mode=online") for given in SMALL)
    with served(monkeypatch) as server:
        environment = {name: os.environ[name] for name in ("WANDB_BASE_URL", "WANDB_API_KEY")}
        if what == "is not there":
            environment["WANDB_BASE_URL"] = "http://127.0.0.1:9"  # where nobody listens
        else:
            setattr(server, what, True)
        study = Study(tmp_path, online, environment)
        done = study.run()
        trained = max(path.stat().st_mtime for path in study.root.glob("runs/*/evaluation-*.json"))
        (report,) = study.root.glob("reports/*/*/report.md")
        assert report.stat().st_mtime - trained < DRAIN + REPORT_DRAIN + SOON
    assert (done.code, done.err) == (0, "")
    assert "W&B: " in done.out
    assert left_by(study.root) == left_by(whole.root)
    for path in tmp_path.rglob("*.log"):
        with contextlib.suppress(FileNotFoundError):  # W&B's own process may still be at it
            assert environment["WANDB_API_KEY"] not in path.read_text()


# Time


WAYS = {"forwards": 3e8, "backwards": -3e8}  # seconds


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS)
def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, whole: Study, way: str) -> None:
    study = Study(tmp_path, SMALL)
    done = study.run(Jump("append", "*/curve.csv", 2, WAYS[way]))
    assert (done.code, done.err) == (0, "")
    assert left_by(study.root) == left_by(whole.root)
    goes_on_as(study, whole)
