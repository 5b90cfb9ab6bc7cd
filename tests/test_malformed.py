"""Hundreds of malformed inputs: each gets one clear line and exit code 2, nothing hangs, what is finished stays.

`--hypothesis-profile=many` tries ten times as many as the short suite, `thorough` a hundred times, new ones each time.
"""

from __future__ import annotations

import copy
import gzip
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from malformed import (
    HOSTILE,
    SMOKE,
    ablate,
    conf_with_studies,
    damaged,
    marks,
    mutilated,
    overrides,
    planned_or_refused,
    quick,
    refusal,
    reported,
    tried,
)
from records import a_study, some_runs, write_records
from short import some_of

from ablate import cli
from ablate.data.sources import hub
from ablate.report import render

SENTINEL = "a-value-of-the-environment"
TINY = (*SMOKE, "seeds=1", "train.updates=12", "train.validations=2", "diagnostics.times=1", "evaluation.beam=1")


@pytest.fixture(autouse=True, scope="module")
def _no_network() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(hub, "answers", lambda name: False)
        patched.setattr(render, "FIGURES", {})  # which take longest, and show no text that others wrote
        patched.setenv("ABLATE_SENTINEL", SENTINEL)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with a finished study."""
    root = tmp_path_factory.mktemp("finished")
    with quick(cli.CONF):
        assert ablate(*TINY, f"root={root}").code == 0
    assert list(root.glob("runs/*/evaluation-*.json"))
    return root


# The command line.


@given(st.lists(overrides, min_size=1, max_size=3))
@example(["seeds=1", "seeds=2"])
@example(["++hydra.sweep.dir=2.5"])
@example(["model.layers=1000000"])
@example(["model.heads=7", "model.d_model=1000000000000"])
@example(["model.d_model=16384", "model.ffn_ratio=1024", "model.heads=1"])
@example(["workers=1000000000000"])
@example(["root=" + 300 * "x"])
@example(["study={name: ../../x, question: q, baseline: a, variants: {a: {}}}"])
@example(["data=files", "data.path=/", "data.column=../../../x"])
@tried(150)
def test_overrides_make_a_plan_or_get_one_line(finished: Path, arguments: list[str]) -> None:
    before = marks(finished)
    with quick(cli.CONF):
        said = ablate(*TINY, f"root={finished}", *arguments, "dry_run=true")
    planned_or_refused(said)
    assert SENTINEL not in said.out + said.err
    assert marks(finished) == before


SURELY_BAD = {  # arguments, through the whole of Hydra -> what the line names
    "--no-such-option": "--no-such-option",
    "--cfg": "expected one argument",
    "--cfg=nothing": "job",
    "--resolve": "--cfg",
    "--config-dir=/not/there": "/not/there",
    "--config-name=other": "--config-dir",
    "--config-path=/tmp": "--config-dir",
    "--experimental-rerun=config.pickle": "can run code",
    "-x=3": "-x=3",
    "model.layers=1e400": "model.layers",
    f"seeds={'9' * 5000}": "too large",
    f"optim.lr={'9' * 400}": "too large",
    "model.layers=100000": "[1, 256]",
    "seeds=1000000000": "[1, 1000]",
    "optim.lr=nan": "(0, inf)",
    "train.label_smoothing=inf": "[0, 1)",
    "model.heads=${oc.env:ABLATE_SENTINEL}": "write out its value",
    "data.name=${oc.env:ABLATE_SENTINEL}": "names a folder",
    "data.name='${oc.env:ABLATE_SENTINEL}'": "write out its value",
    "+study.question=${oc.env:ABLATE_SENTINEL}": "study.name is missing",
    "+study.limits=${oc.env:ABLATE_SENTINEL}": "write out its value",
    "~model.heads": "model.heads=VALUE",
    "~data": "data=VALUE",
    "data@model=fixture": "@",
    "+sweep=../preset/smoke": "conf/sweep/",
    "data=[fixture,tatoeba]": "conf/data/",
    "hydra=null": "hydra/launcher",
    "hydra/sweeper=basic": "hydra/launcher",
    "hydra.launcher.n_jobs=many": "n_jobs",
    "model.heads=[1": "model.heads=[1",
    "model.heads='2": "model.heads='2",
    f"x={'[' * 2000}": "x=[",
    "data.name=a\nb": "data.name",
    "data.name='a\x1b[2Jb'": "data.name",
    "data.name=\ud800": "data.name",
    "data.name='../../x'": "names a folder",
    f"data.name={'x' * 200}": "names a folder",
    f"model.heads={'1' * 9000}": "9,012 characters",
    "study=a": "variants",
    "run=../../x": "run",
    "dry_run=maybe": "dry_run",
}


@pytest.mark.parametrize("argument", some_of(SURELY_BAD), ids=lambda argument: ascii(argument)[:40])
def test_bad_arguments_get_one_line_of_the_whole_command(finished: Path, argument: str) -> None:
    before = marks(finished)
    mine = [each for each in (*TINY, f"root={finished}") if each.partition("=")[0] != argument.partition("=")[0]]
    line = refusal(ablate(*mine, argument))
    assert SURELY_BAD[argument] in line
    assert SENTINEL not in line
    assert marks(finished) == before


# Studies.

STUDY: dict[str, Any] = {
    "name": "mine",
    "question": "Does it matter?",
    "baseline": "a",
    "variants": {"a": {"model.heads": 2}, "b": {"model.heads": 1}},
    "factors": {"warmup": {0: {"optim.warmup": 0}, 0.5: {"optim.warmup": 0.5}}},
    "metric": "test_bleu",
    "claims": [
        {"id": "c1", "sentence": "It does.", "contrast": "b,warmup=0 - a,warmup=0", "metric": "test_bleu",
         "kind": "directional", "direction": "higher", "margin": 0.1, "note": "n"},
        {"id": "c2", "sentence": "It may.", "kind": "several", "parts": [
            {"contrast": "a,warmup=0", "metric": "parameters", "kind": "in_range", "range": [0, None]},
            {"contrast": "b,warmup=0 - a,warmup=0", "kind": "share_learned"}]},
        {"id": "c3", "sentence": "Later.", "needs": "a GPU", "command": "python -m ablate +sweep=mine preset=paper"},
    ],
    "limits": ["Nothing is known of cats."],
    "sizes": {"smoke": {"seeds": 1, "train.updates": 12}},
}  # fmt: skip

HEADER = "# @package _global_\n"


def as_yaml(study: Any, header: str = HEADER) -> str:
    return header + yaml.dump({"study": study}, allow_unicode=True, sort_keys=False)


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with conf_with_studies(tmp_path_factory.mktemp("conf") / "conf") as folder:
        yield folder


def plan_of(conf: Path, root: Path, content: str | bytes) -> Any:
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    (conf / "sweep" / "mine.yaml").write_bytes(data)
    return ablate("preset=smoke", "data=fixture", "+sweep=mine", f"root={root}", "dry_run=true")


def test_the_study_that_is_mutilated_below_is_sound(conf: Path, tmp_path: Path) -> None:
    said = plan_of(conf, tmp_path, as_yaml(STUDY))
    assert said.code == 0, said


@given(mutilated(STUDY).map(as_yaml) | damaged(as_yaml(STUDY).encode()) | st.text(max_size=60))
@tried(100)
def test_a_study_makes_a_plan_or_gets_one_line(finished: Path, conf: Path, content: str | bytes) -> None:
    before = marks(finished)
    said = plan_of(conf, finished, content)
    planned_or_refused(said)
    assert SENTINEL not in said.out + said.err
    assert marks(finished) == before


def study_with(**changes: Any) -> str:
    return as_yaml(STUDY | changes)


def claim_with(**changes: Any) -> str:
    return study_with(claims=[STUDY["claims"][0] | changes])


BAD_STUDIES = {  # a file -> what the line names
    "study: [": "line 3",
    "study: {a: 1, a: 2}": "a second time",
    "- a\n- b": "KEY: VALUE",
    "": "KEY: VALUE",
    "study: !!python/object/apply:os.system ['true']": "line 2",
    "study: !mine {a: 1}": "tag",
    "a: &a [1, 1]\nb: &b [*a, *a]\nstudy: [*b, *b]": "alias",
    "study: " + 400 * "[" + 400 * "]": "nests too deeply",
    "study:\n\tname: x": "line 3",
    "stduy: {name: x}": "stduy",
    "root: /elsewhere\nstudy: {}": "root",
    "defaults: [/data: tatoeba]\nstudy: {}": "defaults",
    "hydra: {launcher: {_target_: os.abort}}\nstudy: {}": "hydra",
    "model: {heads: 2}": "no study",
    "study: \xff".encode("latin-1").decode("latin-1"): "mapping",
    "study: 2001-99-99": "mapping",
    study_with(name="../../elsewhere"): "study.name",
    study_with(name="a/b"): "study.name",
    study_with(name=200 * "n"): "study.name",
    study_with(name="<b>"): "study.name",
    study_with(question="${oc.env:ABLATE_SENTINEL}"): "write out its value",
    study_with(question="a\x1b[2Jb"): "a control character",
    study_with(variants={"a": {}, "../b": {"model.heads": 1}}, claims=[]): "study.variants",
    study_with(variants={"a": {}, "<script>": {"model.heads": 1}}, claims=[]): "study.variants",
    study_with(variants={"a": {}, "b": {"model.haeds": 1}}): "model has",
    study_with(variants={"a": {}, "b": {"root": "/elsewhere"}}): "root",
    study_with(variants={"a": {}, "b": {"data.path": "/elsewhere"}}): "data.path",
    study_with(variants={"a": {}, "b": {"hydra.launcher._target_": "os.abort"}}): "hydra",
    study_with(variants={"a": {}, "b": {3: 1}}): "cannot set 3",
    study_with(variants={"a": {}, "b": {"model": {"heads": 1}}}): "with dots",
    study_with(variants={"a": {}, "b": {"model.heads": 3}}): "model.heads=3",
    study_with(variants={"a": {}, "b": {}}, factors={}, claims=[]): "are the same runs",
    study_with(variants=["a", "b"]): "form",
    study_with(variants={"a": ["bc"]}): "KEY: VALUE",
    study_with(factors={"seed": {0: {"optim.warmup": 0}}}, claims=[]): "records have another key of this name",
    study_with(factors={"f": {}}, claims=[]): "no level",
    study_with(factors={"f": {True: {"optim.warmup": 0}}}, claims=[]): "reads true as true",
    study_with(limits="Nothing."): "study.limits",
    study_with(claims="It does."): "study.claims",
    study_with(sizes={"smoke": {"root": "/elsewhere"}}): "root",
    study_with(sizes={"smoke": {"~model": 1}}): "~model",
    study_with(metric="beauty"): "test_bleu",
    claim_with(contrast="b - a"): "not a variant",
    claim_with(contrast="b,warmup=0"): "variant - baseline",
    claim_with(metric="beauty"): "test_bleu",
    claim_with(margin=float("nan")): "margin",
    claim_with(kind="in_range", contrast="a,warmup=0", range=[2, 1]): "range",
    claim_with(kind="in_range", contrast="a,warmup=0", range=[float("nan"), 1]): "range",
    claim_with(command="python 'open"): "command",
    study_with(claims=copy.deepcopy(STUDY["claims"][:1]) + STUDY["claims"][:1]): "2 times",
}


@pytest.mark.parametrize("content", some_of(BAD_STUDIES), ids=lambda content: BAD_STUDIES[content])
def test_bad_studies_get_a_line_that_says_where(finished: Path, conf: Path, content: str) -> None:
    before = marks(finished)
    line = refusal(plan_of(conf, finished, content if content.startswith(HEADER) else HEADER + content))
    assert BAD_STUDIES[content] in line
    assert SENTINEL not in line
    assert marks(finished) == before


def test_a_study_that_hydra_would_put_nowhere_is_refused(conf: Path, tmp_path: Path) -> None:
    assert "@package _global_" in refusal(plan_of(conf, tmp_path, as_yaml(STUDY, header="")))


# Corpora.

LINES = [f"{a} {b} {c}" for a in ("one", "two", "three") for b in ("red", "blue", "green") for c in ("cats", "dogs")]
SOUND = "\n".join(LINES).encode()
TALK = b"<url>x</url>\n<talkid>1</talkid>\n" + SOUND
SEGMENTS = "\n".join(f'<seg id="{number}">{line}</seg>' for number, line in enumerate(LINES)).encode()
MEMORY = b'<tmx><body><tu><tuv xml:lang="en"><seg>a</seg></tuv><tuv xml:lang="fr"><seg>b</seg></tuv></tu></body></tmx>'
ROWS = json.dumps([{"translation": {"en": line, "fr": [line]}} for line in LINES]).encode()

texts = st.one_of(
    st.just(SOUND),
    damaged(SOUND),
    st.binary(max_size=80),
    st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(
        [b"", b"\n", b"\x00" * 50, SOUND.decode().encode("utf-16"), b"\xff\xfe", b"one line", b"x" * 300_000]
    ),
    st.sampled_from([text.encode() for text in HOSTILE if isinstance(text, str)]).map(
        lambda text: text + b"\n" + SOUND
    ),
    st.just(gzip.compress(SOUND)),
    st.sampled_from([TALK, SEGMENTS, MEMORY, ROWS]).flatmap(
        lambda content: st.one_of(st.just(content), damaged(content))
    ),
)
SIDES = ["train.en", "train.fr", "train.en.gz", "train.fr.gz", "val.en", "val.fr", "test.en"]
SIDES += ["train.EN", "train.eng", "train.fr.xml", "a.en-fr.en", "a.en-fr.fr", "train.tags.en-fr.en", "train.fr.bz2"]
TABLES = [
    "train.csv",
    "train.tsv",
    "train.jsonl",
    "train.parquet",
    "train.jsonl.gz",
    "train.json",
    "train.txt",
    "a.tmx",
]
folders = st.dictionaries(st.sampled_from([*SIDES, *TABLES, "notes.txt"]), texts, max_size=4)


@pytest.mark.long
@given(
    folders,
    st.sampled_from(["", "/train", "/not/there", "/train.csv", "/train.en", "/train.txt", "/a.tmx", "/a.en-fr"]),
)
@example({"train.en": SOUND, "train.fr": SOUND}, "")
@example({"train.jsonl": b"[1]\n"}, "")
@example({"train.csv": b'en,fr\n"a,b\n'}, "")
@tried(60)
def test_a_corpus_is_prepared_or_gets_one_line(
    finished: Path, tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], end: str
) -> None:
    before, folder = marks(finished), tmp_path_factory.mktemp("corpus")
    for name, content in files.items():
        (folder / name).write_bytes(content)
    mine = ("preset=smoke", "data=files", "train.batch_tokens=1", f"root={finished}", f"data.path={folder}{end}")
    with quick(cli.CONF):
        said = ablate(*mine, "data.name=mine", "prepare_only=true")
    if said.code == 0:
        assert "mine is prepared" in said.out
    else:
        *taken, _ = said.err.splitlines()
        assert all(str(folder) in line for line in taken)  # what its files were taken for
        refusal(replace(said, err=said.err.splitlines(keepends=True)[-1]))
    assert marks(finished) == before


# Records.

STUDY_OF_RECORDS = a_study(
    ("pre", "post"),
    claims=[
        {"id": "c", "sentence": "s", "contrast": "post - pre", "metric": "test_bleu", "kind": "directional"},
        {"id": "d", "sentence": "s", "contrast": "post - pre", "metric": "initial_gradient_norm_last_ffn",
         "kind": "directional"},
    ],
)  # fmt: skip
RECORDS = ("manifest.json", "runs.jsonl", "layers.jsonl.gz", "curves.jsonl.gz", "test.jsonl.gz", "hypotheses.jsonl.gz")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a setting's sound records."""
    root = tmp_path_factory.mktemp("records")
    folder = write_records(root, STUDY_OF_RECORDS, some_runs(STUDY_OF_RECORDS, diverged=[("post", 1)]))
    assert reported(f"root={root}").code == 0
    return folder


