"""Add members to the package's tables of choices from a plugin, a file that `plugins=[snake.py]` names.

    from ablate.plugins import register

    @register("model.activation", "snake")
    class Snake(nn.Module): ...

Registering imports nothing heavy: the name becomes a choice at once, and the table gets the member when its own module
is imported (`extend`). `ablate.store.plugin_files` executes the files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from importlib import import_module
from typing import Any, TypeVar

from ablate.config import CHOICES, READ_BY, READS, BadInput, ModelConfig, check_name
from ablate.config import reads as section_reads

Value = TypeVar("Value")


@dataclass(frozen=True)
class Table:
    """The dictionary `name` of `module`. `entry` is the class there that makes a value of a function and details."""

    module: str
    name: str
    entry: str | None = None


@dataclass(frozen=True)
class Member:
    key: str
    name: str
    path: str  # of the file that registered it
    sha256: str  # of the file's source
    value: Any = None  # None if only the name and the hash are known, from a record
    details: dict[str, Any] = field(default_factory=dict)
    reads: frozenset[str] | None = None  # the keys of its section that it reads; None for the default


def register(key: str, name: str, reads: Iterable[str] | None = None, **details: Any) -> Callable[[Value], Value]:
    """A decorator that adds a class or a function to the table of `key`, under `name`. Raises BadInput.

    `details` are the other fields of the table's entries: of `Metric` (ablate/analysis/metrics.py), `Entry`
    (ablate/report/figures) or `PublishedCorpus` (ablate/data/sources/corpora.py). `reads={"d_model", "layers"}` names
    the keys of `model` that an architecture reads (all of them without it), `reads={"teacher"}` those of `train` that
    an objective reads as distillation does (none without it).
    """
    if _source is None:
        raise BadInput("register works only in a file that plugins=[FILE.py] names")
    if key not in TABLES:
        raise BadInput(f"there is no table {key} to register {name} in; there are {', '.join(TABLES)}")
    check_name(key, str(name))
    if (key, name) in _members or name in (*CHOICES.get(key, ()), *_tables.get(key, ())):
        raise BadInput(taken(key, name))
    if wrong := set(reads or ()) - readable(key):
        keys = ", ".join(sorted(readable(key)))
        choices = f"it may read {keys}" if keys else f"members of {key} take no reads="
        raise BadInput(f"{key}={name} reads {', '.join(sorted(wrong))}: {choices}")
    path, sha256 = _source

    def decorate(value: Value) -> Value:
        add(Member(key, name, path, sha256, value, details, None if reads is None else frozenset(reads)))
        return value

    return decorate


def extend(key: str, table: dict[str, Any]) -> None:
    """Add to a table what plugins have registered for it, and what they register later. Its module calls this once."""
    _tables[key] = table
    for member in _members.values():
        if member.key == key and member.value is not None:
            if member.name in table:
                raise BadInput(f"plugins: {member.path}: {taken(key, member.name)}")
            table[member.name] = entry(member)


def settle() -> None:
    """Import every table that a plugin adds to, so that a member that does not fit raises BadInput now."""
    for key in dict.fromkeys(member.key for member in _members.values()):
        import_module(TABLES[key].module)


def used(**sections: Any) -> list[Member]:
    """The plugins' members that sections of a configuration choose: `used(model=config.model)`."""
    found = []
    for section, values in sections.items():
        for item in fields(values):
            member = _members.get((f"{section}.{item.name}", getattr(values, item.name)))
            if member is not None and section_reads(values, section, item.name):
                found.append(member)
    return found


def sources_used(**sections: Any) -> dict[str, dict[str, str]]:
    """The determinants that plugins add to an id: {"plugins": {key: hash of the source}}, or nothing."""
    sources = {member.key: member.sha256 for member in used(**sections)}
    return {"plugins": sources} if sources else {}


@contextmanager
def registering(path: str, sha256: str) -> Iterator[None]:
    """Inside the block, registered members belong to this file. They are removed again if it raises."""
    global _source
    before, outer, _source = dict(_members), _source, (path, sha256)
    try:
        yield
    except BaseException:
        restore(before)
        raise
    finally:
        _source = outer


def members() -> dict[tuple[str, str], Member]:
    """(key, name) -> every member that a plugin has added."""
    return dict(_members)


