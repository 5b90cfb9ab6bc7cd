"""Committed reports against committed records: nothing is amiss, and whatever is changed is named."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablate.analysis.metrics import METRICS
from ablate.records.read import EARLIER, read_records, settings
from ablate.records.report_data import ReportData
from ablate.report.__main__ import main
from ablate.report.evidence import SCORES, recompute
from ablate.report.figures import FIGURES
from ablate.report.index import ledger
from ablate.report.render import build
from ablate.report.side_by_side import compare
from ablate.report.text.summary import summary
from ablate.report.text.tracing import SOURCES, snippet
from ablate.report.verify import verify
from ablate.store.record_schema import RESULT_COLUMNS
from ablate.store.schema import RULES
from ablate.study import Pairs

HERE = Path(__file__).parents[1]
COMMITTED = [
    f"{study}/{setting}"
    for study, names in settings(HERE).items()
    for setting in names
    if not re.search("-smoke", setting)
]
STUDY, SETTING = "norm_placement", "tatoeba-laptop"
RECORDS, REPORT = f"experiments/{STUDY}/{SETTING}", f"reports/{STUDY}/{SETTING}"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with the committed records of one setting, once more under another name, and their reports."""
    root = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ablate.report.render.FIGURES", {})
        patch.setattr("ablate.report.side_by_side.effects", lambda read: None)
        for name in (SETTING, "other-laptop"):
            shutil.copytree(HERE / RECORDS, root / RECORDS.replace(SETTING, name))
            edited(root / RECORDS.replace(SETTING, name) / "manifest.json", SETTING, name)
            judged_now(root / RECORDS.replace(SETTING, name))
            build(root, STUDY, name)
        compare(root, STUDY, [SETTING, "other-laptop"])
        ledger(root)
    return root


