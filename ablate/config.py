"""Every key of the configuration: its type, its meaning, its default, its bounds.

The defaults are the baseline of every study. They are only here: a file in `conf/` has only what it changes. A field's
bounds are an interval in the usual notation, "[0, 1)". A field that is looked up in a table of components is a string,
checked against the names in `CHOICES`; other vocabularies are Enums.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Optional

import regex


class BadInput(ValueError):
    """A mistake in the user's input. Its message is one line that names the choices; the process exits with code 2."""


WORD = r"\p{L}\p{M}\p{N}_"  # inside a character class: the characters of words in any script, with combining marks
NAME = regex.compile(rf"(?!\p{{M}})[{WORD}][{WORD}.-]*")  # a folder's name, or part of one
LONGEST_NAME = 80  # bytes; file systems allow names three times as long
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # characters that a line of text cannot contain
LONGEST_LINE = 2000  # characters of a message
LONGEST_SAMPLE = 1000  # characters of a sentence that is shown as an example
LEARNED_BELOW = 0.95  # of the unigram cross-entropy: a run has learned when its best validation loss is lower
AVERAGED = 10  # checkpoints of average_last_10
BYTES = 256  # tokens of data.byte_fallback
LEAST_VALIDATIONS = 4 * AVERAGED  # so that the average covers the end of training only


def check_name(key: str, name: str) -> None:
    """Raise BadInput for a name that no folder can have, or that leads out of the parent folder (as `../x` does)."""
    if not NAME.fullmatch(name) or len(name.encode(errors="replace")) > LONGEST_NAME:
        raise BadInput(
            f"{key}={name[:LONGEST_NAME]} names a folder, so it must be made of letters, digits, '_', '-' and '.', "
            f"{LONGEST_NAME} bytes at the most"
        )


def plain_line(text: str) -> str:
    """The message on one line, with control characters escaped."""
    return CONTROL.sub(lambda found: ascii(found[0])[1:-1], " ".join(text.split()))[:LONGEST_LINE]


def excerpt(sentence: str) -> str:
    """A sentence as reports and W&B show it; a very long one is cut and ends in an ellipsis."""
    return sentence if len(sentence) <= LONGEST_SAMPLE else f"{sentence[:LONGEST_SAMPLE]}…"


CHOICES: dict[str, list[str]] = {  # key -> the names in its table of components; plugins add to both
    "model.architecture": ["encoder_decoder", "lstm"],
    "model.norm": ["layer", "rms"],
    "model.norm_placement": ["pre", "post"],
    "model.residual": ["add", "none"],
    "model.attention_scale": ["sqrt", "none"],
    "model.embedding_scale": ["sqrt", "none"],
    "model.activation": ["relu", "gelu", "silu", "squared_relu"],
    "model.position": ["sinusoidal", "none"],
    "data.tokenizer": ["bpe", "characters"],
    "optim.kind": ["adamw", "sgd"],
    "optim.schedule": ["linear", "inverse_sqrt"],
    "train.objective": ["teacher_forcing", "distillation"],
    "train.checkpoint": ["best", "average_last_10"],
}
READS: dict[str, frozenset[str] | None] = {  # architecture -> the keys of `model` that it reads; None for all of them
    "encoder_decoder": None,
    "lstm": frozenset({"architecture", "d_model", "layers", "dropout"}),
}
READ_BY = {  # key -> (the choice of its section that decides whether it is read, the members that read it)
    "train.teacher": ("objective", frozenset({"distillation"})),
    "train.teacher_share": ("objective", frozenset({"distillation"})),
    "train.temperature": ("objective", frozenset({"distillation"})),
}
TUNABLE = {"lr": "optim.lr", "warmup": "optim.warmup"}  # what tune= may tune -> the key that it sets
MATCHES = ("parameters", "flops")  # what match= may match
FIRST = object()  # marks a key that existed when the first ids were made


