"""The files of conf/ that a command chooses, looked at before Hydra reads them: plain YAML, and of the right form.

Studies are passed around, so a study's file may be anybody's. It can hold values and nothing else: no tags, which make
objects; no aliases, of which a few lines make gigabytes; nothing of Hydra's, which runs what it is told to.
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
WHOLE = {"sweep": "study", "preset": None}  # groups whose files set keys of any section -> the one that each must have
LOCAL = {  # and those that none may have: a study says what to compare, not where and how
    "sweep": ("root", "run", "device", "workers", "wandb", "dry_run", "prepare_only", "cost_probe"),
    "preset": ("run",),
}


def check_files(chosen: Iterable[tuple[str, str]], folders: Sequence[Path]) -> None:
    """Raise BadInput for a chosen (group, name) whose file is no good. What is in no folder is for Hydra to say."""
    for group, name in chosen:
        paths = [folder / group / f"{name.removesuffix('.yaml')}.yaml" for folder in folders]
        found = [path for path in paths if path.is_file()]
        if len(found) > 1:  # Hydra would take the last one, which is ablate's
            raise BadInput(f"{found[0]} has the name of a file that ablate has in conf/{group}/: give it another name")
        for path in found:
            check_file(path, group)


def plugins_of(chosen: Iterable[tuple[str, str]], folders: Sequence[Path]) -> list[Path]:
    """The plugins that chosen files name, by paths from each file's own folder, below which they lie.

    A study is passed around as a file: it may run what came with it, and nothing else. Raises BadInput.
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
        raise BadInput(f"{path} is no YAML: {in_a_line(error)}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None
    except (TypeError, ValueError) as error:  # such as a number of too many digits
        raise BadInput(f"{path} is no YAML of plain values: {error}") from None
    if not isinstance(keys, dict):
        raise BadInput(f"{path} should be KEY: VALUE, a line each")
    if group in WHOLE:
        check_keys(path, text, keys, group)
    check_scalars(path, node, group)


def check_events(path: Path, text: str) -> None:
    """What a parser meets on the way, before anything is made of it."""
    depth = 0
    for event in yaml.parse(text, Loader):
        where = f"{path}, line {event.start_mark.line + 1}," if event.start_mark else str(path)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise BadInput(f"{where} nests too deeply: {DEEPEST} levels are enough")
        if isinstance(event, yaml.AliasEvent):
            raise BadInput(f"{where} holds the alias *{event.anchor}: write out what it stands for")
        if isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)) and event.tag is not None:
            raise BadInput(f"{where} holds the tag {event.tag}: only plain values can stand here")


def check_repeated(path: Path, node: yaml.Node | None) -> None:
    """YAML takes the last of several values that a mapping gives a key, and says nothing."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise BadInput(f"{path}, line {key.start_mark.line + 1}, has a key that is no word")
            if key.value in seen:
                raise BadInput(f"{path}, line {key.start_mark.line + 1}, says {key.value} a second time")
            seen.add(key.value)
            check_repeated(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            check_repeated(path, value)


def check_keys(path: Path, text: str, keys: dict[object, object], group: str) -> None:
    """Of a file that sets keys from the top: Hydra would put those of a wrong name, or of a wrong place, nowhere."""
    needed, known = WHOLE[group], [item.name for item in fields(Config) if item.name not in LOCAL[group]]
    for key in keys:
        if key not in known:
            raise BadInput(f"{path} says {key}, which is not for it to say; it may say {', '.join(known)}")
    if needed and needed not in keys:
        raise BadInput(f"{path} has no {needed}")
    header = [line.split() for line in text.splitlines() if line.startswith("#")]
    if ["#", "@package", "_global_"] not in header:
        raise BadInput(f"{path} should begin with '# @package _global_'")


def in_a_line(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"{error.problem} in line {error.problem_mark.line + 1}"
    return " ".join(str(error).split())
