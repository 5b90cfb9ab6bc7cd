"""Show progress on the terminal: the plan, the runs in training, a line for each run that ends.

It reads the run folders; workers do not know about it. If standard output is a file it prints plain lines.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ablate.plan.composition import Plan
from ablate.plan.forecast import Forecast
from ablate.store.folders import Store
from ablate.store.growing import GrowingFile
from ablate.store.ids import RunSpec
from ablate.store.run_folder import RunFolder
from ablate.study import RATE

POLL = 0.5  # seconds between looks at the run folders
PLAIN_WIDTH = 110  # characters if standard output is not a terminal


class Progress:
    def __init__(self, store: Store, plan: Plan) -> None:
        self.store, self.plan = store, plan
        seen = sys.stdout is not None and sys.stdout.isatty()  # FORCE_COLOR does not matter: files get plain text
        self.console = Console(highlight=False, force_terminal=seen, width=None if seen else PLAIN_WIDTH)

    def say(self, line: str | None) -> None:
        if line:
            self.console.print(Text(line), soft_wrap=True)

    def show_plan(self, forecast: Forecast) -> None:
        """Print the question, and for each variant its overrides, its size and its runs."""
        plan, config = self.plan, self.plan.config
        warmup = config.warmup_updates
        self.say(f"{plan.study.name}: {plan.study.question}")
        self.say(
            f"{plan.setting}: {config.train.updates} updates of {config.train.batch_tokens} target positions, "
            f"{warmup} of them warmup, peak learning rate {config.optim.lr:g}, {plural(config.seeds, 'seed')}"
            + (f" from {config.first_seed} up" if config.first_seed else "")
        )
        for key, levels in (config.across or {}).items():
            self.say(f"across {key}: {', '.join(map(str, levels))}")
        table = a_table("variant", "sets", right=("parameters", "runs", "each"))
        for cell, row in zip(plan.cells, forecast.cells, strict=True):
            sets = " ".join(f"{key}={value}" for key, value in cell.overrides.items()) or "(baseline)"
            runs = f"{row.runs}" + (f", {row.done} done" if row.done else "")
            table.add_row(cell.name, sets, f"{row.parameters:,}", runs, duration(row.seconds))
        self.console.print(table)
        how = f"{forecast.workers} at a time" if forecast.device else "on devices that the launcher's workers choose"
        takes = "the time is unknown" if forecast.seconds is None else f"about {duration(forecast.seconds)}"
        work = [f"{plural(forecast.trainings, 'run')} to train"]
        work += [f"{plural(forecast.evaluations, 'evaluation')} of trained runs"] if forecast.evaluations else []
        self.say(" and ".join(work) + (f", {how}; {takes}" if forecast.trainings else ""))
        if RATE in config.tuned and config.refine:
            self.say("then every variant also beside the best learning rates, divided and multiplied by the root of 2")

    @contextmanager
    def watching(self, todo: list[str]) -> Iterator[None]:
        """Follow these runs until the block ends."""
        specs = [spec for spec in self.plan.runs if spec.id in todo and not self.store.done(spec)]
        watcher = _Watcher(self, specs)
        thread, stop = threading.Thread(target=watcher.follow, daemon=True), watcher.stop
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


class _Watcher:
    """Polls run folders, shows the runs in training, and prints a line for each run that ends."""

    def __init__(self, progress: Progress, specs: list[RunSpec]) -> None:
        self.progress, self.waiting, self.total = progress, list(specs), len(specs)
        self.stop, began = threading.Event(), time.time()
        self.rows = {spec.id: TrainingRun(progress.store.run(spec.id), spec, began) for spec in specs}

    def follow(self) -> None:
        console = self.progress.console
        if not console.is_terminal:
            while not self.stop.wait(POLL):
                self.print_ended()
            self.print_ended()
            return
        with Live(console=console, refresh_per_second=2, transient=True) as live:
            while not self.stop.wait(POLL):
                self.print_ended()
                live.update(self.picture())
        self.print_ended()

    def print_ended(self) -> None:
        """Print the runs that have ended since the last call."""
        for spec in list(self.waiting):
            line = ending(self.progress.store.run(spec.id), spec)
            if line is not None:
                self.waiting.remove(spec)
                self.progress.say(f"[{self.total - len(self.waiting)}/{self.total}] {line}")

    def picture(self) -> Group:
        table = a_table("run", right=("update", "loss", "tokens/s", "left"))
        for spec in self.waiting:
            row = self.rows[spec.id].row()
            if row is not None:
                table.add_row(spec.label, *row)
        ended = self.total - len(self.waiting)
        return Group(table, Text(f"{ended} of {self.total} runs have ended"))


class TrainingRun:
    """A run in training, as a row of the table. Each call of `row` reads only the new lines of its curve."""

    def __init__(self, folder: RunFolder, spec: RunSpec, began: float) -> None:
        """A curve last written before `began` (seconds since the epoch) is that of an earlier command."""
        self.folder, self.spec, self.began = folder, spec, began
        self.curve = GrowingFile(folder.file("curve.csv"))
        self.last, self.tokens = "", 0  # the last row, and target tokens of all rows

    def row(self) -> tuple[str, str, str, str] | None:
        """Update, loss, speed, time left; None if the run has not started."""
        if self.folder.file("result.json").exists() and self.folder.trained(self.spec.config):
            return "translating the test set", "", "", ""
        try:
            if self.curve.path.stat().st_mtime < self.began:
                return None
        except (FileNotFoundError, NotADirectoryError):
            return None
        self.add(self.curve.new_lines())
        updates = self.spec.config.train.updates
        if not self.last:
            return (f"0/{updates}", "", "", "") if self.curve.offset else None
        update, loss, _, _, _, seconds = map(float, self.last.split(","))
        remaining = seconds / update * (updates - update)
        return f"{update:.0f}/{updates}", f"{loss:.3f}", f"{self.tokens / seconds:,.0f}", duration(remaining)

    def add(self, lines: list[str]) -> None:
        for line in lines:
            if line[:1].isdigit():
                self.last, self.tokens = line, self.tokens + int(line.split(",")[4])
            else:  # the header: the curve starts, perhaps anew
                self.last, self.tokens = "", 0


def ending(folder: RunFolder, spec: RunSpec) -> str | None:
    """A line about a run, if it has ended."""
    failure = folder.failure()
    if failure is not None:
        return f"{spec.label} failed: {failure} (runs/{spec.id}/failure.txt)"
    if not folder.done(spec):
        return None
    result, scores = folder.result(), folder.scores(spec.evaluation)
    assert result is not None
    if result.status == "diverged":
        return f"{spec.label} diverged at update {result.diverged_at}"
    loss = f"validation loss {result.validation_loss:.3f}"
    if scores is None:
        return f"{spec.label} finished: {loss}"
    bleu, chrf = scores.test_bleu, scores.test_chrf
    score = f"BLEU {bleu:.1f}" if bleu is not None else f"chrF {chrf:.1f}"
    return f"{spec.label} finished: {score}, {loss}, {duration(result.seconds + scores.seconds)}"


def a_table(*left: str, right: tuple[str, ...]) -> Table:
    """An empty table with these headers, flush left and flush right."""
    table = Table(box=None, pad_edge=False)
    for header in left + right:
        table.add_column(header, justify="left" if header in left else "right")
    return table


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def duration(seconds: float | None) -> str:
    """Seconds as readable text."""
    if seconds is None:
        return "unknown"
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
