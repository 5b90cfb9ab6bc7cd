"""A setting whose records cannot be read is named, and does not hide the others; names of settings may hold commas."""

from __future__ import annotations

import gzip
import json
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from records import a_study, some_runs, write_records

import ablate
from ablate.config import BadInput
from ablate.publish.__main__ import main as publish
from ablate.report.__main__ import main as report
from ablate.report.render import build
from ablate.report.setting_names import compared_settings, readings
from ablate.report.verify import verify

SETTING = "synthetic-laptop"
DAMAGED: dict[str, Callable[[Path], Any]] = {
    "a copy under another name": lambda folder: None,
    "a manifest that is no JSON": lambda folder: (folder / "manifest.json").write_text("{"),
    "runs that are gone": lambda folder: (named(folder), (folder / "runs.jsonl").unlink()),
    "curves that are no archive": lambda folder: (named(folder), (folder / "curves.jsonl.gz").write_bytes(b"?")),
}


def named(folder: Path) -> None:
    """Make the manifest of a copied folder say the folder's name."""
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"setting": folder.name}))


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ablate.report.render.FIGURES", {})
    monkeypatch.setattr("ablate.report.side_by_side.effects", lambda read: None)


@pytest.fixture(params=DAMAGED)
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = write_records(tmp_path, a_study(), some_runs(a_study()))
    copied = Path(shutil.copytree(folder, folder.with_name("copied-laptop")))
    DAMAGED[request.param](copied)
    return tmp_path


def test_reports_name_it_in_a_line_and_do_the_others(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(["toy", f"root={root}"]) == 1
    out, error = capsys.readouterr()
    assert out.splitlines() == [str(root / "reports" / "toy" / SETTING)]
    assert error.count("\n") == 1
    assert "copied-laptop" in error


def test_results_warn_and_have_the_others(root: Path) -> None:
    with pytest.warns(UserWarning, match="copied-laptop") as caught:
        frame = ablate.results("toy", root)
    assert len(caught) == 1
    assert set(frame["setting"]) == {SETTING}


def test_publishing_names_it_and_does_the_others(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("wandb_workspaces")
    assert publish(["toy", f"root={root}", "dry_run=true"]) == 1
    out, error = capsys.readouterr()
    assert list(json.loads(out)) == [f"toy/{SETTING}"]
    assert error.count("\n") == 1
    assert "copied-laptop" in error


def test_where_none_can_be_read_it_is_bad_input(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(root / "experiments" / "toy" / SETTING)
    assert report(["toy", f"root={root}"]) == 2
    assert "copied-laptop" in capsys.readouterr().err
    with pytest.raises(BadInput, match="copied-laptop"), warnings.catch_warnings():
        ablate.results("toy", root)


# Records that lack a key.


def keys_of(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all keys of nested mappings, and of the first item of lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, inner in items:
        if isinstance(value, dict):
            yield (*above, key)
        yield from keys_of(inner, (*above, key))


def read_file(path: Path) -> Any:
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    return json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]


def write_file(path: Path, value: Any) -> None:
    text = json.dumps(value) if path.suffix == ".json" else "".join(json.dumps(each) + "\n" for each in value)
    path.write_bytes(gzip.compress(text.encode(), mtime=0) if path.suffix == ".gz" else text.encode())


@pytest.mark.parametrize("name", ["manifest.json", "runs.jsonl", "curves.jsonl.gz", "hypotheses.jsonl.gz"])
def test_verifying_records_that_lack_any_key_gives_lines(name: str, tmp_path: Path) -> None:
    folder = write_records(tmp_path, a_study(), some_runs(a_study(), 2))
    build(tmp_path, "toy", SETTING)
    whole = read_file(folder / name)
    for path in keys_of(whole):
        spoiled = json.loads(json.dumps(whole))
        holder = spoiled
        for key in path[:-1]:
            holder = holder[key]
        del holder[path[-1]]
        write_file(folder / name, spoiled)
        lines = [str(each) for each in verify(tmp_path, "toy").differences]
        assert all("\n" not in line for line in lines), path


LACKING = ["best_validation_loss", "updates", "best_update", "config", "corpus"]


@pytest.mark.parametrize("key", LACKING)
def test_a_key_that_verifying_needs_is_named_in_one_line(key: str, tmp_path: Path) -> None:
    config = {"model": {"layers": 2, "d_model": 128}, "train": {"updates": 400, "checkpoint": "best"}}
    runs = some_runs(a_study(), 2)
    folder = write_records(tmp_path, a_study(), [run | {"config": config, "best_validation_loss": 1.5} for run in runs])
    build(tmp_path, "toy", SETTING)
    found = read_file(folder / "runs.jsonl")
    del found[1][key]
    write_file(folder / "runs.jsonl", found)
    lines = [str(each) for each in verify(tmp_path, "toy").differences]
    assert all("\n" not in line for line in lines)
    assert any(key in line for line in lines), lines


# Names of settings.

NAMES = ["a", "b", "a,b", "a-heads=2,layers=3", "c"]


@pytest.mark.parametrize("separator", [",", "+"])
@pytest.mark.parametrize("chosen", [["a-heads=2,layers=3", "c"], ["c", "b"], ["c", "a-heads=2,layers=3", "a-grid=1+2"]])
def test_settings_are_found_whatever_their_names_hold(chosen: list[str], separator: str) -> None:
    known = [*NAMES, "a-grid=1+2"]
    assert list(readings(separator.join(chosen), separator, known)) == [chosen]
    assert compared_settings(",".join(chosen), {"s": known}) == {"s": chosen}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b,c", "more than one way: a and b and c; or a,b and c"),
        ("a", "two settings or more"),
        ("a,a", "two settings or more"),
        ("a,d", "no study has records in all of them; s has a b a,b a-heads=2,layers=3 c"),
        ("", "two settings or more"),
    ],
)
def test_names_that_do_not_say_which_settings_are_refused(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        compared_settings(text, {"s": NAMES})


@pytest.mark.parametrize("name", ["tatoeba-laptop-heads=2,layers=3", "tatoeba-laptop-tune=lr,grid=0.001+0.01"])
def test_settings_with_commas_and_pluses_are_compared_indexed_and_verified(name: str, tmp_path: Path) -> None:
    folder = write_records(tmp_path, a_study(), some_runs(a_study()))
    named(Path(shutil.copytree(folder, folder.with_name(name))))
    assert report(["toy", f"root={tmp_path}"]) == 0
    assert report(["toy", f"root={tmp_path}", f"compare={name},{SETTING}"]) == 0
    index = (tmp_path / "reports" / "README.md").read_text()
    assert index.count("Comparisons of settings: ") == 1
    assert f"(<toy/{name}+{SETTING}/report.md>)" in index
    found = verify(tmp_path)
    assert found.checked["comparison"] == 1
    assert not [each for each in found.differences if "reports/" in each.file]
