"""Check the files of conf/ that a command chooses before Hydra reads them: they must be plain YAML of the right form.

A study's file may come from an untrusted source. It may contain values only: no tags, which create objects; no aliases,
by which a few lines expand to gigabytes; and no keys of Hydra's, which can run code. The plugins that it names must be
in its folder (see `plugins_of`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path

import yaml

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # a PyYAML without libyaml, which is slower
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

from ablate.config import BadInput, Config
from ablate.plan.scalars import HydraLoader, check_scalars

DEEPEST = 16  # mappings and lists within each other
LONGEST = 2**20  # bytes
WHOLE = {"sweep": "study", "preset": None}  # groups whose files set keys of any section -> the key that each must have
LOCAL = {  # keys that they may not have: a study sets what is compared, but not where and how it runs
    "sweep": ("root", "run", "device", "workers", "wandb", "dry_run", "prepare_only", "cost_probe"),
    "preset": ("run",),
}


def check_files(chosen: Iterable[tuple[str, str]], folders: Sequence[Path]) -> None:
    """Raise BadInput for a chosen (group, name) whose file is malformed. Hydra reports files that do not exist."""
    for group, name in chosen:
        paths = [folder / group / f"{name.removesuffix('.yaml')}.yaml" for folder in folders]
        found = [path for path in paths if path.is_file()]
        if len(found) > 1:  # Hydra would take the last one, which is ablate's
            raise BadInput(f"{found[0]} has the same name as a file in ablate's conf/{group}/: rename it")
        for path in found:
            check_file(path, group)


def plugins_of(chosen: Iterable[tuple[str, str]], folders: Sequence[Path]) -> list[Path]:
    """The plugins that chosen files name, by paths relative to the file's folder. Raises BadInput.

    They must be in that folder or below it, so that a study's file can run only code that came with it.
    """
    found = []
    for group, name in chosen:
        for folder in folders:
            path = folder / group / f"{name.removesuffix('.yaml')}.yaml"
            named = yaml.load(path.read_text(encoding="utf-8"), HydraLoader) if path.is_file() else {}
            for each in named.get("plugins") or () if group in WHOLE else ():
                plugin = (path.parent / str(each)).resolve()
                if not plugin.is_relative_to(path.parent.resolve()):
                    raise BadInput(f"{path}: the plugin {each} is not in the folder of this file, or below it")
                found.append(plugin)
    return found


def check_file(path: Path, group: str) -> None:
    try:
        text = path.read_text(encoding="utf-8")
        if len(text) > LONGEST:
            raise BadInput(f"{path} is too large: it may have {LONGEST:,} characters")
        check_events(path, text)
        node = yaml.compose(text, Loader)
        check_repeated(path, node)
        keys = yaml.load(text, HydraLoader)
    except BadInput:
        raise
    except yaml.YAMLError as error:
        raise BadInput(f"{path} is not YAML: {in_a_line(error)}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None
    except (TypeError, ValueError) as error:  # such as a number of too many digits
        raise BadInput(f"{path} is not YAML of plain values: {error}") from None
    if not isinstance(keys, dict):
        raise BadInput(f"{path} should have lines KEY: VALUE")
    if group in WHOLE:
        check_keys(path, text, keys, group)
    check_scalars(path, node, group)


def check_events(path: Path, text: str) -> None:
    """Check the parser's events, before any value is constructed."""
    depth = 0
    for event in yaml.parse(text, Loader):
        where = f"{path}, line {event.start_mark.line + 1}," if event.start_mark else str(path)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise BadInput(f"{where} nests too deeply: {DEEPEST} levels are enough")
        if isinstance(event, yaml.AliasEvent):
            raise BadInput(f"{where} has the alias *{event.anchor}: write out its value")
        if isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)) and event.tag is not None:
            raise BadInput(f"{where} has the tag {event.tag}: only plain values are allowed here")


def check_repeated(path: Path, node: yaml.Node | None) -> None:
    """Raise BadInput for a repeated key, of which YAML silently takes the last value."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise BadInput(f"{path}, line {key.start_mark.line + 1}, has a key that is not a word")
            if key.value in seen:
                raise BadInput(f"{path}, line {key.start_mark.line + 1}, has {key.value} a second time")
            seen.add(key.value)
            check_repeated(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            check_repeated(path, value)


def check_keys(path: Path, text: str, keys: dict[object, object], group: str) -> None:
    """Check the top-level keys of a file, since Hydra silently ignores unknown ones."""
    needed, known = WHOLE[group], [item.name for item in fields(Config) if item.name not in LOCAL[group]]
    for key in keys:
        if key not in known:
            raise BadInput(f"{path} cannot set {key}; it may set {', '.join(known)}")
    if needed and needed not in keys:
        raise BadInput(f"{path} has no {needed}")
    header = [line.split() for line in text.splitlines() if line.startswith("#")]
    if ["#", "@package", "_global_"] not in header:
        raise BadInput(f"{path} should begin with '# @package _global_'")


def in_a_line(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"{error.problem} in line {error.problem_mark.line + 1}"
    return " ".join(str(error).split())
