"""Parallel data sets of the Hugging Face hub, fetched once and then read from the cache without network.

Only data is read; no code from the hub is executed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.config import BadInput, DataConfig
from ablate.data.cache import downloads_folder, exclusive_folder, reported
from ablate.data.raw import OFFICIAL, Pairs, Say, Splits, content_hash
from ablate.data.sources.columns import pairs_of, table_of
from ablate.data.sources.fetch import PATIENCE
from ablate.data.sources.fetch import answers as answers_in_time

if TYPE_CHECKING:
    from datasets import DatasetDict

REMEDY = "take files of your own (data=files data.path=PATH), or data=tatoeba"
ASKED = ("name", "configuration", "revision", "column", "source_column", "target_column", "source", "target")


def read(data: DataConfig, say: Say, remedy: str = REMEDY) -> Splits:
    """The pairs of the set `data.name`, from the cache or from the hub. `remedy` is advice if neither has it."""
    _check(data)
    kept = _kept(data)
    if kept is not None:
        return kept
    where = f"{data.name} on the Hugging Face hub"
    sets = _downloaded(data, say, remedy)
    splits = {}
    for split, names in SPLITS.items():
        found = [name for name in names if name in sets]
        if found:
            splits[split] = pairs_of(table_of(sets[found[0]], f"{where}, split {found[0]},"), data, say)
    if "train" not in splits:
        if len(sets) != 1:
            raise BadInput(f"{where} has no split train; its splits are {', '.join(map(str, sets))}")
        ((name, only),) = sets.items()
        splits = {"train": pairs_of(table_of(only, f"{where}, split {name},"), data, say)}
    if len(splits) == 1:
        splits = {"all": splits["train"]}
    _keep(splits, data, say)
    return splits


def known(data: DataConfig) -> str | None:
    """The hash of its text; None if it is not in the cache."""
    _check(data)
    try:
        with _place(data).open(encoding="utf-8") as file:
            return str(json.loads(file.readline())["content"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _check(data: DataConfig) -> None:
    if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", data.name, re.ASCII):
        raise BadInput(f"data.name={data.name} names no data set of the Hugging Face hub: set data.name=OWNER/NAME")
    if Path(data.name).exists():
        raise BadInput(
            f"data.name={data.name} is a file or folder here, which `datasets` would read instead of the data set with "
            "that name on the Hugging Face hub: read it with data=files data.path=, or work in another folder"
        )


# The cached file: a line with the hash of the text, then a line for each pair.


def _place(data: DataConfig) -> Path:
    asked = json.dumps({key: getattr(data, key) for key in ASKED}, sort_keys=True)
    return downloads_folder() / f"hub-{hashlib.sha256(asked.encode()).hexdigest()[:16]}.jsonl"


def _keep(splits: Splits, data: DataConfig, say: Say) -> None:
    place = _place(data)
    header = {"content": content_hash(splits), **{key: getattr(data, key) for key in ASKED}}
    with reported(data.name), exclusive_folder(place, say) as folder:
        fresh = folder / place.name
        with fresh.open("w", encoding="utf-8") as file:
            file.write(json.dumps(header) + "\n")
            for split, pairs in splits.items():
                file.writelines(json.dumps([split, *pair]) + "\n" for pair in pairs)
        os.replace(fresh, place)


def _kept(data: DataConfig) -> Splits | None:
    splits: dict[str, Pairs] = {}
    try:
        with _place(data).open(encoding="utf-8") as file:
            header = json.loads(file.readline())
            for line in file:
                split, source, target = json.loads(line)
                splits.setdefault(split, []).append((source, target))
        return splits if content_hash(splits) == header["content"] else None  # else it is damaged
    except (OSError, ValueError, LookupError, TypeError):
        return None


# The hub itself.


def _downloaded(data: DataConfig, say: Say, remedy: str) -> DatasetDict:
    """Every split, by its name on the hub."""
    reachable = answers(data.name)
    unreachable = BadInput(f"the Hugging Face hub cannot be reached, where {data.name} is; {remedy}")
    if not reachable and not _in_the_hubs_cache(data.name):
        raise unreachable
    if reachable:
        say(f"fetching {data.name} from the Hugging Face hub")
    try:
        return load(data, offline=not reachable)
    except Exception as error:  # of the hub, the network or a file format, down to plain Exception
        if not reachable:
            raise unreachable from error
        why = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise BadInput(f"{data.name} could not be read from the Hugging Face hub: {why[:300]}; {remedy}") from error


def load(data: DataConfig, offline: bool) -> DatasetDict:
    """The data set as `datasets` reads it, from the hub or (`offline`) from the cache of the hub's client."""
    import datasets
    from huggingface_hub import constants

    datasets.disable_progress_bars()
    before = datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    try:
        if offline:  # otherwise the client tries for half a minute
            datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
        return datasets.load_dataset(data.name, data.configuration, revision=data.revision)
    finally:
        datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before


def answers(name: str) -> bool:
    """Whether the hub answers in time when asked for the set `name`, whether or not it has that set.

    The hub's own client sends the request, because it knows about proxies, mirrors and offline mode.
    """

    def ask() -> bool:
        from huggingface_hub import constants, get_session

        if constants.HF_HUB_OFFLINE:
            return False
        reply: Any = get_session().get(f"{constants.ENDPOINT}/api/datasets/{name}", timeout=PATIENCE)
        is_the_hubs = "json" in reply.headers.get("content-type", "")  # a proxy may answer in its place
        return is_the_hubs and reply.status_code < 500

    return answers_in_time(ask)


def _in_the_hubs_cache(name: str) -> bool:
    from huggingface_hub import constants

    prepared = Path(os.environ.get("HF_DATASETS_CACHE", Path(constants.HF_HOME) / "datasets"))
    folders = (
        Path(constants.HF_HUB_CACHE) / f"datasets--{name.replace('/', '--')}",
        prepared / name.replace("/", "___").lower(),
        prepared / name.replace("/", "___"),
    )
    return any(folder.is_dir() for folder in folders)


SPLITS = {"train": ("train",), **dict(zip(OFFICIAL, (("validation", "valid", "val", "dev"), ("test",))))}
