"""From run folders to W&B, as the runs go. The project's files are the record; what W&B loses can be shown again."""

from __future__ import annotations

import json
import math
import os
import shlex
import shutil
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ablate.plain import config_from_plain
from ablate.records import ALSO, run_record
from ablate.store import RESULT_COLUMNS, RunFolder, Store, write_atomic
from ablate.study import Cell, RunSpec, digest, evaluation_id
from ablate.tracking import SAYS

POLL = 1.0  # seconds between looks at the run folders
POINTS = 500  # of a training curve, at the most, so that a file of W&B's stays well below a megabyte
INIT_TIMEOUT = 15.0  # seconds that wandb may take to open a run online
FINISH_TIMEOUT = 10.0  # seconds that wandb may take to upload the rest of a run
IDENTITY = ("study", "setting", "variant", "seed")  # columns of results.csv that W&B has as the run's config


class Unreachable(Exception):
    """W&B cannot be had online now. What it was to be shown is on disk, so it can be shown offline."""


class Follower:
    """Shows each run of a plan from the moment it starts, or all at once where it is done already."""

    def __init__(self, description: dict[str, Any], problem: str = "") -> None:
        """`description` is that of `ablate.tracking.describe`; a `problem` is why nothing goes online."""
        self.store, self.began = Store(Path(description["root"])), description["began"]
        self.online, self.problem = description["mode"] == "online" and not problem, problem
        self.project, self.entity = description["project"], description["entity"]
        self.folder = self.store.root / "runs" / "wandb"
        self.cells = {cell["name"]: Cell(**cell) for cell in description["cells"]}
        self.specs = [RunSpec(**{**run, "config": config_from_plain(run["config"])}) for run in description["runs"]]
        self.open: dict[str, View] = {}
        self.tracked = 0  # runs shown to their end
        self.url = ""

    def follow(self, ended: threading.Event) -> None:
        """Follow until every run is done, or until no more will come."""
        modes = {True, self.online}  # what is online need not be offline as well
        waiting = [spec for spec in self.specs if not any(self.marker(spec, online).exists() for online in modes)]
        while waiting:
            last = ended.is_set()  # asked before the look, so that nothing falls between the two
            waiting = [spec for spec in waiting if not self.look(spec)]
            if last:
                break
            if waiting:
                ended.wait(POLL)
        for view in self.open.values():
            view.finish({}, exit_code=1)  # cut short: the next command begins it again
        self.report()

    def look(self, spec: RunSpec) -> bool:
        """Show what is new of a run; whether it has ended. Raises Unreachable where W&B fails online."""
        try:
            return self.show(spec)
        except Exception as error:
            if self.online:
                raise Unreachable(str(error).partition("\n")[0][:120]) from error
            raise

    def show(self, spec: RunSpec) -> bool:
        folder = self.store.run(spec.id)
        done = folder.done(spec.config)
        failed = not done and folder.failure() is not None
        if not (done or failed or self.started(spec)):
            return False
        if spec.id not in self.open:
            self.open[spec.id] = self.view(spec)
        view = self.open[spec.id]
        view.log_news(last=done or failed)
        if not (done or failed):
            return False
        record = run_record(folder, spec, self.cells[spec.cell])
        view.finish(
            {key: record[key] for key in (*RESULT_COLUMNS, *ALSO) if key not in IDENTITY}, exit_code=int(failed)
        )
        del self.open[spec.id]
        self.tracked += 1
        if done:  # a failed run is tried again by the next command
            write_atomic(self.marker(spec, self.online), "")
        return True

    def started(self, spec: RunSpec) -> bool:
        """Whether it is being trained now: an older curve is that of a try which was cut short."""
        try:
            return self.store.run(spec.id).file("curve.csv").stat().st_mtime >= self.began - 1  # clocks are coarse
        except FileNotFoundError:
            return False

    def view(self, spec: RunSpec) -> View:
        """Open the run in W&B. It takes the place of what an earlier try left here under the same id."""
        group = f"{spec.study}/{spec.setting}"
        for leftover in (self.folder / "wandb").glob(f"offline-run-*-{wandb_id(spec)}"):
            shutil.rmtree(leftover, ignore_errors=True)
        record = run_record(self.store.run(spec.id), spec, self.cells[spec.cell])
        keys = ("study", "setting", "variant", "seed", "run_id", "corpus", *self.cells[spec.cell].factors)
        view = View(
            self.store.run(spec.id),
            spec.config.train.updates,
            self.folder,
            self.online,
            project=self.project,
            entity=self.entity,
            id=wandb_id(spec),
            group=group,
            job_type=spec.cell,
            name=f"{spec.cell}/seed{spec.seed}",
            tags=[tag[:64] for tag in (spec.study, spec.config.preset, spec.config.data.name, spec.cell) if tag],
            config=record["config"] | {key: record[key] for key in keys},
        )
        if self.online:
            self.url = f"{view.run.project_url}/groups/{quote(group, safe='')}"
        return view

    def marker(self, spec: RunSpec, online: bool) -> Path:
        """A file that says that this run with these scores has been shown to its end in this group and place."""
        place = [online, self.entity, self.project]
        return self.folder / "tracked" / digest([wandb_id(spec), evaluation_id(spec.config), place])

    def report(self) -> None:
        """The last words, for the user."""
        said = [f"online failed ({self.problem})"] if self.problem else []
        if self.tracked and self.online:
            said.append(f"{count(self.tracked)} at {self.url}")
        elif self.tracked:
            folder = self.folder / "wandb"
            here = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
            said.append(f"{count(self.tracked)} offline; to upload: wandb sync {shlex.quote(str(here))}/offline-run-*")
        if said:
            print(SAYS + "; ".join(said), flush=True)


