"""The commands `python -m ablate.NAME`: argparse reads each, and bad input gets one line."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest
from malformed import Said, refusal, said_by

import ablate
from ablate.config import BadInput
from ablate.system.command_line import CommandLine

PACKAGE = Path(ablate.__file__).parent
KEYS = {  # command -> the keys and flags of its documented interface
    "report": ["compare", "root", "plugins", "verify", "noise"],
    "merge": ["root"],
    "publish": ["setting", "root", "project", "entity", "dry_run"],
    "tracking": ["problem"],
    "benchmark": ["data", "parts", "peers", "rounds", "updates", "against", "root", "study", "quick", "page"],
}
BY_HAND = {"startswith", "removeprefix", "partition", "split", "argv"}  # attributes that parsing by hand would use


def said(command: str, *arguments: str) -> Said:
    if command == "publish":
        pytest.importorskip("wandb_workspaces")
    main = importlib.import_module(f"ablate.{command}.__main__").main
    return said_by(lambda: main(list(arguments)))


def test_every_command_of_the_package_is_in_this_table() -> None:
    assert sorted(KEYS) == sorted(path.parent.name for path in PACKAGE.glob("*/__main__.py"))


@pytest.mark.parametrize("command", KEYS)
def test_a_command_is_argparse_and_nothing_more(command: str) -> None:
    tree = ast.parse((PACKAGE / command / "__main__.py").read_text())
    assert [node.name for node in tree.body if isinstance(node, ast.FunctionDef)] == ["main", "work"]
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        assert not [node for node in ast.walk(function) if isinstance(node, ast.For | ast.While | ast.If | ast.Try)]
        assert not BY_HAND & {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize("command", KEYS)
def test_help_names_every_key(command: str) -> None:
    shown = said(command, "--help")
    assert (shown.code, shown.err) == (0, "")
    for key in KEYS[command]:
        assert f"[{key}=" in shown.out or f"[--{key}]" in shown.out
        assert f"  --{key}" in shown.out


BAD = {
    "a key that there is not": ["toy", "colour=red"],
    "a flag that there is not": ["toy", "--colour"],
    "the beginning of a key": ["toy", "--roo=x", "--proble=x"],
    "a key without a value": ["toy", "--root"],
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("command", KEYS)
def test_bad_input_is_one_line_that_names_every_key(command: str, bad: str) -> None:
    line = refusal(said(command, *BAD[bad]), f"ablate.{command}")
    assert all(f"[{key}=" in line or f"[--{key}]" in line for key in KEYS[command])


def a_command() -> CommandLine:
    line = CommandLine("ablate.toy", "A toy.")
    line.name("NAME", "names", nargs="*")
    line.key("root", "DIR", "a folder", default=".")
    line.flag("check", "a flag")
    return line


@pytest.mark.parametrize("value", ["there", "a=b", "--there", "", "two words", "-1"])
def test_a_key_may_be_written_with_and_without_dashes_anywhere(value: str) -> None:
    for word in (f"root={value}", f"--root={value}"):
        for arguments in (["a", word, "b"], [word, "a", "b"], ["a", "b", "--check", word]):
            found = a_command().parsed(arguments)
            assert (found.name, found.root, found.check) == (["a", "b"], value, "--check" in arguments)


@pytest.mark.parametrize("name", ["setting,lr=0.1", "./a=b", "A=b", "=b"])
def test_names_may_hold_an_equals_sign_where_it_cannot_be_meant_as_a_key(name: str) -> None:
    assert a_command().parsed([name]).name == [name]


def test_a_key_that_is_given_twice_has_its_last_value() -> None:
    assert a_command().parsed(["root=a", "--root", "b"]).root == "b"


def test_errors_are_bad_input() -> None:
    with pytest.raises(BadInput, match=r"unrecognized arguments: --no; it takes \[NAME ...\] \[root=DIR\] \[--check\]"):
        a_command().parsed(["--no"])
