"""What a person sees: the plan, the runs as they go, a line for each that ends. It follows run folders; workers know
nothing of it. Into a file it writes plain lines."""

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
from ablate.store.folders import RunFolder, Store
from ablate.store.ids import RunSpec, evaluation_id

POLL = 0.5  # seconds between looks at the run folders
PLAIN_WIDTH = 110  # characters where there is no terminal to ask


class Progress:
    def __init__(self, store: Store, plan: Plan) -> None:
        self.store, self.plan = store, plan
        seen = sys.stdout is not None and sys.stdout.isatty()  # whatever FORCE_COLOR says: files get plain text
        self.console = Console(highlight=False, force_terminal=seen, width=None if seen else PLAIN_WIDTH)

    def say(self, line: str | None) -> None:
        if line:
            self.console.print(Text(line), soft_wrap=True)

    def show_plan(self, forecast: Forecast) -> None:
        """The question, and for each variant what it sets, its size and its runs."""
        plan, config = self.plan, self.plan.config
        warmup = config.warmup_updates
        self.say(f"{plan.study.name}: {plan.study.question}")
        self.say(
            f"{plan.setting}: {config.train.updates} updates of {config.train.batch_tokens} target positions, "
            f"{warmup} of them warmup, peak learning rate {config.optim.lr:g}, {plural(config.seeds, 'seed')}"
        )
        for key, levels in (config.across or {}).items():
            self.say(f"across {key}: {', '.join(map(str, levels))}")
        table = Table(box=None, pad_edge=False)
        for header, justify in (
            ("variant", "left"),
            ("sets", "left"),
            ("parameters", "right"),
            ("runs", "right"),
            ("each", "right"),
        ):
            table.add_column(header, justify=justify)  # type: ignore[arg-type]
        for cell, row in zip(plan.cells, forecast.cells, strict=True):
            sets = " ".join(f"{key}={value}" for key, value in cell.overrides.items()) or "(baseline)"
            runs = f"{row.runs}" + (f", {row.done} done" if row.done else "")
            table.add_row(cell.name, sets, f"{row.parameters:,}", runs, duration(row.seconds))
        self.console.print(table)
        todo = sum(row.runs - row.done for row in forecast.cells)
        self.say(f"{plural(todo, 'run')} to train, {forecast.workers} at a time, about {duration(forecast.seconds)}")

    @contextmanager
    def watching(self, todo: list[str]) -> Iterator[None]:
        """Follow these runs until the block ends."""
        watcher = _Watcher(self, [spec for spec in self.plan.runs if spec.id in todo])
        thread, stop = threading.Thread(target=watcher.follow, daemon=True), watcher.stop
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


class _Watcher:
    """Looks at run folders, shows those in the making, prints a line for each that ends."""

    def __init__(self, progress: Progress, specs: list[RunSpec]) -> None:
        self.progress, self.waiting, self.total = progress, list(specs), len(specs)
        self.stop, self.began = threading.Event(), time.time()

    def follow(self) -> None:
        console = self.progress.console
        if not console.is_terminal:
            while not self.stop.wait(POLL):
                self.settle()
            self.settle()
            return
        with Live(console=console, refresh_per_second=2, transient=True) as live:
            while not self.stop.wait(POLL):
                self.settle()
                live.update(self.picture())
        self.settle()

    def settle(self) -> None:
        """Print and forget the runs that have ended."""
        for spec in list(self.waiting):
            line = ending(self.progress.store.run(spec.id), spec)
            if line is not None:
                self.waiting.remove(spec)
                self.progress.say(f"[{self.total - len(self.waiting)}/{self.total}] {line}")

    def picture(self) -> Group:
        table = Table(box=None, pad_edge=False)
        for header in ("run", "update", "loss", "tokens/s", "left"):
            table.add_column(header, justify="left" if header == "run" else "right")
        for spec in self.waiting:
            row = state(self.progress.store.run(spec.id), spec, self.began)
            if row is not None:
                table.add_row(label(spec), *row)
        ended = self.total - len(self.waiting)
        return Group(table, Text(f"{ended} of {self.total} runs have ended"))


def state(folder: RunFolder, spec: RunSpec, began: float) -> tuple[str, str, str, str] | None:
    """A run in the making: update, loss, speed, time left. None where it has not started since `began`."""
    if folder.trained(spec.config):
        return "translating the test set", "", "", ""
    rows, updates = folder.lines("curve.csv"), spec.config.train.updates
    if not rows or folder.file("curve.csv").stat().st_mtime < began:  # of an earlier try
        return None
    if len(rows) == 1:
        return f"0/{updates}", "", "", ""
    values = [row.split(",") for row in rows[1:]]
    update, loss, seconds = int(values[-1][0]), float(values[-1][1]), float(values[-1][5])
    tokens = sum(int(row[4]) for row in values)
    left = seconds / update * (updates - update)
    return f"{update}/{updates}", f"{loss:.3f}", f"{tokens / seconds:,.0f}", duration(left)


def ending(folder: RunFolder, spec: RunSpec) -> str | None:
    """A line about a run that has ended; None while it has not."""
    failure = folder.failure()
    if failure is not None:
        return f"{label(spec)} failed: {failure} (runs/{spec.id}/failure.txt)"
    if not folder.done(spec.config):
        return None
    result, scores = folder.result(), folder.scores(evaluation_id(spec.config))
    assert result is not None
    if result["status"] == "diverged":
        return f"{label(spec)} diverged at update {result['diverged_at']}"
    loss = f"validation loss {result['validation_loss']:.3f}"
    if scores is None:
        return f"{label(spec)} finished: {loss}"
    seconds = result["seconds"] + scores["seconds"]
    bleu, chrf = scores["test_bleu"], scores["test_chrf"]
    score = f"BLEU {bleu:.1f}" if bleu is not None else f"chrF {chrf:.1f}"
    return f"{label(spec)} finished: {score}, {loss}, {duration(seconds)}"


def label(spec: RunSpec) -> str:
    return f"{spec.cell}/seed{spec.seed}"


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def duration(seconds: float | None) -> str:
    """Seconds as a person says them."""
    if seconds is None:
        return "unknown"
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
