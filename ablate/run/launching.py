"""Launch runs through Hydra's launcher until every run has ended, even if workers crash."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from graphlib import TopologicalSorter
from pathlib import Path

from ablate import tracking
from ablate.plan.composition import Plan
from ablate.plan.quoting import quoted
from ablate.run.progress import Progress
from ablate.run.stopping import stopping
from ablate.store.folders import Store
from ablate.store.plugin_files import loaded
from ablate.system.places import check_current_folder

Launch = Callable[[Sequence[Sequence[str]], Path, int], None]  # (overrides of each job, root, workers)


def train(plan: Plan, store: Store, launch: Launch, progress: Progress, workers: int) -> None:
    """Launch the runs that are not done, teachers first. The terminal and W&B show them by reading the run folders."""
    todo = store.freeze(plan.runs)
    locked = sum(store.run(run).is_locked() for run in todo)
    progress.say(f"another command is working on {locked} of them: this one waits for those" if locked else None)
    tracker = tracking.start(plan, store, plan.config.wandb)
    try:
        with progress.watching(todo), stopping(store, todo):
            for wave in waves(plan, todo):
                launch_all(plan, store, wave, lambda jobs: launch(jobs, store.root, workers), progress)
    except KeyboardInterrupt:
        tracker.hurry()
        raise
    finally:
        progress.say(tracker.finish())
    for run in todo:
        for line in store.run(run).lines("notes.txt"):
            progress.say(f"runs/{run}: {line}")


def waves(plan: Plan, todo: list[str]) -> Iterator[list[str]]:
    """The runs in groups. The runs of a group learn only from runs of earlier groups."""
    parents = {spec.id: [parent for parent in spec.parents if parent in todo] for spec in plan.runs if spec.id in todo}
    sorter = TopologicalSorter(parents)
    sorter.prepare()
    while sorter.is_active():
        ready = sorter.get_ready()
        yield sorted(ready, key=todo.index)
        sorter.done(*ready)


def launch_all(
    plan: Plan, store: Store, todo: list[str], launch: Callable[[list[list[str]]], None], progress: Progress
) -> None:
    """Launch until every run has ended, even if workers crash.

    A launcher raises when a worker dies, and ends the other workers. The run folders then show which runs had begun.
    Those that had not begun are launched again together. The others are then launched one by one, so that a run that
    kills its worker is the only one that fails.
    """
    same = [f"root={quoted(str(store.root))}", f"device={plan.config.device.name}", *plugin_arguments()]
    suspects: list[str] = []
    while todo or suspects:
        alone = not todo
        batch = [suspects.pop(0)] if alone else todo
        try:
            launch([[f"run={quoted(run)}", *same] for run in batch])
            broke_off = False
        except Exception as error:
            check_current_folder()  # without one no worker starts
            progress.say(f"a worker died: {in_a_line(error)[:200]}")
            broke_off = True
        died = [run for run in batch if store.run(run).worker_died()]
        for run in died:
            store.run(run).clear_active()
            if alone:
                store.run(run).append("failure.txt", ["its worker died, also when it ran alone: killed, or no memory"])
            else:
                suspects.append(run)
        if broke_off and not died and not alone:  # no run was the cause, so it would only happen again
            return
        todo = unfinished(plan, store, [run for run in todo if run not in suspects]) if broke_off else []


def plugin_arguments() -> list[str]:
    """The override that makes a worker import the plugins of this process; empty if there are none."""
    paths = ",".join(map(quoted, loaded()))
    return [f"plugins=[{paths}]"] if paths else []


def unfinished(plan: Plan, store: Store, runs: list[str]) -> list[str]:
    """The runs that have neither ended nor failed."""
    open_runs = {spec.id for spec in plan.runs if not store.done(spec) and store.run(spec.id).failure() is None}
    return [run for run in runs if run in open_runs]


def in_a_line(error: BaseException) -> str:
    """An error of Hydra or OmegaConf in one line, with its cause, whose message may name the choices."""
    messages = [str(error)]
    if error.__cause__ is not None:
        messages.append(str(error.__cause__).splitlines()[0])
    lines = [line.strip() for message in messages for line in message.partition("Config search path")[0].splitlines()]
    return " ".join(line for line in lines if line)
