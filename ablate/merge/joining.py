"""Take in the runs of another store, each known by its id, which says all that determines it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ablate.config import BadInput
from ablate.store.folders import RunFolder, Store
from ablate.store.ids import run_id
from ablate.store.plain import config_from_plain
from ablate.store.plugin_files import recalled, without_paths
from ablate.system.atomic import write_atomic

RUN = "[0-9a-f]" * 12
TRAINING = ("curve.csv", "validation.csv", "diagnostics.jsonl", "notes.txt", "weights.pt", "checkpoint.pt")
MEASURED = ("seconds", "peak_memory", "tokens_per_second", "provenance", "curves")  # may differ from try to try


def merge(source: Path, store: Store) -> list[str]:
    """Take in the runs of another store; the ids of those that could not be, each named in a line. Raises BadInput."""
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
    print("; ".join(f"{count} {outcome}" for outcome, count in counts.items()) or "nothing taken in")
    return conflicts


class Refused(Exception):
    """Why a run was left where it was."""


def join(theirs: RunFolder, ours: RunFolder) -> str:
    """Take in one run; what came of it. Raises Refused."""
    frozen, result = checked(theirs)
    ours.path.mkdir(parents=True, exist_ok=True)
    if ours.taken():
        raise Refused("a command is at it")
    with ours.lock():
        known = ours.result()
        if known is not None and result is not None and outcome_of(known) != outcome_of(result):
            raise Refused(f"is here with another result: {differing(known, result)}")
        if known is None and (result is not None or not ours.file("checkpoint.pt").exists()):
            for name in TRAINING:
                copy(theirs, ours, name)
            ours.write("run.json", without_paths(frozen))
            copy(theirs, ours, "result.json")
            taken = "taken in" if result is not None else "taken in, to be gone on with"
        else:
            taken = "here already"
        if ours.result() is not None:
            evaluations = {**(ours.read("run.json") or {}).get("evaluations", {}), **frozen.get("evaluations", {})}
            for path in sorted(theirs.path.glob("result-*.json")):
                if not ours.file(path.name).exists():
                    copy(theirs, ours, path.name)
                elif outcome_of(readable(ours, path.name)) != outcome_of(readable(theirs, path.name)):
                    raise Refused(f"{path.name} is here with other scores")
            ours.write("run.json", {**(ours.read("run.json") or without_paths(frozen)), "evaluations": evaluations})
    return taken


def checked(folder: RunFolder) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """run.json and result.json of a run that is what its name says. Raises Refused."""
    frozen, result = readable(folder, "run.json"), readable(folder, "result.json", optional=True)
    with unreadable("run.json"), recalled(frozen.get("plugins", ())):
        config = config_from_plain(frozen["config"])
        if run_id(config, int(frozen["seed"]), str(frozen["corpus"])) != folder.id:
            raise Refused("run.json is of another run, or of a version of ablate in which runs meant something else")
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
    """A file, whole or not at all; a link is not followed, since it may lead anywhere."""
    path = theirs.file(name)
    if path.is_file() and not path.is_symlink():
        write_atomic(ours.file(name), path.read_bytes())


def outcome_of(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key not in MEASURED}


def differing(these: dict[str, Any], those: dict[str, Any]) -> str:
    """The first of their numbers that differs."""
    for key in these:
        if key not in MEASURED and these[key] != those.get(key):
            return f"{key} {short(these[key])} here, {short(those.get(key))} there"
    return "keys"


def short(value: Any) -> str:
    return json.dumps(value)[:40]
