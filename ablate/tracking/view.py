"""One run in W&B: curves over `update`, and at the end scores, sample translations and a summary."""

from __future__ import annotations

import json
import math
from typing import Any

from ablate.store.growing import GrowingFile
from ablate.store.run_folder import RunFolder
from ablate.tracking.translations import COLUMNS

APPENDED = ("curve.csv", "validation.csv", "diagnostics.jsonl")
POINTS = 500  # of a training curve, at most, so that W&B's file stays well below a megabyte


class View:
    def __init__(self, folder: RunFolder, updates: int, run: Any) -> None:
        """Show the run in `folder`, of so many updates, in `run`, a wandb.Run.

        Scores have their own section `test/*`, because they exist only at the last update, and no panel should mix them
        with `validation/*`. In the summary they have the names of results.csv.
        """
        self.folder, self.run, self.stride = folder, run, max(1, math.ceil(updates / POINTS))
        self.files = {name: GrowingFile(folder.file(name)) for name in APPENDED}
        self.held: dict[str, float] | None = None  # the latest point of the curve, if it was not logged
        run.define_metric("update", hidden=True)
        for metrics in ("train/*", "validation/*", "diagnostics/*", "test/*"):
            run.define_metric(metrics, step_metric="update")
        run.define_metric("validation/loss", step_metric="update", summary="min")

    def log_news(self, last: bool) -> None:
        """Log the new lines of the run's files. Of the training curve, log one point in `stride`, and the last."""
        for update, loss, lr, norm, *_ in self.rows("curve.csv"):
            point = {"update": update, "train/loss": loss, "train/lr": lr, "train/gradient_norm": norm}
            shown = (int(update) - 1) % self.stride == 0
            self.held = None if shown else point
            if shown:
                self.log(point)
        for update, loss in self.rows("validation.csv"):
            self.log({"update": update, "validation/loss": loss})
        for line in self.files["diagnostics.jsonl"].new_lines():
            measured = json.loads(line)
            point = {"update": measured.pop("update")}
            for kind, parts in measured.items():
                point |= {f"diagnostics/{kind}/{part}": value for part, value in parts.items()}
            self.log(point)
        if last and self.held:
            self.log(self.held)

    def log_scores(self, record: dict[str, Any], rows: list[list[Any]]) -> None:
        """Scores on the test set, and rows of `ablate.tracking.translations`."""
        import wandb

        scores = {key.replace("test_", "test/", 1): value for key, value in record.items() if key.startswith("test_")}
        self.log({"update": record["updates"] or 0, **scores})
        if rows:
            self.run.log({"translations": wandb.Table(columns=[*COLUMNS], data=[*rows])})

    def log(self, point: dict[str, float]) -> None:
        """Log the finite values, without `step`, which W&B does not allow to decrease."""
        finite = {key: value for key, value in point.items() if value is not None and math.isfinite(value)}
        self.run.log(finite | {"update": int(point["update"])})

    def rows(self, name: str) -> list[list[float]]:
        return [
            [float(value) for value in line.split(",")] for line in self.files[name].new_lines() if line[0].isdigit()
        ]

    def finish(self, summary: dict[str, Any], exit_code: int) -> None:
        self.run.summary.update({key: value for key, value in summary.items() if value is not None})
        self.run.finish(exit_code=exit_code)
