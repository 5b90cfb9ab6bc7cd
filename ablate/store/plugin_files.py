"""The files that `plugins=` names: executed before anything is composed, and recognised by the hash of their source."""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from ablate import plugins
from ablate.config import BadInput, Config
from ablate.plugins import Member
from ablate.system.places import expanded

Entries = Iterable[dict[str, Any]]  # as `described` writes them


def load(paths: Iterable[str | Path]) -> None:
    """Execute these files, each once. Raises BadInput that names the file, and the line at fault where there is one."""
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
    """The paths in `[a.py,b.py]`, as they are typed; brackets may be left out."""
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
        told = str(error) if isinstance(error, BadInput) else traceback.format_exception_only(error)[-1].strip()
        raise BadInput(f"plugins: {path}{line_of(path, error)}: {told}") from None


def line_of(path: Path, error: BaseException) -> str:
    """The line of the file at which an error arose, as it follows the file's name in a message."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines.append(error.lineno)
    return f", line {lines[-1]}" if lines else ""


def described(config: Config, paths: bool = False) -> dict[str, Any]:
    """What records say of the plugins that a run uses: {"plugins": [...]}, or nothing. Paths are for runs/ alone."""
    entries = []
    for member in plugins.used(model=config.model, optim=config.optim, train=config.train, data=config.data):
        entry = {"key": member.key, "name": member.name, "file": Path(member.path).name, "sha256": member.sha256}
        reads = {"reads": sorted(member.details["reads"])} if member.details.get("reads") is not None else {}
        entries.append(entry | reads | ({"path": member.path} if paths else {}))
    return {"plugins": entries} if entries else {}


def without_paths(frozen: dict[str, Any]) -> dict[str, Any]:
    """A run's description without the paths of its plugins, so that a merged file cannot say what is executed."""
    entries = [{key: value for key, value in entry.items() if key != "path"} for entry in frozen.get("plugins", ())]
    return frozen | ({"plugins": entries} if entries else {})


def load_described(entries: Entries) -> None:
    """Load the plugins that a run was planned with. Raises BadInput where one is gone, or has another source now."""
    for entry in entries:
        place, then = (entry["key"], entry["name"]), entry["sha256"]
        path = Path(str(entry.get("path", entry["file"])))
        what = f"{path}, the plugin that adds {entry['key']}={entry['name']} to this run,"
        if place not in plugins.members():
            if "path" not in entry or not path.is_file():
                raise BadInput(f"{what} is not there: give its place with plugins=")
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
def recalled(entries: Entries) -> Iterator[None]:
    """Let records' names and hashes stand for their plugins, so that ids can be computed without the files."""
    before = plugins.members()
    try:
        for entry in entries:
            place = entry["key"], entry["name"]
            if place in plugins.members():
                plugins.remove(plugins.members()[place])
            reads = {"reads": entry["reads"]} if "reads" in entry else {}
            plugins.add(Member(*place, entry["file"], entry["sha256"], details=reads))
        yield
    finally:
        plugins.restore(before)


_loaded: dict[str, str] = {}
