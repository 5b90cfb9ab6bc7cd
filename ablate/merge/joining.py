"""Copy the runs of another store. Runs with the same id have the same determinants, so they should agree."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TypeVar

import msgspec

from ablate.config import BadInput
from ablate.store import speeds
from ablate.store.folders import Store
from ablate.store.ids import training_id
from ablate.store.plain import config_from_plain
from ablate.store.plugin_files import recalled, without_paths
from ablate.store.run_folder import RunFolder
from ablate.store.schema import Damaged, EvaluationResult, Stored, Task, TrainingResult, unsealed
from ablate.system.atomic import write_atomic

RUN = "[0-9a-f]" * 12
TRAINING = ("curve.csv", "validation.csv", "diagnostics.jsonl", "notes.txt", "weights.pt", "checkpoint.pt")
T = TypeVar("T", bound=Stored)
# Fields that may differ each time a run is trained.
MEASURED = ("version", "seconds", "decoding_seconds", "peak_memory", "tokens_per_second", "provenance", "curves")


def merge(source: Path, store: Store) -> list[str]:
    """Copy the runs of another store, and print a line for each conflict. Returns their ids. Raises BadInput."""
    runs = source / "runs" if (source / "runs").is_dir() else source
    found = sorted(path for path in runs.glob(RUN) if path.is_dir() and not path.is_symlink())
    if not found:
        raise BadInput(f"{source} has no runs: it must be the root of a store, or its runs/")
    if runs.resolve() == (store.root / "runs").resolve():
        raise BadInput(f"{source} is this store itself")
    store.check_writable()
    counts: Counter[str] = Counter()
    conflicts = []
    for path in found:
        try:
            counts[join(RunFolder(path), store.run(path.name))] += 1
        except Refused as error:
            print(f"conflict: {path.name}: {error}")
            conflicts.append(path.name)
        except OSError as error:
            raise BadInput(f"{path} could not be copied: {error.strerror or error}") from None
    speeds.forget(store)
    print("; ".join(f"{count} {outcome}" for outcome, count in counts.items()) or "no run was copied")
    return conflicts


class Refused(Exception):
    """The reason why a run was not copied."""


def join(theirs: RunFolder, ours: RunFolder) -> str:
    """Copy a run, or the parts of it that are missing here. Returns what was done. Raises Refused."""
    task, result = checked(theirs)
    ours.path.mkdir(parents=True, exist_ok=True)
    if ours.is_locked():
        raise Refused("a command is working on it")
    with ours.lock():
        known = ours.result()
        if known is not None and result is not None and (why := difference(known, result)):
            raise Refused(f"is here with another result: {why}")
        if known is None and (result is not None or not ours.file("checkpoint.pt").exists()):
            for name in TRAINING:
                copy(theirs, ours, name)
            ours.write("run.json", without_paths(task))
            copy(theirs, ours, "result.json")  # last, because with it the run counts as trained
            taken = "taken in" if result is not None else "taken in, to be continued"
        else:
            taken = "here already"
        if ours.result() is not None:
            kept = ours.task() or without_paths(task)
            for path in sorted(theirs.path.glob("evaluation-*.json")):
                other = readable(theirs, path.name, EvaluationResult)
                if not ours.file(path.name).exists():
                    copy(theirs, ours, path.name)
                elif difference(readable(ours, path.name, EvaluationResult), other):
                    raise Refused(f"{path.name} is here with other scores")
            evaluations = {**kept.evaluations, **task.evaluations}
            ours.write("run.json", msgspec.structs.replace(kept, evaluations=evaluations))
    return taken


def checked(folder: RunFolder) -> tuple[Task, TrainingResult | None]:
    """run.json and result.json of a run, if they belong to its id. Raises Refused."""
    task = readable(folder, "run.json", Task)
    result = readable(folder, "result.json", TrainingResult) if folder.file("result.json").exists() else None
    try:
        with recalled(task.plugins):
            id = training_id(config_from_plain(task.config), task.seed, task.corpus, task.parents, task.meaning)
    except BadInput as error:
        raise Refused(f"run.json is damaged: {error}") from None
    if id != folder.id:
        raise Refused("run.json belongs to another run, or to a version of ablate that computes ids differently")
    return task, result


def readable(folder: RunFolder, name: str, kind: type[T]) -> T:
    """A file of the folder. Raises Refused."""
    try:
        return unsealed(folder.file(name).read_bytes(), kind)
    except FileNotFoundError:
        raise Refused(f"has no {name}") from None
    except Damaged as error:
        raise Refused(f"{name} is damaged: {error}") from None


def copy(theirs: RunFolder, ours: RunFolder, name: str) -> None:
    """Copy a file atomically. Links are not followed, because they may lead anywhere."""
    path = theirs.file(name)
    if path.is_file() and not path.is_symlink():
        write_atomic(ours.file(name), path.read_bytes())


def difference(here: Stored, there: Stored) -> str:
    """The first field in which two results differ, MEASURED aside; empty if there is none."""
    for name in here.__struct_fields__:
        ours, theirs = repr(getattr(here, name)), repr(getattr(there, name))  # as text nan equals nan
        if name not in MEASURED and ours != theirs:
            return f"{name} {ours[:40]} here, {theirs[:40]} there"
    return ""
