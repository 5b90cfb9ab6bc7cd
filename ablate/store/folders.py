"""The store: the folders of trainings, records and reports that a command works in."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

from filelock import Timeout

from ablate.config import BadInput
from ablate.store.ids import MEANING, RunSpec
from ablate.store.plain import config_to_plain
from ablate.store.plugin_files import described
from ablate.store.run_folder import RunFolder
from ablate.store.schema import VERSION, Task
from ablate.system import locks
from ablate.system.atomic import sweep

WRITTEN = ("runs", "experiments", "reports")  # folders of a store


@dataclass(frozen=True)
class Store:
    """The folder that a command works in, with `runs/`, `experiments/` and `reports/`."""

    root: Path

    def run(self, run_id: str) -> RunFolder:
        return RunFolder(self.root / "runs" / run_id)

    def records(self, study: str, setting: str) -> Path:
        """The folder of a setting's records."""
        return self.root / "experiments" / study / setting

    def done(self, spec: RunSpec) -> bool:
        return self.run(spec.id).done(spec)

    def freeze(self, specs: Iterable[RunSpec]) -> list[str]:
        """Write run.json of each run that is not done, so that later edits of the study do not change it.

        Returns the ids of the trainings that need work, parents before those that learn from them.
        """
        specs = list(specs)
        for spec in specs:
            sweep(self.run(spec.id).path)
        todo = [spec for spec in specs if not self.done(spec)]
        needed = {parent for spec in todo for parent in spec.parents}
        for spec in specs:
            folder = self.run(spec.id)
            if spec in todo or spec.id in needed or folder.task() is None:
                folder.path.mkdir(parents=True, exist_ok=True)
                with locks.lock(folder.file(".freezing")):
                    self._freeze(folder, spec, spec.id in needed)
        return in_order([spec for spec in specs if not self.done(spec)])

    def _freeze(self, folder: RunFolder, spec: RunSpec, weights_needed: bool) -> None:
        """Write run.json. If another command asked for another evaluation of the same training, both are kept."""
        config = config_to_plain(spec.config)
        earlier = folder.task()
        evaluations = dict(earlier.evaluations) if earlier else {}
        evaluations[spec.evaluation] = config
        try:
            with folder.lock(0):
                for name in ("failure.txt", "notes.txt", "running"):
                    folder.file(name).unlink(missing_ok=True)  # of an earlier try
                folder.set_damaged_aside(spec, weights_needed)
        except Timeout:
            config = earlier.config if earlier else config
        task = Task(
            version=VERSION,
            meaning=MEANING,
            seed=spec.seed,
            corpus=spec.corpus,
            config=config,
            parents=list(spec.parents),
            evaluations=evaluations,
            plugins=described(spec.config, paths=True),
        )
        folder.write("run.json", task)

    def check_writable(self) -> None:
        """Raise BadInput now if the store cannot be written to, rather than fail after an hour."""
        for path in (self.root, *(self.root / name for name in WRITTEN)):
            if os.path.lexists(path) and not path.is_dir():
                raise BadInput(f"{path} is not a folder: move it away, or name another root with root=DIR")
        try:
            for name in WRITTEN:
                (self.root / name).mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=self.root / name) as file:  # without a name, where the system can
                    file.write(b"?")
        except OSError as error:
            raise BadInput(
                f"root={self.root} cannot be written to: {error.strerror}; name another with root=DIR"
            ) from None


def in_order(specs: Iterable[RunSpec]) -> list[str]:
    """The ids of trainings, each once, parents before those that learn from them."""
    parents = {spec.id: spec.parents for spec in specs}
    return [run for run in TopologicalSorter(parents).static_order() if run in parents]