class View:
    """One run in W&B: a history against `update`, and at the end a summary."""

    def __init__(self, folder: RunFolder, updates: int, directory: Path, online: bool, **identity: Any) -> None:
        import wandb

        settings = wandb.Settings(  # init writes into it, so each run gets its own
            mode="online" if online else "offline",
            init_timeout=INIT_TIMEOUT,
            finish_timeout=FINISH_TIMEOUT,
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
        self.folder, self.stride = folder, max(1, math.ceil(updates / POINTS))
        self.read = {"curve.csv": 0, "validation.csv": 0, "diagnostics.jsonl": 0}  # bytes
        self.held: dict[str, float] | None = None  # the newest point of the curve, where it was left out
        self.run = wandb.init(dir=directory, settings=settings, reinit="create_new", **identity)
        self.run.define_metric("update", hidden=True)
        for metrics in ("train/*", "validation/*", "diagnostics/*"):
            self.run.define_metric(metrics, step_metric="update")

    def log_news(self, last: bool) -> None:
        """Log what the run's files have gained. Of the training curve, one point in `stride`, and its last."""
        for update, loss, lr, norm, *_ in self.rows("curve.csv"):
            point = {"update": update, "train/loss": loss, "train/lr": lr, "train/gradient_norm": norm}
            shown = (int(update) - 1) % self.stride == 0
            self.held = None if shown else point
            if shown:
                self.log(point)
        for update, loss in self.rows("validation.csv"):
            self.log({"update": update, "validation/loss": loss})
        for line in self.news("diagnostics.jsonl"):
            measured = json.loads(line)
            point = {"update": measured.pop("update")}
            for kind, parts in measured.items():
                point |= {f"diagnostics/{kind}/{part}": value for part, value in parts.items()}
            self.log(point)
        if last and self.held:
            self.log(self.held)

    def log(self, point: dict[str, float]) -> None:
        """Without `step`, which W&B would not let go back; what is not finite is left out."""
        finite = {key: value for key, value in point.items() if value is not None and math.isfinite(value)}
        self.run.log(finite | {"update": int(point["update"])})

    def rows(self, name: str) -> list[list[float]]:
        return [[float(value) for value in line.split(",")] for line in self.news(name) if line[0].isdigit()]

    def news(self, name: str) -> list[str]:
        """The complete lines that a file has gained; all of them where it was begun anew."""
        try:
            with self.folder.file(name).open("rb") as file:
                if file.seek(0, os.SEEK_END) < self.read[name]:
                    self.read[name] = 0
                file.seek(self.read[name])
                text = file.read()
        except FileNotFoundError:
            return []
        text = text[: text.rfind(b"\n") + 1]
        self.read[name] += len(text)
        return text.decode().splitlines()

    def finish(self, summary: dict[str, Any], exit_code: int) -> None:
        self.run.summary.update({key: value for key, value in summary.items() if value is not None})
        self.run.finish(exit_code=exit_code)


def wandb_id(spec: RunSpec) -> str:
    """The same whenever the run is shown in this group, so that W&B never has it twice."""
    return digest([spec.study, spec.setting, spec.id])


def count(runs: int) -> str:
    return f"{runs} run{'s' * (runs != 1)}"
