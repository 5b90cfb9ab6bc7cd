"""The text of `python -m ablate --help`, made from the configuration itself. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any

from ablate.config import (
    CHOICES,
    DataConfig,
    DiagnosticsConfig,
    EvaluationConfig,
    ModelConfig,
    OptimConfig,
    TrainConfig,
    WandbConfig,
)

USAGE = """\
ablate settles arguments about Transformer design with experiments.

  python -m ablate +sweep=STUDY [KEY=VALUE ...]   train a study's variants, write its report
  python -m ablate [KEY=VALUE ...]                train the baseline alone
  python -m ablate.report [STUDY ...] [root=DIR]  rebuild reports from the records, training nothing
  python -m ablate.merge FOLDER [root=DIR]        copy runs from another store
  python -m ablate.publish STUDY [root=DIR]       make a view and a report in W&B (--help of each names all keys)
"""

COMMON = """\
Also
  preset=NAME  data=NAME   as listed above
  seeds=N                  runs of each variant
  first_seed=N             the lowest of their seeds, for a test on runs that nobody has seen
  workers=N                runs side by side (auto: one a core)
  device=auto|cpu|cuda     where to train
  precision=fp32|bf16      part of the preset
  plugins=[FILE.py]        adds members to the tables of choices (see README); with --help, they are listed here
  tune=lr                  every variant at a grid of learning rates; grid=[0.001,0.002] gives another grid
  match=parameters         adds twins of the baseline's size for variants of another size
  across={KEY:[A,B]}       crosses the study with levels of a key, which becomes a factor; quote it for the shell
  until=resolved           adds seeds until every claim is decided
  cost_probe=false         do not time the variants at the end
  dry_run=true             print the plan and train nothing
  root=DIR                 where runs/, experiments/ and reports/ go
  --cfg job                print the configuration as composed

Example: python -m ablate +sweep=norm_placement model.layers=4 seeds=5
"""

SECTIONS: dict[str, type] = {
    "model": ModelConfig,
    "optim": OptimConfig,
    "train": TrainConfig,
    "evaluation": EvaluationConfig,
    "diagnostics": DiagnosticsConfig,
    "data": DataConfig,
    "wandb": WandbConfig,
}


def text(conf: Path) -> str:
    """The whole help text, with the studies, corpora and presets found in the folder `conf`."""
    parts = [
        USAGE,
        _listing("Studies (+sweep=)", studies(conf)),
        _listing("Corpora (data=)", descriptions(conf / "data")),
    ]
    parts.append(_listing("Presets (preset=)", descriptions(conf / "preset")))
    parts += [_section(name, section) for name, section in SECTIONS.items()]
    return "\n".join([*parts, COMMON])


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


def _section(name: str, section: type) -> str:
    lines = []
    for item in fields(section):
        key = f"{name}.{item.name}={_value(item.default)}"
        members = type(item.default).__members__ if isinstance(item.default, Enum) else ()
        choices = ", ".join(CHOICES.get(f"{name}.{item.name}", members))
        note = choices or item.metadata["within"] or ""
        lines.append(f"  {key:34}  {item.metadata['meaning']}" + (f"; {note}" if note else ""))
    return "\n".join([f"{name} (defaults; a corpus or preset may set others)", *lines]) + "\n"


def _value(value: Any) -> str:
    return value.name if isinstance(value, Enum) else "null" if value is None else str(value)
