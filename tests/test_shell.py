"""Hydra's command line under newer versions of Python."""

from __future__ import annotations

import argparse
from typing import Any

import pytest
from malformed import SMOKE, ablate

from ablate.plan import shell


@pytest.fixture
def _strict_help(monkeypatch: pytest.MonkeyPatch) -> None:
    """argparse as it is from Python 3.14 on: `add_argument` looks into the help text."""
    original = argparse._ActionsContainer.add_argument

    def add_argument(self: Any, *names: Any, **options: Any) -> argparse.Action:
        action = original(self, *names, **options)
        try:
            "%" in (action.help or "")  # noqa: B015
        except TypeError as error:
            raise ValueError("badly formed help string") from error
        return action

    monkeypatch.setattr(argparse._ActionsContainer, "add_argument", add_argument)


@pytest.mark.usefixtures("_strict_help")
def test_the_simulation_refuses_what_hydra_does() -> None:
    with pytest.raises(ValueError, match="badly formed help string"):
        shell.get_args_parser()


@pytest.mark.usefixtures("_strict_help")
@pytest.mark.parametrize("arguments", [[*SMOKE, "dry_run=true"], [*SMOKE, "--cfg", "job"], ["--hydra-help"]])
def test_the_whole_command_works_where_argparse_looks_into_help(arguments: list[str]) -> None:
    said = ablate(*arguments)
    assert said.code == 0, said
    assert said.out


def test_argparse_is_left_as_it_was() -> None:
    shell.hydra_parser()
    assert "add_argument" not in vars(argparse.ArgumentParser)


def test_every_option_has_a_help_text() -> None:
    assert "--shell-completion" in shell.hydra_parser().format_help()
