"""Copying the runs of another store. A run's id is a hash of everything that determines it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ablate.config import BadInput
from ablate.store import speeds
from ablate.store.folders import RunFolder, Store
from ablate.store.ids import run_id
from ablate.store.plain import config_from_plain
from ablate.system.atomic import write_atomic

RUN = "[0-9a-f]" * 12
TRAINING = ("curve.csv", "validation.csv", "diagnostics.jsonl", "notes.txt", "weights.pt", "checkpoint.pt")
MEASURED = (
    "seconds",
    "peak_memory",
    "tokens_per_second",
    "provenance",
    "curves",
)  # may differ between two trainings of the same run


def merge(source: Path, store: Store) -> list[str]:
    """Copy the runs of another store, and print a line for each conflict. Returns the ids of these. Raises BadInput."""
    runs = source / "runs" if (source / "runs").is_dir() else source
    found = sorted(path for path in runs.glob(RUN) if path.is_dir() and not path.is_symlink())
    if not found:
        raise BadInput(f"{source} has no runs: it must be the root of a store, or its runs/")
    if runs.resolve() == (store.root / "runs").resolve():
        raise BadInput(f"{source} is this store itself")
    store.check_writable()
    counts: dict[str, int] = {}
    conflicts = []
    for path in found:
        try:
            outcome = join(RunFolder(path), store.run(path.name))
        except Refused as error:
            print(f"conflict: {path.name}: {error}")
            conflicts.append(path.name)
            continue
        except OSError as error:
            raise BadInput(f"{path} could not be copied: {error.strerror or error}") from None
        counts[outcome] = counts.get(outcome, 0) + 1
    speeds.forget(store)
    print("; ".join(f"{count} {outcome}" for outcome, count in counts.items()) or "no run was copied")
    return conflicts


class Refused(Exception):
    """The reason why a run was not copied."""


def join(theirs: RunFolder, ours: RunFolder) -> str:
    """Copy one run; returns what was done, for counting. Raises Refused."""
    frozen, result = checked(theirs)
    ours.path.mkdir(parents=True, exist_ok=True)
    if ours.taken():
        raise Refused("a command is training it")
    with ours.lock():
        known = ours.result()
        if known is not None and result is not None and outcome_of(known) != outcome_of(result):
            raise Refused(f"is here with another result: {differing(known, result)}")
        if known is None and (result is not None or not ours.file("checkpoint.pt").exists()):
            for name in (*TRAINING, "run.json"):  # result.json, which makes it a trained run, comes last
                copy(theirs, ours, name)
            copy(theirs, ours, "result.json")
            done = "copied" if result is not None else "copied, to be continued"
        else:
            done = "here already"
        if ours.result() is not None:
            evaluations = {**(ours.read("run.json") or {}).get("evaluations", {}), **frozen.get("evaluations", {})}
            for path in sorted(theirs.path.glob("result-*.json")):
                if not ours.file(path.name).exists():
                    copy(theirs, ours, path.name)
                elif outcome_of(readable(ours, path.name)) != outcome_of(readable(theirs, path.name)):
                    raise Refused(f"{path.name} is here with other scores")
            ours.write("run.json", {**(ours.read("run.json") or frozen), "evaluations": evaluations})
    return done


def checked(folder: RunFolder) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """run.json and result.json of a run whose content fits its id. Raises Refused."""
    frozen, result = readable(folder, "run.json"), readable(folder, "result.json", optional=True)
    with unreadable("run.json"):
        config = config_from_plain(frozen["config"])
        if run_id(config, int(frozen["seed"]), str(frozen["corpus"])) != folder.id:
            raise Refused(
                "run.json does not fit its id: it is of another run, or of a version of ablate that trained differently"
            )
    return frozen, result


def readable(folder: RunFolder, name: str, optional: bool = False) -> Any:
    """A JSON object of the folder. Raises Refused."""
    with unreadable(name):
        value = folder.read(name)
        if value is None and folder.file(name).exists():
            raise Refused(f"{name} is damaged")
        if value is None and not optional:
            raise Refused(f"has no {name}")
        return value


@contextlib.contextmanager
def unreadable(name: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, BadInput) as error:
        raise Refused(
            f"{name} is damaged: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from None


def copy(theirs: RunFolder, ours: RunFolder, name: str) -> None:
    """Copy a file atomically. Links are not followed, because they may lead anywhere."""
    path = theirs.file(name)
    if path.is_file() and not path.is_symlink():
        write_atomic(ours.file(name), path.read_bytes())


def outcome_of(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key not in MEASURED}


def differing(these: dict[str, Any], those: dict[str, Any]) -> str:
    """The first key whose values differ, with both values."""
    for key in these:
        if key not in MEASURED and these[key] != those.get(key):
            return f"{key} {short(these[key])} here, {short(those.get(key))} there"
    return "keys"


def short(value: Any) -> str:
    return json.dumps(value)[:40]