def content_of(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def put(path: Path, content: bytes) -> None:
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


@given(st.data())
@tried(120)
def test_records_make_a_report_or_get_one_line(
    records: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("root")
    folder = root / "experiments" / records.parent.name / records.name
    shutil.copytree(records, folder)
    path = folder / data.draw(st.sampled_from(RECORDS))
    content = content_of(path)
    if data.draw(st.booleans()):
        objects = (
            [json.loads(line) for line in content.splitlines()] if ".jsonl" in path.name else [json.loads(content)]
        )
        chosen = data.draw(st.integers(0, len(objects) - 1))
        objects[chosen] = data.draw(mutilated(objects[chosen]))
        put(path, "".join(json.dumps(each) + "\n" for each in objects).encode())
    elif data.draw(st.booleans()):
        put(path, data.draw(damaged(content)))
    else:
        path.write_bytes(data.draw(damaged(path.read_bytes())))
    before = marks(root / "experiments")
    said = reported("toy", f"root={root}")
    if said.code == 0:
        check_page(root / "reports" / "toy" / records.name)
    else:
        line = refusal(said, "ablate.report")
        assert "experiments" in line
        assert not list(root.glob("reports/toy/*/report.*"))
    assert marks(root / "experiments") == before
    assert reported(f"root={root}").code == said.code
    shutil.rmtree(root)


def check_page(folder: Path) -> None:
    """A report in which nothing that others wrote is markup or program."""
    page, text = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    for tag in ("<script", "<img src=x"):
        assert tag not in page
        assert not re.search(rf"(?<!\\){tag}", "\n".join(line for line in text.splitlines() if line[:4] != "    "))
    assert 'href="javascript' not in page
    json.loads((folder / "summary.json").read_text(), parse_constant=pytest.fail)
