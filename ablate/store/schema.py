"""Everything that lies on disk, as types. The class that a file is written from is the class that reads and checks it.

Files of a run (`runs/<id>/`) keep numbers that are not finite, by name ("nan", "inf", "-inf"), since JSON has none.
Records (`experiments/`) hold null there. A file without a version is of the first.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

VERSION = 2  # of the files that are written now
RULES = 2  # by which claims are judged; under 1 an interval inside the margin made an equivalence, whatever its p
SEAL = "sha256"  # the key of a sealed file's own hash

Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]  # what a column of whole numbers holds
Number = Annotated[float, Meta(ge=-1e39, le=1e39)]  # every number that float32 has
Plain = str | int | float | bool | None
Level = str | int | float  # of a factor
Status = Literal["finished", "diverged", "failed"]


if TYPE_CHECKING:
    Real = float
else:

    class Real(float):
        """A number in a file of a run, which need not be finite."""


class Damaged(ValueError):
    """A file that cannot be read as what it should be. The message says why, and where in the file."""


class Stored(Struct, frozen=True, omit_defaults=True):
    """A file, or a line of one."""


ByPart = dict[str, Real]  # name of a part of the model -> what was measured of it
Diagnosis = dict[str, int | dict[str, Real]]  # "update" -> its number; name of a diagnostic -> what it measured


class PluginMember(Stored, frozen=True, kw_only=True):
    """A member of a table that a plugin added. The hash of the plugin's source is part of ids."""

    key: str
    name: str
    file: str
    sha256: str
    reads: list[str] | None = None  # as it was registered
    path: str | None = None  # of the file; only files of runs/ have it


class Task(Stored, frozen=True, kw_only=True):
    """run.json: what to train, and how to evaluate it, written before training begins."""

    version: int = 1
    meaning: int = 1  # under which the run's id was made
    seed: int
    corpus: str
    config: dict[str, Any]
    parents: list[str] = []
    evaluations: dict[str, dict[str, Any]] = {}  # id -> the whole configuration that it was asked for with
    plugins: list[PluginMember] = []  # those that the configuration chooses

    def __post_init__(self) -> None:
        check_version(self.version)


class TrainingResult(Stored, frozen=True, kw_only=True):
    """result.json: how a training ended."""

    version: int = 1
    status: Literal["finished", "diverged"]
    scorable: bool  # whether there is anything to translate with
    learned: int | None
    diverged_at: int | None
    updates: int
    best_update: int
    best_validation_loss: Real
    validation_loss: Real | None
    parameters: int
    parameter_counts: dict[str, int]
    flops_per_token: float
    peak_memory: int | None
    tokens_per_second: float | None
    batch_real_share: float
    micro_batches: int | None = None  # that a batch was at least taken in; early versions did not count them
    diagnostics: list[Diagnosis]
    curves: dict[str, str] | None = None  # file -> sha256
    final_dead_units: ByPart | None
    seconds: float
    provenance: dict[str, Plain]

    def __post_init__(self) -> None:
        check_version(self.version)


class EvaluationResult(Stored, frozen=True, kw_only=True):
    """evaluation-<id>.json: a trained model on the test set."""

    version: int = 1
    test_bleu: float | None
    test_bleu_greedy: float | None
    test_bleu_lower: float | None
    test_chrf: float | None
    test_loss: Real
    test_bits_per_byte: Real | None = None
    decoding_seconds: float | None = None  # of the beam search alone
    unmeasured: dict[str, str] = {}  # column -> why the test set allows no such score
    signatures: dict[str, str]
    evaluation: dict[str, Plain]  # what determines it, besides the training
    seconds: float
    beam: list[str]
    greedy: list[str]
    loss: list[Real]  # of each reference, in nats over all its tokens
    tokens: list[int]

    def __post_init__(self) -> None:
        check_version(self.version)


T = TypeVar("T", bound=Struct)


def check_version(version: int) -> None:
    if not 1 <= version <= VERSION:
        raise ValueError(f"it has version {version} of its form, and this ablate knows those up to {VERSION}")


def sealed(value: Struct) -> str:
    """A file of a run as JSON, with the hash of the rest at its end, since a flipped bit can leave a valid number."""
    plain = by_name(to_plain(value))
    text = json.dumps(plain, allow_nan=False)
    return json.dumps(plain | {SEAL: hashlib.sha256(text.encode()).hexdigest()}, allow_nan=False)


def to_plain(value: Struct) -> dict[str, Any]:
    """The value as JSON has it, of plain types."""
    return dict(msgspec.to_builtins(value, enc_hook=float))  # which is asked for `Real`


def unsealed(text: str | bytes, kind: type[T]) -> T:
    """What `sealed` wrote. Raises Damaged where it is not whole, not what was written, or of another kind."""
    try:
        plain = json.loads(text)
        seal = plain.pop(SEAL, None) if isinstance(plain, dict) else None  # the first files have none
        if seal not in (None, hashlib.sha256(json.dumps(plain).encode()).hexdigest()):
            raise Damaged("its hash is wrong")
        return msgspec.convert(plain, kind, dec_hook=real)
    except (ValueError, RecursionError) as error:  # of JSON, and of msgspec
        raise Damaged(reason(error)) from None


def decoded(text: str | bytes, kind: type[T]) -> T:
    """A record, from a JSON file or a line of one. Raises Damaged."""
    try:
        return msgspec.json.decode(text, type=kind, dec_hook=real)
    except (ValueError, RecursionError) as error:
        raise Damaged(reason(error)) from None


def by_name(value: Any) -> Any:
    """The value, however deep, with text for each number that JSON does not have."""
    if isinstance(value, Mapping):
        return {key: by_name(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [by_name(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(float(value))
    return value


def real(kind: type[Real], value: Any) -> Real:
    """Make a `Real`, the only type here that msgspec does not know. Older files have null for what was not finite."""
    return kind(math.nan if value is None else value)


def reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it nests too deeply"
    return str(error).replace(" - at `$", " at `").replace("at `.", "at `") or type(error).__name__
