"""Copy run folders to W&B while the runs are trained. Only the run folders count: W&B can be filled again from them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ablate.records.collect import run_record
from ablate.store.folders import Store
from ablate.store.ids import RunSpec, digest
from ablate.store.plain import config_from_plain
from ablate.store.plugin_files import recalled
from ablate.store.record_schema import ALSO, DERIVED, RESULT_COLUMNS
from ablate.store.schema import to_plain
from ablate.study import Cell
from ablate.tracking import SAYS, wandb_id
from ablate.tracking.access import PROJECT
from ablate.tracking.place import Place
from ablate.tracking.translations import translations
from ablate.tracking.view import View

POLL = 1.0  # seconds between looks at the run folders
IDENTITY = ("study", "setting", "variant", "seed")  # columns of results.csv that W&B has as the run's config
SUMMARY = [key for key in (*RESULT_COLUMNS, *ALSO) if key not in (*IDENTITY, *DERIVED)]


class Follower:
    """Shows each run of a plan while it is trained, or all at once if it is done already."""

    def __init__(self, description: dict[str, Any], problem: str = "") -> None:
        """`description` is that of `ablate.tracking.describe`; with a `problem` everything is kept offline."""
        self.store, self.began, self.problem = Store(Path(description["root"])), description["began"], problem
        self.place = place_of(description, problem)
        self.cells = {cell["name"]: Cell(**cell) for cell in description["cells"]}
        with recalled(description.get("plugins", ())):
            configs = [config_from_plain(run["config"]) for run in description["runs"]]
        self.specs = [RunSpec(**{**run, "config": config}) for run, config in zip(description["runs"], configs)]
        self.open: dict[str, View] = {}
        self.tracked = 0  # runs shown to their end
        self.url = ""

    def follow(self, ended: threading.Event) -> None:
        """Follow until every run is done, or until `ended` is set. Raises Unreachable if W&B fails online."""
        waiting = [spec for spec in self.specs if not self.place.has_shown(id_of(spec), spec.evaluation)]
        while waiting:
            last = ended.is_set()  # read before looking, so that no run is missed in between
            with self.place.failing_online():
                waiting = [spec for spec in waiting if not self.show(spec)]
            if last:
                break
            if waiting:
                ended.wait(POLL)
        for view in self.open.values():
            view.finish({}, exit_code=1)  # interrupted: the next command shows it again
        self.report()

    def show(self, spec: RunSpec) -> bool:
        """Show the news of a run. Returns whether it has ended."""
        folder = self.store.run(spec.id)
        done = folder.done(spec)
        failed = not done and folder.failure() is not None
        if not (done or failed or self.started(spec)):
            return False
        if spec.evaluation not in self.open:
            self.open[spec.evaluation] = self.view(spec)
        view = self.open[spec.evaluation]
        view.log_news(last=done or failed)
        if not (done or failed):
            return False
        record, scores = self.record(spec), folder.scores(spec.evaluation)
        if scores is not None:
            view.log_scores(record, translations(spec.corpus, scores))
        view.finish({key: record[key] for key in SUMMARY}, exit_code=int(failed))
        del self.open[spec.evaluation]
        self.tracked += 1
        if done:  # the next command tries a failed run again
            self.place.mark(id_of(spec), spec.evaluation)
        return True

    def started(self, spec: RunSpec) -> bool:
        """Whether the run is being trained now. An older curve is that of an interrupted attempt."""
        try:
            return self.store.run(spec.id).file("curve.csv").stat().st_mtime >= self.began - 1  # file times are coarse
        except FileNotFoundError:
            return False

    def view(self, spec: RunSpec) -> View:
        group = f"{spec.study}/{spec.setting}"
        record = self.record(spec)
        keys = ("study", "setting", "variant", "seed", "run_id", "corpus", *self.cells[spec.cell].factors)
        run = self.place.open(
            id_of(spec),
            group=group,
            job_type=spec.cell,
            name=spec.label,
            tags=[spec.study, spec.config.preset, spec.config.data.label, spec.cell],
            config=record["config"] | {key: record[key] for key in keys},
        )
        if self.place.online:
            self.url = f"{run.project_url}/groups/{quote(group, safe='')}"
        return View(self.store.run(spec.id), spec.config.train.updates, run)

    def record(self, spec: RunSpec) -> dict[str, Any]:
        """The run's record, with a key for each factor."""
        record = to_plain(run_record(self.store.run(spec.id), spec, self.cells[spec.cell]))
        return dict(record | record["factors"])

    def report(self) -> None:
        """Print the last line, which is for the user."""
        parts = [f"online failed ({self.problem})"] if self.problem else []
        if self.tracked:
            where = f"at {self.url}" if self.place.online else f"offline; {self.place.upload()}"
            parts.append(f"{self.tracked} run{'s' * (self.tracked != 1)} {where}")
        if parts:
            print(SAYS + "; ".join(parts), flush=True)


def place_of(description: dict[str, Any], problem: str) -> Place:
    """The place in a description; offline if there is a problem with the server.

    Each project has its own folder, so that a run which is shown offline in two projects can be uploaded to both.
    """
    project, entity = description["project"], description["entity"]
    folder = Path(description["root"]) / "runs" / "wandb"
    return Place(
        folder if (project, entity) == (PROJECT, None) else folder / digest([project, entity]),
        description["mode"] == "online" and not problem,
        project,
        entity,
        tuple(description["also_tagged"]),
    )


def id_of(spec: RunSpec) -> str:
    return wandb_id(spec.study, spec.setting, spec.evaluation)
