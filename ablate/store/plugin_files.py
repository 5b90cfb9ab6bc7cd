"""Execute the files that `plugins=` names, before anything is composed, and check them by the hash of their source."""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
from msgspec import structs

from ablate import plugins
from ablate.config import BadInput, Config
from ablate.plugins import Member
from ablate.store.schema import PluginMember, Task
from ablate.system.places import expanded


def load(paths: Iterable[str | Path]) -> None:
    """Execute these files, each once. Raises BadInput that names the file, and the wrong line where there is one."""
    for given in paths:
        path = expanded(str(given), "plugins").absolute()
        try:
            source = path.read_bytes()
        except OSError as error:
            raise BadInput(f"plugins: {path} cannot be read: {error.strerror}") from None
        sha256 = hashlib.sha256(source).hexdigest()
        if _loaded.get(str(path), sha256) != sha256:
            raise BadInput(f"plugins: {path} has changed since this process imported it: start Python again")
        if sha256 not in _loaded.values():  # one file may lie in two places
            execute(path, source, sha256)
        _loaded[str(path)] = sha256


def listed(text: str) -> list[str]:
    """The paths in `[a.py,b.py]`, without further interpretation; the brackets are optional."""
    return [path.strip() for path in text.removeprefix("[").removesuffix("]").split(",") if path.strip()]


def loaded() -> dict[str, str]:
    """Absolute path -> sha256 of every plugin of this process."""
    return dict(_loaded)


def execute(path: Path, source: bytes, sha256: str) -> None:
    name, before = f"ablate_plugin_{sha256[:12]}", plugins.members()
    module = sys.modules[name] = ModuleType(name)
    module.__file__ = str(path)
    try:
        with plugins.registering(str(path), sha256):
            exec(compile(source, str(path), "exec"), module.__dict__)
        if before == plugins.members():
            raise BadInput("it registers nothing (see `register` in ablate/plugins.py)")
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        why = str(error) if isinstance(error, BadInput) else traceback.format_exception_only(error)[-1].strip()
        raise BadInput(f"plugins: {path}{line_of(path, error)}: {why}") from None


def line_of(path: Path, error: BaseException) -> str:
    """The line of the file that raised an error, as a message names it after the file."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines.append(error.lineno)
    return f", line {lines[-1]}" if lines else ""


def described(config: Config, paths: bool = False) -> list[PluginMember]:
    """The members of plugins that a configuration chooses, as run files and records keep them."""
    return [
        PluginMember(
            key=member.key,
            name=member.name,
            file=Path(member.path).name,
            sha256=member.sha256,
            reads=None if member.reads is None else sorted(member.reads),
            path=member.path if paths else None,
        )
        for member in plugins.used(model=config.model, optim=config.optim, train=config.train, data=config.data)
    ]


def without_paths(task: Task) -> Task:
    """A run's task without the paths of its plugins, so that a merged file cannot choose which file is executed."""
    return structs.replace(task, plugins=[structs.replace(entry, path=None) for entry in task.plugins])


def load_described(entries: Iterable[PluginMember]) -> None:
    """Load the plugins that a run was planned with. Raises BadInput if one is missing or its source has changed."""
    for entry in entries:
        place, then = (entry.key, entry.name), entry.sha256
        path = Path(entry.path or entry.file)
        what = f"{path}, the plugin that adds {entry.key}={entry.name} to this run,"
        if place not in plugins.members():
            if entry.path is None or not path.is_file():
                raise BadInput(f"{what} is missing: give its path with plugins=")
            now = hashlib.sha256(path.read_bytes()).hexdigest()
            if now == then:
                load([path])
        else:
            now = plugins.members()[place].sha256
        if now != then:
            raise BadInput(
                f"{what} has changed: its sha256 was {then[:12]} when the run was planned and is {now[:12]} now"
            )


@contextmanager
def recalled(entries: Iterable[PluginMember | dict[str, Any]]) -> Iterator[None]:
    """Inside the block, recorded names and hashes replace plugins, so that ids can be computed without the plugins."""
    before = plugins.members()
    try:
        for entry in msgspec.convert(list(entries), list[PluginMember]):
            place = entry.key, entry.name
            if place in plugins.members():
                plugins.remove(plugins.members()[place])
            reads = None if entry.reads is None else frozenset(entry.reads)
            plugins.add(Member(*place, entry.file, entry.sha256, reads=reads))
        yield
    finally:
        plugins.restore(before)


_loaded: dict[str, str] = {}
