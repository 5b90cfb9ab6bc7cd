"""The text of `python -m ablate --help`, made from the configuration itself. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from ablate.config import CHOICES, Config

USAGE = """\
ablate settles arguments about Transformer design with experiments.

  python -m ablate +sweep=STUDY [KEY=VALUE ...]   train a study's variants, write its report
  python -m ablate [KEY=VALUE ...]                train the baseline alone
  python -m ablate.report [STUDY ...] [root=DIR]  rebuild reports from the records, training nothing
  python -m ablate.merge FOLDER [root=DIR]        copy runs from another store
  python -m ablate.publish STUDY [root=DIR]       make a view and a report in W&B (--help of each names all keys)
"""

EXAMPLES = """\
Quote brackets and braces for the shell. Hydra's options work too: --cfg job prints the configuration.

Example: python -m ablate +sweep=norm_placement model.layers=4 seeds=5
"""
HIDDEN = ("study", "preset", "run")  # keys that files set, or ablate itself


def text(conf: Path) -> str:
    """The whole help text, with the studies, corpora and presets in the folder `conf`."""
    sections = {item.name: item.default_factory for item in fields(Config) if is_dataclass(item.default_factory)}
    return "\n".join(
        [
            USAGE,
            _listing("Studies (+sweep=)", studies(conf)),
            _listing("Corpora (data=)", descriptions(conf / "data")),
            _listing("Presets (preset=)", descriptions(conf / "preset")),
            *(_section(name, f"{name}.", section) for name, section in sections.items()),
            _section("command", "", Config, (*HIDDEN, *sections)),
            EXAMPLES,
        ]
    )


def studies(conf: Path) -> dict[str, str]:
    """Each study's question."""
    import yaml

    return {
        path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))["study"]["question"]
        for path in sorted(conf.glob("sweep/*.yaml"))
    }


def descriptions(folder: Path) -> dict[str, str]:
    """The first sentence of each file's opening comment."""
    found = {}
    for path in sorted(folder.glob("*.yaml")):
        comment = [line[1:].strip() for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
        prose = " ".join(line for line in comment if not line.startswith("@package"))
        found[path.stem] = prose.partition(". ")[0].rstrip(".")
    return found


def _listing(title: str, entries: dict[str, str]) -> str:
    width = max(map(len, entries), default=0)
    return "\n".join([title, *(f"  {name:{width}}  {what}" for name, what in entries.items())]) + "\n"


def _section(title: str, above: str, section: Any, hidden: tuple[str, ...] = ()) -> str:
    """A line for each key of a section. `above` is the beginning of its dotted keys."""
    lines = []
    for item in fields(section):
        if item.name not in hidden:
            key = f"{above}{item.name}={_value(item.default)}"
            members = type(item.default).__members__ if isinstance(item.default, Enum) else ()
            choices = ", ".join(CHOICES.get(above + item.name, members))
            note = choices or item.metadata["within"] or ""
            lines.append(f"  {key:34}  {item.metadata['meaning']}" + (f"; {note}" if note else ""))
    return "\n".join([f"{title} (defaults; a corpus or preset may set others)", *lines]) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.name if isinstance(value, Enum) else "null" if value is None else str(value)
