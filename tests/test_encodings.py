"""Any terminal, any locale: what cannot be shown is shown escaped, and files are UTF-8 all the same."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from corpora import composed
from records import a_study, some_runs, write_records
from test_hostile import SOURCES, calls
from waiting import PATIENCE

import ablate as package
from ablate.config import BadInput
from ablate.plan.composition import plan
from ablate.report.__main__ import main as report

PACKAGE = Path(package.__file__).parent
ENCODINGS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "cp1252": {"PYTHONIOENCODING": "cp1252:strict"},
    "C locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}
SMALL = ("preset=smoke", "wandb.mode=disabled", "cost_probe=false", "seeds=1", "train.updates=2", "train.validations=1")
COMMANDS = {  # module -> arguments that make it say much, with {root} and {other} in them, and its exit code
    "ablate": [
        (["+sweep=mine", "data=fixture", *SMALL, "dry_run=true", "root={root}", "--config-dir={root}/conf"], 0),
        (["--help"], 0),
        (["data=fixture", "colour=é"], 2),
    ],
    "ablate.report": [
        (["toy", "root={root}"], 0),
        (["--help"], 0),
        (["--verify", "root={root}/é"], 2),
        (["é", "root={root}"], 2),
    ],
    "ablate.merge": [(["{other}", "root={root}"], 1), (["/x/é文"], 2)],
    "ablate.publish": [(["toy", "dry_run=true", "root={root}"], 0), (["--help"], 0), (["é", "root={root}"], 2)],
}
SHORT = ("ablate", "ablate.report")
CASES = [
    pytest.param(module, arguments, code, encoding, id=f"{module} {arguments[0]} {encoding}",
                 marks=() if (encoding, place) == ("ascii", 0) and module in SHORT else pytest.mark.long)
    for module, several in COMMANDS.items()
    for place, (arguments, code) in enumerate(several)
    for encoding in ENCODINGS
]  # fmt: skip
WITHOUT = {"ablate.tracking", "ablate.training.probe", "ablate.benchmark"} | {  # a log, and JSON in ASCII
    f"ablate.benchmark.subjects.{path.stem}"  # people do not start these
    for path in (PACKAGE / "benchmark" / "subjects").glob("[!_]*.py")
}
STUDY = """\
# @package _global_
study:
  name: mine
  question: Hängt es von der Größe ab — 大きさ?
  baseline: größe
  variants: {größe: {}, 文: {model.residual: none}}
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records, a report and a study whose names and text are in no narrow encoding."""
    root = tmp_path_factory.mktemp("root")
    study = a_study(("pré", "文"))
    write_records(root, study, some_runs(study), sentences=["Ein Café — 本", "Ünï"])
    assert report(["toy", f"root={root}"]) == 0
    (root / "conf" / "sweep").mkdir(parents=True)
    (root / "conf" / "sweep" / "mine.yaml").write_text(STUDY, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a run that is damaged."""
    folder = tmp_path_factory.mktemp("other") / "runs" / "0123456789ab"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text('{"config": {"model": {"é": "文"}}}', encoding="utf-8")
    return folder.parent.parent


@pytest.mark.parametrize(("module", "arguments", "code", "encoding"), CASES)
def test_every_entry_point_speaks_every_encoding(
    module: str, arguments: list[str], code: int, encoding: str, root: Path, other: Path
) -> None:
    given = [each.format(root=root, other=other) for each in arguments]
    done = started(module, given, encoding)
    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr
    assert done.stdout + done.stderr


def started(module: str, arguments: list[str], encoding: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, env=os.environ | ENCODINGS[encoding], timeout=PATIENCE)


def test_these_are_all_entry_points() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        if path.name == "__main__.py" or re.search(r'^if __name__ == "__main__"', source, re.MULTILINE):
            parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
            found.add(".".join(part for part in parts if part != "__main__"))
    assert found == set(COMMANDS) | WITHOUT


@pytest.mark.long
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_study_is_run_to_its_end_where_its_names_cannot_be_shown(encoding: str, tmp_path: Path) -> None:
    done = started("ablate", ["data=fixture", *SMALL, "data.name=größe文", f"root={tmp_path}"], encoding)
    assert done.returncode == 0, done.stderr.decode(encoding)
    assert "\\u6587" in done.stdout.decode(encoding)
    (summary,) = tmp_path.glob("reports/baseline/größe文-*/report.md")
    assert "größe文" in summary.read_text(encoding="utf-8")


def test_an_argument_of_another_encoding_is_named() -> None:
    done = started("ablate", ["data.path=/x/é"], "C locale")
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"PYTHONUTF8=1" in done.stderr


def test_a_name_that_no_file_can_have_here_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsencode", lambda name: name.encode("ascii"))
    plan(composed, ["data=fixture", "data.name=plain"])
    with pytest.raises(BadInput, match="PYTHONUTF8=1"):
        plan(composed, ["data=fixture", "data.name=größe"])


BY_NAME = {"read_text", "write_text"}  # methods that take the locale's encoding unless they are given one
OTHERS = {"os.open", "zipfile.ZipFile.open", "gzip.open"}


def takes_the_locales_encoding(name: str, call: ast.Call) -> bool:
    """Whether a call would read or write text in whatever encoding the locale has."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    last = name.rpartition(".")[2]
    if last == "open" and name not in OTHERS:
        at = 1 if name == "open" else 0  # the place of the mode
        mode = given.get("mode", call.args[at] if len(call.args) > at else ast.Constant("r"))
        text = isinstance(mode, ast.Constant) and isinstance(mode.value, str) and re.fullmatch("[rwax+t]+", mode.value)
        return bool(text) and "encoding" not in given
    if last in BY_NAME:
        at = {"read_text": 0, "write_text": 1}[last]
        return "encoding" not in given and len(call.args) <= at
    if name.startswith("subprocess.") and ("text" in given or "universal_newlines" in given):
        return "encoding" not in given
    return False


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_text_is_utf8_whatever_the_locale(path: Path) -> None:
    for name, call in calls(path):
        if name in ("read_text",):  # ablate.data.sources.encodings's own, which decodes bytes
            continue
        assert not takes_the_locales_encoding(name, call), f"{path}, line {call.lineno}: {name} without encoding="


@pytest.mark.parametrize(
    ("code", "bad"),
    [
        ("open(p)", True),
        ("open(p, 'w')", True),
        ("open(p, 'rb')", False),
        ("p.open('a')", True),
        ("p.open()", True),
        ("p.open('wb')", False),
        ("p.open(encoding='utf-8')", False),
        ("os.open(p, os.O_RDWR)", False),
        ("place.open(id)", False),
        ("p.read_text()", True),
        ("p.read_text('utf-8')", False),
        ("p.write_text(x)", True),
        ("p.write_text(x, encoding='utf-8')", False),
        ("subprocess.run(c, text=True)", True),
        ("subprocess.run(c, encoding='utf-8')", False),
    ],
)
def test_the_law_on_encodings_can_fail(code: str, bad: bool) -> None:
    (call,) = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call))
    assert takes_the_locales_encoding(ast.unparse(call.func), call) is bad
