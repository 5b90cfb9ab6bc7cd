"""Where runs are shown: in a project on W&B's server, or in files on this machine that can be uploaded later."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ablate.store.ids import digest
from ablate.system.atomic import write_atomic

LONGEST = {"job_type": 64, "tag": 64, "group": 128, "name": 128}  # characters that W&B's server accepts
SHOWS = 2  # raised when more of a run is shown than before, so that all runs are shown again
INIT_TIMEOUT = 15.0  # seconds that wandb may take to open a run online
FINISH_TIMEOUT = 10.0  # seconds that wandb may take to upload the rest of a run, by default


def fitting(kind: str, text: str) -> str:
    """The text, shortened to what W&B accepts for this kind of name. A hash keeps shortened texts apart."""
    most = LONGEST[kind]
    return text if len(text) <= most else f"{text[: most - 13]}~{digest(text)}"


class Unreachable(Exception):
    """W&B's server cannot be used now. Everything is on disk, so it can still be shown offline."""


@dataclass(frozen=True)
class Place:
    folder: Path  # of W&B's files, and of marks for runs that have been shown
    online: bool
    project: str
    entity: str | None
    tags: tuple[str, ...] = ()  # the user's, in addition to those that describe a run

    def open(self, id: str, finish_timeout: float = FINISH_TIMEOUT, **identity: Any) -> Any:
        """Begin a run in W&B. Deletes files of an earlier attempt with the same id."""
        import wandb

        for leftover in (self.folder / "wandb").glob(f"offline-run-*-{id}"):
            shutil.rmtree(leftover, ignore_errors=True)
        os.environ.setdefault("WANDB_DATA_DIR", str(self.folder))  # by default tables are kept in the home folder
        settings = wandb.Settings(  # wandb.init changes it, so each run gets its own
            mode="online" if self.online else "offline",
            init_timeout=INIT_TIMEOUT,
            finish_timeout=finish_timeout,
            finish_timeout_raises=True,
            console="off",
            silent=True,
            disable_git=True,
            disable_code=True,
            x_disable_stats=True,
            x_disable_meta=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
        )
        identity = {kind: fitting(kind, name) if kind in LONGEST else name for kind, name in identity.items()}
        tags = (*identity.get("tags", ()), *self.tags)
        identity["tags"] = list(dict.fromkeys(fitting("tag", tag) for tag in tags if tag))
        identity |= {"id": id, "project": self.project, "entity": self.entity}
        return wandb.init(dir=self.folder, settings=settings, reinit="create_new", **identity)

    @contextlib.contextmanager
    def failing_online(self) -> Iterator[None]:
        """Inside the block, any error of an online place becomes Unreachable."""
        try:
            yield
        except Exception as error:
            if self.online:
                raise Unreachable(str(error).partition("\n")[0][:120]) from error
            raise

    def has_shown(self, id: str, content: str) -> bool:
        """Whether this content has been shown completely under this id, here or online."""
        return any(
            marker.exists() and marker.read_text(encoding="utf-8") == f"{SHOWS} {content}"
            for marker in {self.marker(id), replace(self, online=True).marker(id)}
        )

    def mark(self, id: str, content: str) -> None:
        write_atomic(self.marker(id), f"{SHOWS} {content}")

    def marker(self, id: str) -> Path:
        """The file that records the content that was last shown completely under this id."""
        return self.folder / "tracked" / digest([id, self.online, self.entity, self.project])

    def upload(self) -> str:
        """How the user can upload the offline files."""
        folder = self.folder / "wandb"
        here = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
        return f"to upload: wandb sync {shlex.quote(str(here))}/offline-run-*"