def judged_now(folder: Path) -> None:
    """Let the records of a setting be judged by the present rules."""
    (folder / EARLIER).unlink(missing_ok=True)
    manifest = json.loads((folder / "manifest.json").read_text())
    seeds = sorted({run[1] for run in manifest["plan"]})
    manifest["looks"] = [{"seeds": seeds, "purpose": "report", "runs": [], "rules": RULES}]
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture
def root(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to spoil. Its reports have no figures, which take most of the time."""
    monkeypatch.setattr("ablate.report.render.FIGURES", {})
    monkeypatch.setattr("ablate.report.side_by_side.effects", lambda read: None)
    return Path(shutil.copytree(whole, tmp_path / "root"))


def edited(path: Path, old: str, new: str, count: int = 1) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))


def lines_changed(path: Path, change: Callable[[dict[str, Any]], None], which: int = 0) -> None:
    """Change one object of a file of JSON lines."""
    zipped = path.suffix == ".gz"
    text = gzip.decompress(path.read_bytes()).decode() if zipped else path.read_text()
    values = [json.loads(line) for line in text.splitlines()]
    change(values[which])
    text = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)
    path.write_bytes(gzip.compress(text.encode(), mtime=0) if zipped else text.encode())


def put(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda entry: entry.update({key: value})


def test_reports_that_were_just_built_hold(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert main(["--verify", f"root={root}"]) == 0
    out, error = capsys.readouterr()
    assert (out.count("\n"), error) == (1, "")
    assert re.search(r"2 settings, .*12 runs", out) or re.search(r"12 runs, .*2 settings", out), out
    assert "1 comparison" in out
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_a_score_changed_in_the_records_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines_changed(root / RECORDS / "runs.jsonl", put("test_bleu", 51.25), which=2)
    assert main(["--verify", STUDY, f"root={root}"]) == 1
    error = capsys.readouterr().err
    assert re.search(rf"{RECORDS}/runs.jsonl: run pre/2, test_bleu: 51.25 is written, 51.03\d+ recomputed", error)
    assert re.search(rf"{REPORT}/results.csv: row pre/2, column test_bleu: 51.03\d+ is written, 51.25 recomp", error)
    assert re.search(rf"{REPORT}/summary.json: variants.pre.mean: 50.4\d+ is written, 50.4\d+ recomputed", error)
    assert f"{REPORT}/report.md: line " in error


@pytest.mark.parametrize("column", [*SCORES, "test_loss", "validation_loss", "parameters", "seconds", "learned"])
def test_every_number_of_results_csv_is_held_to_the_records(column: str, root: Path) -> None:
    path = root / REPORT / "results.csv"
    header, *rows = path.read_text().splitlines()
    cells = rows[3].split(",")
    cells[header.split(",").index(column)] = "0.5"
    path.write_text("\n".join([header, *rows[:3], ",".join(cells), *rows[4:]]) + "\n")
    (found,) = verify(root, [STUDY]).differences
    assert str(found).startswith(f"{REPORT}/results.csv: row post/0, column {column}: 0.5 is written, ")


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a number of the report": (
        lambda root: edited(root / REPORT / "report.md", "50.4 [48.2, 52.6]", "50.9 [48.2, 52.6]"),
        rf"{REPORT}/report.md: line \d+: “.*50.9 \[48.2.*” is written, “.*50.4 \[48.2.*” recomputed",
    ),
    "a number of the summary": (
        lambda root: edited(root / REPORT / "summary.json", '"p_holm": 0.0', '"p_holm": 0.9'),
        rf"{REPORT}/summary.json: variants.post.difference.p_holm: 0.9\d+ is written, 0.0\d+ recomputed",
    ),
    "a verdict": (
        lambda root: edited(root / REPORT / "summary.json", '"unresolved"', '"supported"'),
        rf"{REPORT}/summary.json: claims.norm-1.verdict: supported is written, unresolved recomputed",
    ),
    "a summary that is not JSON": (
        lambda root: (root / REPORT / "summary.json").write_text("{"),
        rf"{REPORT}/summary.json: is not JSON",
    ),
    "a line too many": (
        lambda root: edited(root / REPORT / "report.md", "\n## The evidence", "\nTrust us.\n\n## The evidence"),
        rf"{REPORT}/report.md: line \d+: “Trust us.” is written, no such line recomputed",
    ),
    "a line too few": (
        lambda root: edited(root / REPORT / "report.md", "## The evidence\n", ""),
        rf"{REPORT}/report.md: line \d+: no such line is written, “## The evidence” recomputed",
    ),
    "a row that is in no record": (
        lambda root: edited(root / REPORT / "results.csv", ",pre,0,", ",pre,9,"),
        rf"{REPORT}/results.csv: row pre/9 is not in the records",
    ),
    "a row that is missing": (
        lambda root: edited(root / REPORT / "results.csv", ",pre,0,", ",pre,1,"),
        rf"{REPORT}/results.csv: row pre/0 of the records is missing",
    ),
    "a comparison": (
        lambda root: edited(root / f"{REPORT}+other-laptop" / "report.md", "2.8 [", "2.9 ["),
        rf"{REPORT}\+other-laptop/report.md: line \d+",
    ),
    "the index": (
        lambda root: edited(root / "reports/README.md", "**unresolved", "**supported"),
        r"reports/README.md: line \d+: .*supported.* is written",
    ),
    "records without a report": (
        lambda root: shutil.rmtree(root / REPORT),
        rf"{REPORT}: is missing: these records have no report",
    ),
    "a report without records": (
        lambda root: shutil.copytree(root / REPORT, root / "reports/activation/tatoeba-laptop"),
        r"reports/activation/tatoeba-laptop: a report without records",
    ),
    "a file that nothing gives": (
        lambda root: (root / REPORT / "figures.png").write_bytes(b""),
        rf"{REPORT}/figures.png: belongs to no record",
    ),
    "a file that is gone": (lambda root: (root / REPORT / "results.csv").unlink(), rf"{REPORT}/results.csv: is miss"),
    "a page": (
        lambda root: edited(root / REPORT / "report.html", "50.4", "50.9"),
        rf"{REPORT}/report.html: differs from what these versions draw",
    ),
    "a translation": (
        lambda root: lines_changed(root / RECORDS / "hypotheses.jsonl.gz", lambda run: run["beam"].sort(), 4),
        rf"{RECORDS}/runs.jsonl: run post/1, test_bleu: 47.3\d+ is written, \d.* recomputed",
    ),
    "the loss of a sentence": (
        lambda root: lines_changed(
            root / RECORDS / "hypotheses.jsonl.gz", lambda run: run["loss"].__setitem__(7, run["loss"][7] + 1), 5
        ),
        rf"{RECORDS}/runs.jsonl: run post/2, test_loss: 1.10319\d* is written, 1.1032\d* recomputed",
    ),
    "a validation loss of a curve": (
        lambda root: lines_changed(
            root / RECORDS / "curves.jsonl.gz", lambda run: run["validation"]["loss"].__setitem__(-1, 0.9)
        ),
        rf"{RECORDS}/runs.jsonl: run pre/0, best_validation_loss: 1.0\d+ is written, 0.9 recomputed",
    ),
    "a curve that is cut off": (
        lambda root: lines_changed(root / RECORDS / "curves.jsonl.gz", lambda run: run["update"].pop(), 1),
        rf"{RECORDS}/runs.jsonl: run pre/1, updates: 1000 is written, 999 recomputed",
    ),
    "a configuration": (
        lambda root: lines_changed(
            root / RECORDS / "runs.jsonl", lambda run: run["config"]["optim"].update(lr=0.1), which=5
        ),
        rf"{RECORDS}/runs.jsonl: run post/2, run_id: 603173eff977 is written, \w{{12}} recomputed",
    ),
    "a run told to be of another variant": (
        lambda root: lines_changed(
            root / RECORDS / "runs.jsonl", lambda run: run["config"]["model"].update(norm_placement="pre"), which=5
        ),
        rf"{RECORDS}/runs.jsonl: run post/2, config.model.norm_placement: pre is written, post recomputed",
    ),
    "a run that did not learn": (
        lambda root: lines_changed(root / RECORDS / "runs.jsonl", put("learned", 0)),
        rf"{RECORDS}/runs.jsonl: run pre/0, learned: 0 is written, 1 recomputed",
    ),
    "a run that is two things in two settings": (
        lambda root: lines_changed(root / RECORDS / "runs.jsonl", put("test_bleu", 1.0)),
        r"other-laptop|tatoeba-laptop/runs.jsonl: run pre/0, test_bleu: .* of the same run in experiments/",
    ),
    "records that cannot be read": (
        lambda root: (root / RECORDS / "curves.jsonl.gz").write_bytes(b"?"),
        rf"{RECORDS}: cannot be read",
    ),
}


@pytest.mark.parametrize("what", SPOILED)
def test_whatever_is_spoiled_is_named(what: str, root: Path) -> None:
    spoil, named = SPOILED[what]
    spoil(root)
    found = [str(each) for each in verify(root).differences]
    assert any(re.search(named, each) for each in found), "\n".join(found)


def test_pictures_of_other_versions_are_not_compared_and_that_is_said(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    edited(root / REPORT / "report.html", "50.4", "50.9")
    monkeypatch.setattr("ablate.report.verify.versions", lambda: "matplotlib 0.1")
    assert main(["--verify", STUDY, f"root={root}"]) == 0
    out = capsys.readouterr().out
    assert re.match(r"not compared: the figures and pages of 3 reports, drawn by matplotlib \d+\.", out)
    assert "picture" not in out.splitlines()[-1]


def test_figures_are_compared_under_the_same_versions(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ablate.report.render.FIGURES", {name: FIGURES[name] for name in ("effects", "scores")})
    root = Path(shutil.copytree(whole / "experiments", tmp_path / "root" / "experiments")).parent
    folder = build(root, STUDY, SETTING)
    shutil.rmtree(root / RECORDS.replace(SETTING, "other-laptop"))
    ledger(root)
    assert verify(root).differences == []
    path = folder / "figures" / "effects.svg"
    edited(path, "<path", "<path ")
    (folder / "figures" / "scores.png").unlink()
    assert [str(each) for each in verify(root).differences] == [
        f"{REPORT}/figures/effects.svg: differs from what these versions draw from the records",
        f"{REPORT}/figures/scores.png: is missing",
    ]


@pytest.mark.parametrize("arguments", [["--verify", "nonsense"], ["--verify", "compare=a,b"], ["--verify", "a", "b"]])
def test_bad_arguments_get_one_line(arguments: list[str], root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, f"root={root}"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def read(where: str) -> ReportData:
    return read_records(HERE / "experiments" / where)


CHANGED = (*SCORES, "test_loss", "validation_loss", "best_validation_loss", "learned", "parameters", "updates", "seed")


@pytest.mark.parametrize("where", COMMITTED)
def test_every_recomputable_number_of_a_committed_run_holds_and_no_other_would(where: str) -> None:
    data = read(where)
    run = next(run for run in data.runs if run["test_bleu"] is not None)
    assert [each for each in recompute(data, run) if not each.agrees] == []
    for name in CHANGED:
        wrong = recompute(data, run | {name: run[name] + (1 if isinstance(run[name], int) else 1e-3)})
        known = {"seed": "run_id"}.get(name, name)
        assert known in {each.name for each in wrong if not each.agrees}, name


@pytest.mark.parametrize("where", COMMITTED)
def test_the_code_in_a_report_gives_its_first_difference(
    where: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = read(where)
    code = snippet(data)
    if data.study.pairs is Pairs.halves or data.sequential:  # the code is for t tests within a seed
        assert code == ""
        return
    monkeypatch.chdir(HERE)
    exec(code, {})
    mean, low, high, _ = map(float, capsys.readouterr().out.split())
    first = next(each["difference"] for each in summary(data)["variants"] if each["difference"])
    assert [mean, low, high] == pytest.approx([first["mean"], first["low"], first["high"]], rel=1e-5)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_says_where_it_comes_from(name: str) -> None:
    assert (name in SOURCES) != (name in RESULT_COLUMNS)