class Device(Enum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Precision(Enum):
    fp32 = "fp32"
    bf16 = "bf16"


class Until(Enum):
    none = "none"
    resolved = "resolved"


class WandbMode(Enum):
    auto = "auto"
    online = "online"
    offline = "offline"
    disabled = "disabled"


def knob(default: Any, meaning: str, within: str | None = None, introduced: Any = FIRST) -> Any:
    """A dataclass field with its meaning and the interval that its value must lie in.

    `introduced` is the value of a key that was added after the first ids were made in all that was made before. At that
    value the key is left out of every id, so that adding it changes no id (see `identity`), and a configuration that
    was written down without the key has that value (see `complete`). It need not be the default.
    """
    return field(default=default, metadata={"meaning": meaning, "within": within, "introduced": introduced})


def group(section: type, meaning: str) -> Any:
    return field(default_factory=section, metadata={"meaning": meaning, "within": None})


def check_bounds(section: Any, name: str) -> None:
    """Raise BadInput when a field of `section`, known to the user as `name`.field, lies outside its interval."""
    for item in fields(section):
        within, value = item.metadata["within"], getattr(section, item.name)
        if within is None or value is None:
            continue
        low, high = (float(bound) for bound in within[1:-1].split(","))
        above = value >= low if within[0] == "[" else value > low
        below = value <= high if within[-1] == "]" else value < high  # false for inf below inf, and for nan
        if not (above and below):
            key = f"{name}.{item.name}" if name else item.name
            raise BadInput(f"{key}={value} is out of range: it must lie in {within} ({item.metadata['meaning']})")


def check_choices(section: Any, name: str) -> None:
    """Raise BadInput when a field of `section` names a component that is in no table."""
    for item in fields(section):
        key, value = f"{name}.{item.name}", getattr(section, item.name)
        if key in CHOICES and value not in CHOICES[key]:
            raise BadInput(f"{key}={value} is unknown; it may be {', '.join(CHOICES[key])}")


def identity(section: Any) -> dict[str, Any]:
    """The keys of a section that go into an id: all but those at the default with which they were introduced."""
    values = {item.name: (getattr(section, item.name), item.metadata["introduced"]) for item in fields(section)}
    return {name: value for name, (value, introduced) in values.items() if introduced is FIRST or value != introduced}


def complete(plain: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration in plain types, with the keys that are younger than it at their `introduced` values."""
    given = {
        item.name: getattr(Config(), item.name) for item in fields(Config) if isinstance(plain.get(item.name), dict)
    }
    sections = {name: section for name, section in given.items() if is_dataclass(section)}
    return {**plain, **{name: younger(section) | plain[name] for name, section in sections.items()}}


def younger(section: Any) -> dict[str, Any]:
    """The keys of a section that were added after the first ids were made, at their `introduced` values."""
    values = {item.name: item.metadata["introduced"] for item in fields(section)}
    return {name: value for name, value in values.items() if value is not FIRST}


def reads(section: Any, name: str, key: str) -> bool:
    """Whether the choices made in `section`, known to the user as `name`, read its key."""
    if isinstance(section, ModelConfig):
        keys = READS.get(section.architecture)
        return keys is None or key in keys
    choice, readers = READ_BY.get(f"{name}.{key}", ("", frozenset()))
    return not choice or getattr(section, choice) in readers


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


# What tune= may tune -> whether something is a value of it, and what its values are.
TUNES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "lr": (lambda value: is_number(value) and value > 0, "learning rates above 0, such as [0.001,0.002,0.004]"),
    "warmup": (lambda value: is_number(value) and 0 <= value < 1, "shares from 0 up and below 1, such as [0.02,0.15]"),
}


def grids_from(grid: Any, key: str = "grid") -> dict[str, tuple[float, ...]]:
    """What is tuned -> its values, in ascending order; a list alone is one of learning rates. Raises BadInput."""
    found: dict[str, tuple[float, ...]] = {}
    grids = grid if isinstance(grid, Mapping) else {} if grid is None else {"lr": grid}
    for name, values in grids.items():
        if name not in TUNES:
            raise BadInput(f"{key}={grid}: {name} is unknown; it may be {', '.join(TUNES)}")
        fits, what = TUNES[name]
        if not (isinstance(values, list | tuple) and values and all(map(fits, values))):
            inside = f"{key}={values}" if values is grid else f"{key}.{name}={values}"
            raise BadInput(f"{inside} must be a list of {what}")
        found[name] = tuple(sorted(set(map(float, values))))
    return found


def members(key: str, value: Any, known: Iterable[str]) -> tuple[str, ...]:
    """What a key names: nothing, one of `known`, or a list of them. In the order of `known`. Raises BadInput."""
    known = list(known)
    named = value if isinstance(value, list) else [] if value in (None, "none") else [value]
    if not all(isinstance(each, str) and each in known for each in named) or len(set(named)) < len(named):
        raise BadInput(f"{key}={value}: it may be none, {', '.join(known)}, or a list such as [{','.join(known)}]")
    return tuple(each for each in known if each in named)


@dataclass(frozen=True)
class ModelConfig:
    """An encoder-decoder Transformer (Vaswani et al. 2017, arXiv:1706.03762), or another architecture of its size."""

    architecture: str = knob(
        "encoder_decoder",
        "what kind of network: a Transformer, or an LSTM with attention",
        introduced="encoder_decoder",
    )
    norm: str = knob("layer", "what normalises the residual stream", introduced="layer")
    norm_placement: str = knob("pre", "norm before or after each sublayer")
    residual: str = knob("add", "whether a sublayer's input is added to its output, or dropped")
    attention_scale: str = knob("sqrt", "what divides attention scores: sqrt(d_k), or nothing")
    activation: str = knob("relu", "the feed-forward network's nonlinearity")
    embedding_scale: str = knob("sqrt", "what multiplies embeddings: sqrt(d_model), or nothing", introduced="sqrt")
    position: str = knob("sinusoidal", "how word order enters the model", introduced="sinusoidal")
    ffn_ratio: float = knob(4.0, "width of the feed-forward network over d_model", "(0, 1024]")
    heads: int = knob(4, "attention heads; they divide d_model where head_width is null", "[1, 16384]")
    head_width: Optional[int] = knob(
        None, "width of one attention head; null is d_model / heads", "[1, 16384]", introduced=None
    )
    d_model: int = knob(128, "width of the residual stream, an even number", "[2, 16384]")
    layers: int = knob(2, "layers in the encoder, and as many in the decoder", "[1, 256]")
    dropout: float = knob(0.1, "dropout on embeddings and on sublayer outputs", "[0, 1)")
    attention_dropout: float = knob(0.0, "dropout on attention weights", "[0, 1)")

    def __post_init__(self) -> None:
        check_choices(self, "model")
        check_bounds(self, "model")
        if self.d_model % 2:
            raise BadInput(f"model.d_model={self.d_model} is odd: sines and cosines need an even number")
        if reads(self, "model", "heads") and self.head_width is None and self.d_model % self.heads:
            divisors = ", ".join(str(heads) for heads in range(1, self.d_model + 1) if self.d_model % heads == 0)
            raise BadInput(
                f"model.heads={self.heads} does not divide model.d_model={self.d_model}; it may be {divisors}, "
                "or any number beside a model.head_width"
            )

    @property
    def d_ffn(self) -> int:
        """Width of the feed-forward network."""
        return max(1, round(self.d_model * self.ffn_ratio))

    @property
    def d_k(self) -> int:
        """Width of one attention head: d_model / heads, or a width of its own (d_kv of Raffel et al. 2020)."""
        return self.d_model // self.heads if self.head_width is None else self.head_width


@dataclass(frozen=True)
class DataConfig:
    """A parallel corpus, and the recipe that turns it into numbers. `null` means no limit."""

    loader: str = knob("", "the function of ablate/data/sources/corpora.py that reads it")
    name: str = knob("", "what reports call it")
    source: str = knob("en", "language code of the source side")
    target: str = knob("fr", "language code of the target side")
    path: Optional[str] = knob(None, "your own file or folder, for loaders that read one")
    configuration: Optional[str] = knob(None, "configuration (subset) of a set on the Hugging Face hub")
    revision: Optional[str] = knob(None, "branch, tag or commit of a set on the Hugging Face hub")
    column: Optional[str] = knob(None, "column that holds both sides, by language; null looks for it")
    source_column: Optional[str] = knob(None, "column of the source side, or its number; null is the language")
    target_column: Optional[str] = knob(None, "column of the target side, or its number; null is the language")
    test_set: Optional[str] = knob(None, "name of the official test set, if there are several; null is the first")
    min_words: int = knob(1, "words in the shortest sentence that is kept", "[1, 1e9]")
    max_words: Optional[int] = knob(None, "words in the longest sentence that is kept", "[1, 1e9]")
    source_words: Optional[int] = knob(None, "keep sentences made of this many most frequent source words", "[1, 1e9]")
    target_words: Optional[int] = knob(None, "keep sentences made of this many most frequent target words", "[1, 1e9]")
    max_tokens: int = knob(
        128,
        "tokens (of data.tokenizer) in a side, its end counted: longer pairs are not trained on",
        "[2, 1e5]",
        introduced=128,
    )
    train_pairs: Optional[int] = knob(None, "training pairs, at the most", "[1, 1e9]")
    validation_pairs: Optional[int] = knob(1000, "validation pairs, at the most", "[1, 1e9]")
    test_sentences: Optional[int] = knob(1000, "source sentences of the test set, at the most", "[1, 1e9]")
    held_out: Optional[float] = knob(
        None,
        "share of the pairs that is set aside, of which the test set is the beginning: then a larger test set trains "
        "nothing again; null sets aside the test set alone",
        "(0, 0.5]",
        introduced=None,
    )
    tokenizer: str = knob(
        "bpe", "what a token is: a subword of a joint byte-pair encoding, or a character", introduced="bpe"
    )
    vocabulary_size: int = knob(2500, "tokens of the vocabulary that both sides share, at the most", "[64, 1e6]")
    byte_fallback: bool = knob(
        False, "spell unknown characters in bytes, which use 256 tokens of vocabulary_size", introduced=False
    )

    def __post_init__(self) -> None:
        check_choices(self, "data")
        check_bounds(self, "data")
        if self.max_words is not None and self.max_words < self.min_words:
            raise BadInput(f"data.max_words={self.max_words} is below data.min_words={self.min_words}")
        if self.byte_fallback and self.tokenizer != "bpe":
            raise BadInput(f"data.byte_fallback=true: data.tokenizer={self.tokenizer} has no bytes, bpe has")
        if self.byte_fallback and self.vocabulary_size < BYTES + 64:
            raise BadInput(
                f"data.vocabulary_size={self.vocabulary_size} is too small for data.byte_fallback=true, which takes "
                f"{BYTES} of it: it must be at least {BYTES + 64}"
            )
        for key, code in (("source", self.source), ("target", self.target)):
            if not regex.fullmatch(rf"[{WORD}-]+", code):
                raise BadInput(
                    f"data.{key}={code} is not a language code: it must be made of letters, digits, '_' and '-'"
                )
        if self.source == self.target:
            raise BadInput(f"data.source and data.target are both {self.source}: a corpus has two languages")

    @property
    def label(self) -> str:
        """The name of the corpus in settings, records and reports."""
        own = Path(os.path.expanduser(self.path)).absolute().name if self.path else self.loader
        return self.name.replace("/", "_") or own


@dataclass(frozen=True)
class OptimConfig:
    """The optimiser and its learning rate over the updates."""

    kind: str = knob("adamw", "the optimiser", introduced="adamw")
    lr: float = knob(4e-3, "peak learning rate", "(0, inf)")
    warmup: float = knob(0.15, "share of the updates over which the learning rate rises", "[0, 1)")
    schedule: str = knob("linear", "decay: to zero at the last update, or with 1/sqrt(update)")
    anchor: float = knob(0.15, "share of the updates after which inverse_sqrt decays", "(0, 1)")
    beta1: float = knob(0.9, "decay of Adam's first moment, or momentum of sgd", "[0, 1)")
    beta2: float = knob(0.98, "decay of Adam's second moment", "[0, 1)")
    epsilon: float = knob(1e-9, "Adam's epsilon", "(0, inf)")
    weight_decay: float = knob(0.0, "weight decay, decoupled from the gradient in adamw", "[0, inf)")
    clip: float = knob(1.0, "largest gradient norm, over all parameters", "(0, inf)")

    def __post_init__(self) -> None:
        check_choices(self, "optim")
        check_bounds(self, "optim")


@dataclass(frozen=True)
class TrainConfig:
    """How long to train, on how much at a time, and which weights to keep."""

    objective: str = knob("teacher_forcing", "what is minimised", introduced="teacher_forcing")
    teacher: Optional[str] = knob(
        None, "variant of the study whose model of the same seed is the teacher of distillation", introduced=None
    )
    teacher_share: float = knob(0.5, "share of distillation's loss that the teacher decides", "[0, 1]", introduced=0.5)
    temperature: float = knob(
        1.0, "temperature of the teacher's and the student's distributions", "(0, 100]", introduced=1.0
    )
    updates: int = knob(1000, "optimiser updates", "[0, 1e9]")
    batch_tokens: int = knob(1000, "target positions in a batch", "[1, 1e9]")
    label_smoothing: float = knob(0.1, "probability taken from the reference and spread evenly", "[0, 1)")
    validations: int = knob(10, "validations, evenly spread over the run", "[1, 1e5]")
    checkpoint: str = knob("best", "weights that are tested: best on validation, or an average")

    def __post_init__(self) -> None:
        check_choices(self, "train")
        check_bounds(self, "train")
        if self.teacher is None and reads(self, "train", "teacher"):
            raise BadInput(f"train.objective={self.objective} needs a train.teacher")
        if self.checkpoint == "average_last_10" and self.validations < LEAST_VALIDATIONS:
            raise BadInput(
                f"train.checkpoint=average_last_10 needs train.validations={LEAST_VALIDATIONS} or more, not "
                f"{self.validations}, so that the average covers the end of training only"
            )


@dataclass(frozen=True)
class EvaluationConfig:
    """How the test set is translated. It has its own id: changing it trains nothing again."""

    beam: int = knob(5, "hypotheses kept at each step of beam search", "[1, 1000]")
    length_penalty: float = knob(
        1.0, "exponent of the length by which beam search divides a log-probability", "[0, 10]"
    )
    bleu_tokenizer: Optional[str] = knob(
        None,
        "sacreBLEU's tokeniser (13a, zh, char, intl, flores200, ...); null is the one for the target language",
        introduced=None,
    )
    loss_sentences: Optional[int] = knob(
        5000,
        "held-out source sentences over which the test loss is taken, at the most, but no fewer than the test set; "
        "null takes the test set alone",
        "[1, 1e9]",
        introduced=None,
    )

    def __post_init__(self) -> None:
        check_bounds(self, "evaluation")


@dataclass(frozen=True)
class DiagnosticsConfig:
    """Measurements inside the model, in separate passes that do not affect training."""

    times: int = knob(
        10, "measurements, evenly spread over the run, besides that of update 0; 0 measures nothing", "[0, 1e5]"
    )

    def __post_init__(self) -> None:
        check_bounds(self, "diagnostics")


@dataclass(frozen=True)
class WandbConfig:
    mode: WandbMode = knob(WandbMode.auto, "auto is WANDB_MODE, or else online with a key, offline without")
    project: Optional[str] = knob(None, "project in W&B; null is WANDB_PROJECT, or else ablate")
    entity: Optional[str] = knob(None, "user or team in W&B; null is WANDB_ENTITY, or else the key's own")


@dataclass(frozen=True)
class Config:
    """The configuration of one command. `study` is the study as its file has it (see store/study_file.py)."""

    model: ModelConfig = group(ModelConfig, "the Transformer")
    optim: OptimConfig = group(OptimConfig, "the optimiser and its schedule")
    train: TrainConfig = group(TrainConfig, "the training loop")
    data: DataConfig = group(DataConfig, "the corpus")
    evaluation: EvaluationConfig = group(EvaluationConfig, "the test")
    diagnostics: DiagnosticsConfig = group(DiagnosticsConfig, "what is measured inside the model")
    wandb: WandbConfig = group(WandbConfig, "W&B")
    study: Any = knob(None, "the question, its variants and claims")
    plugins: Any = knob(None, "Python files that add members to tables of choices, [mychoice.py]")
    preset: str = knob("", "sizes of everything")
    seeds: int = knob(3, "runs of each variant", "[1, 1000]")
    first_seed: int = knob(0, "the lowest seed; a study's file may set another", "[0, 1e6]", introduced=0)
    tune: Any = knob("none", "trains every variant over one grid, of peak learning rates, warmup shares or both; none, "
                     "lr, warmup, [lr,warmup]")  # fmt: skip
    grid: Any = knob(None, "values of tune=, [0.001,0.002] or {lr:[0.001,0.002],warmup:[0,0.15]}; null is the study's "
                     "own, or the configuration's and its neighbours")  # fmt: skip
    refine: bool = knob(
        True, "tune=lr goes on, when the grid is trained, to the best rates divided and multiplied by the root of 2"
    )
    rates: Optional[str] = knob(
        None, "STUDY/SETTING whose records say which learning rate and warmup, of those tune= tried, each variant takes"
    )
    across: Any = knob(
        None, "crosses the study with levels of other keys, {train.updates:[1000,4000]}; each key becomes a factor"
    )
    match: Any = knob("none", "adds a twin of the baseline's size for each variant of another size, or of its cost; "
                      "none, parameters, flops, [parameters,flops]")  # fmt: skip
    until: Until = knob(Until.none, "resolved adds seeds until every claim is decided, or max_seeds are trained")
    max_seeds: int = knob(20, "seeds that until=resolved stops at", "[1, 1000]")
    precision: Precision = knob(Precision.fp32, "bf16 is autocast; weights stay fp32")
    device: Device = knob(Device.auto, "auto takes a GPU where there is one; mps is untested")
    workers: Any = knob("auto", "runs side by side; auto is one a core, or as many as fit the GPU")
    dry_run: bool = knob(False, "print the plan and train nothing")
    cost_probe: bool = knob(True, "when the runs are done, time the variants in turn, for the report's table of costs")
    prepare_only: bool = knob(False, "fetch and prepare the corpus, and train nothing: for nodes without network")
    root: str = knob(".", "where runs/, experiments/ and reports/ go")
    run: Optional[str] = knob(None, "set by ablate itself: the run that a worker trains")

    def __post_init__(self) -> None:
        check_bounds(self, "")
        if self.workers != "auto" and not (type(self.workers) is int and self.workers >= 1):
            raise BadInput(f"workers={self.workers} must be auto or a whole number of at least 1")
        if self.plugins is not None and not (
            isinstance(self.plugins, list) and all(isinstance(path, str) and path for path in self.plugins)
        ):
            raise BadInput(f"plugins={self.plugins} must be a list of Python files, such as [mychoice.py]")
        for name in grids_from(self.grid):
            if name not in self.tuned:
                raise BadInput(f"grid={self.grid} lists values for {name}, so it needs tune={name} as well")
        if self.rates is not None and self.tuned:
            raise BadInput("rates= takes values that were tuned before, so it takes no tune= beside it")
        members("match", self.match, MATCHES)
        if self.until is Until.resolved and self.max_seeds < self.seeds:
            raise BadInput(f"max_seeds={self.max_seeds} is below seeds={self.seeds}, with which the study begins")

    @property
    def tuned(self) -> tuple[str, ...]:
        """What `tune` names."""
        return members("tune", self.tune, TUNABLE)

    @property
    def matched(self) -> tuple[str, ...]:
        """What `match` names."""
        return members("match", self.match, MATCHES)

    @property
    def warmup_updates(self) -> int:
        """The warmup's share of the updates, as a number of updates."""
        return round(self.optim.warmup * self.train.updates)


def check_key(key: str, given: str) -> None:
    """Raise BadInput if the configuration has no such key."""
    section: Any = Config()
    for depth, part in enumerate(key.split(".")):
        known = [item.name for item in fields(section)] if is_dataclass(section) else []
        if part not in known:
            above = ".".join(key.split(".")[:depth])
            where = f"{above} has {', '.join(known)}" if known else f"{above} is a value"
            raise BadInput(f"{given}: there is no key {key}; {where if above else 'there are ' + ', '.join(known)}")
        section = getattr(section, part)