def add(member: Member) -> None:
    table = _tables.get(member.key)
    if table is not None and member.value is not None:
        table[member.name] = entry(member)
    _members[member.key, member.name] = member
    if member.name in BUILT_IN.get(member.key, ()):  # a record of a plugin whose member is now built in
        return
    if member.key in CHOICES:
        CHOICES[member.key].append(member.name)
    if member.key == "model.architecture":
        READS[member.name] = None if member.reads is None else member.reads | {"architecture"}
    for key, (choice, readers) in decided_by(member.key).items():
        if key.partition(".")[2] in (member.reads or ()):
            READ_BY[key] = choice, readers | {member.name}


def remove(member: Member) -> None:
    del _members[member.key, member.name]
    if member.name in BUILT_IN.get(member.key, ()):
        return
    _tables.get(member.key, {}).pop(member.name, None)
    if member.key in CHOICES:
        CHOICES[member.key].remove(member.name)
    if member.key == "model.architecture":
        del READS[member.name]
    for key, (choice, readers) in decided_by(member.key).items():
        READ_BY[key] = choice, readers - {member.name}


def readable(key: str) -> set[str]:
    """The keys that members of a table may read."""
    if key == "model.architecture":
        return {item.name for item in fields(ModelConfig)}
    return {name.partition(".")[2] for name in decided_by(key)}


def decided_by(key: str) -> dict[str, tuple[str, frozenset[str]]]:
    """The entries of READ_BY that depend on the choice `key`."""
    section, _, choice = key.partition(".")
    return {name: entry for name, entry in READ_BY.items() if (name.partition(".")[0], entry[0]) == (section, choice)}


def restore(before: dict[tuple[str, str], Member]) -> None:
    """Restore the members that `members` returned earlier."""
    for place, member in members().items():
        if before.get(place) is not member:
            remove(member)
    for place, member in before.items():
        if place not in _members:
            add(member)


def entry(member: Member) -> Any:
    """A table's entry for a member. Raises BadInput if its details are not those of the table's entries."""
    table, details = TABLES[member.key], member.details
    try:
        if table.entry is not None:
            return getattr(import_module(table.module), table.entry)(member.value, **details)
        if details:
            raise TypeError(f"register takes no {', '.join(details)} here")
        return member.value
    except TypeError as error:
        raise BadInput(f"plugins: {member.path}: {member.key}={member.name} does not fit: {error}") from None


def taken(key: str, name: str) -> str:
    return f"{key} already has a member {name}, which a plugin cannot replace: use another name"


BUILT_IN = {key: frozenset(names) for key, names in CHOICES.items()}
_source: tuple[str, str] | None = None  # path and sha256 of the file that is being executed
_members: dict[tuple[str, str], Member] = {}
_tables: dict[str, dict[str, Any]] = {}  # by key, of the modules that have been imported

TABLES = {  # key of the configuration, or kind of thing -> its table
    "model.architecture": Table("ablate.model", "ARCHITECTURES"),
    "model.norm": Table("ablate.model.norm", "NORMS"),
    "model.norm_placement": Table("ablate.model.wiring", "NORM_PLACEMENTS"),
    "model.residual": Table("ablate.model.wiring", "RESIDUALS"),
    "model.attention_scale": Table("ablate.model.attention", "ATTENTION_SCALES"),
    "model.embedding_scale": Table("ablate.model.embedding", "EMBEDDING_SCALES"),
    "model.activation": Table("ablate.model.feedforward", "ACTIVATIONS"),
    "model.position": Table("ablate.model.position", "POSITIONS"),
    "optim.kind": Table("ablate.training.optimizers", "OPTIMIZERS"),
    "optim.schedule": Table("ablate.training.schedule", "SCHEDULES"),
    "train.objective": Table("ablate.training.objectives", "OBJECTIVES"),
    "train.checkpoint": Table("ablate.training.checkpoints", "CHECKPOINTS"),
    "data.tokenizer": Table("ablate.data.tokenise", "TOKENIZERS"),
    "data.loader": Table("ablate.data.sources.corpora", "CORPORA", "PublishedCorpus"),
    "diagnostic": Table("ablate.diagnostics", "DIAGNOSTICS"),
    "metric": Table("ablate.analysis.metrics", "METRICS", "Metric"),
    "figure": Table("ablate.report.figures", "FIGURES", "Entry"),
}
