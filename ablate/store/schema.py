"""The types of the files of a run, `runs/<id>/`. The same class writes, reads and checks a file.

These files keep numbers that are not finite as text ("nan", "inf", "-inf"), because JSON has no such numbers. Records
(`experiments/`) have null instead.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

VERSION = 2  # of the form in which files are written now
RULES = 2  # by which claims are judged; under 1 an interval inside the margin made an equivalence, whatever its p
SEAL = "sha256"  # the key of a sealed file's own hash

Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]  # as many as a column of whole numbers can hold
Number = Annotated[float, Meta(ge=-1e39, le=1e39)]  # any finite float32
Plain = str | int | float | bool | None
Level = str | int | float  # of a factor
Status = Literal["finished", "diverged", "failed"]


if TYPE_CHECKING:
    Real = float
else:

    class Real(float):
        """A number in a file of a run. It may be infinite or not a number."""


class Damaged(ValueError):
    """A file that is not of the expected type. The message says why, and where in the file."""


class Stored(Struct, frozen=True, omit_defaults=True):
    """A file, or a line of one."""


class Versioned(Stored, frozen=True, kw_only=True):
    """A file with the version of its format. A file without one has version 1."""

    version: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.version <= VERSION:
            raise ValueError(f"its format has version {self.version}, and this ablate reads versions up to {VERSION}")


ByPart = dict[str, Real]  # name of a part of the model -> a measurement
Diagnosis = dict[str, int | dict[str, Real]]  # "update" -> its number; name of a diagnostic -> its measurements


class PluginMember(Stored, frozen=True, kw_only=True):
    """A member of a table that a plugin added. The hash of the plugin's source is part of ids."""

    key: str
    name: str
    file: str
    sha256: str
    reads: list[str] | None = None  # as it was registered
    path: str | None = None  # of the file; only files of runs/ have it


class Task(Versioned, frozen=True, kw_only=True):
    """run.json: what to train, and how to evaluate it, written before training begins."""

    meaning: int = 1  # under which the run's id was made
    seed: int
    corpus: str
    config: dict[str, Any]
    parents: list[str] = []
    evaluations: dict[str, dict[str, Any]] = {}  # id -> the configuration of the command that asked for it
    plugins: list[PluginMember] = []  # those that the configuration chooses


class TrainingResult(Versioned, frozen=True, kw_only=True):
    """result.json: how a training ended."""

    status: Literal["finished", "diverged"]
    scorable: bool  # whether there are weights to translate with
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
    micro_batches: int  # the fewest that a batch was split into
    diagnostics: list[Diagnosis]
    curves: dict[str, str] | None = None  # file -> sha256
    final_dead_units: ByPart | None
    seconds: float
    provenance: dict[str, Plain]


class EvaluationResult(Versioned, frozen=True, kw_only=True):
    """evaluation-<id>.json: a trained model on the test set."""

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


T = TypeVar("T", bound=Struct)


def sealed(value: Struct) -> str:
    """A file of a run as JSON that ends in its own hash, because a flipped bit can turn a number into another."""
    plain = mapped(by_name, to_plain(value))
    text = json.dumps(plain, allow_nan=False)
    return text[:-1] + seal(text.encode())


def seal(text: bytes) -> str:
    """What takes the place of the last brace of a file."""
    return f', "{SEAL}": "{hashlib.sha256(text).hexdigest()}"}}'


def to_plain(value: Struct) -> dict[str, Any]:
    """The value as plain types, as JSON has it."""
    return dict(msgspec.to_builtins(value, enc_hook=float))  # the hook is called for `Real`


def unsealed(text: str | bytes, kind: type[T]) -> T:
    """Read what `sealed` wrote. Raises Damaged if it is not whole, not what was written, or of another kind."""
    written = text.encode() if isinstance(text, str) else text
    end = len(seal(b""))
    if written[-end:] != seal(written[:-end] + b"}").encode():  # of the bytes, as parsing a store's files takes longer
        raise Damaged("its hash is wrong")
    return decoded(written, kind)


def decoded(text: str | bytes, kind: type[T]) -> T:
    """A record, from a JSON file or a line of one. Raises Damaged."""
    try:
        return msgspec.json.decode(text, type=kind, dec_hook=real)
    except (ValueError, RecursionError) as error:
        raise Damaged(reason(error)) from None


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """The value with `function` applied to each item of its dictionaries and lists, at any depth."""
    if isinstance(value, Mapping):
        return {key: mapped(function, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [mapped(function, item) for item in value]
    return function(value)


def by_name(value: Any) -> Any:
    """The value, or its name if it is a number that JSON does not have."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(float(value))
    return value


def real(kind: type[Real], value: Any) -> Real:
    """Make a `Real`, the only type here that msgspec does not know."""
    return kind(value)


def reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it nests too deeply"
    return str(error).replace(" - at `$", " at `").replace("at `.", "at `") or type(error).__name__
