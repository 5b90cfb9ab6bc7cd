"""The types of a setting's records, `experiments/<study>/<setting>/`. Null: does not exist, or is not finite.

Records without a version have version 1: a key for each factor, where later versions have `factors`.
"""

from __future__ import annotations

import shlex
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ablate.config import TUNABLE
from ablate.store.schema import Level, Number, Plain, PluginMember, Status, Stored, Versioned, Whole

RESULT_COLUMNS = {  # of results.csv with their types, before a column for each factor
    "study": "str",
    "setting": "str",
    "variant": "str",
    "seed": "Int64",
    "run_id": "str",
    "evaluation_id": "str",
    "status": "str",
    "learned": "Int64",
    "test_bleu": "float64",
    "test_bleu_greedy": "float64",
    "test_bleu_lower": "float64",
    "test_chrf": "float64",
    "test_loss": "float64",
    "validation_loss": "float64",
    "parameters": "Int64",
    "flops_per_token": "float64",
    "peak_memory": "Int64",
    "tokens_per_second": "float64",
    "seconds": "float64",
    "epochs": "float64",
    "trained": "Int64",
}
DERIVED = ("epochs", "trained")  # of these, what is computed when records are read
POOL = "pool.jsonl.gz"
BY_LAYER = ("parameter_counts", "diagnostics", "final_dead_units")  # in a file of their own: there may be many layers


class RunRecord(Versioned, frozen=True, kw_only=True, omit_defaults=False):
    """A line of runs.jsonl: an evaluation of a training, in one cell of the study."""

    study: str
    setting: str
    variant: str
    seed: Whole
    run_id: str  # of the training
    evaluation_id: str | None = None
    status: Status
    learned: Whole | None
    test_bleu: Number | None
    test_bleu_greedy: Number | None
    test_bleu_lower: Number | None
    test_chrf: Number | None
    test_loss: Number | None
    validation_loss: Number | None
    parameters: Whole | None
    flops_per_token: Number | None
    peak_memory: Whole | None
    tokens_per_second: Number | None
    seconds: Number | None
    factors: dict[str, Level] = {}
    test_bits_per_byte: Number | None = None
    decoding_seconds: Number | None = None
    loss_references: Whole | None = None  # over which the test loss is taken
    diverged_at: Whole | None = None
    best_update: Whole | None = None
    best_validation_loss: Number | None = None
    updates: Whole | None = None
    batch_real_share: Number | None = None
    micro_batches: Whole | None = None
    meaning: Whole = 1  # under which run_id was made
    parents: list[str] = []
    provenance: dict[str, Plain] | None = None
    corpus: str | None = None
    config: dict[str, Any]
    plugins: list[PluginMember] = []  # those that the configuration chooses

    def __post_init__(self) -> None:
        super().__post_init__()
        msgspec.convert(self.config, RunConfiguration)


RECORD_KEYS = (*RunRecord.__struct_fields__, *BY_LAYER)
ALSO = ("diverged_at", "best_update", "best_validation_loss", "updates", "batch_real_share", "micro_batches",
        "test_bits_per_byte", "decoding_seconds")  # fmt: skip

Measured = dict[str, Number | None]  # name of a part -> value


class LayersRecord(Stored, frozen=True, kw_only=True):
    """A line of layers.jsonl.gz: the counts and measurements of each part of a trained model."""

    run_id: str
    parameter_counts: dict[str, Whole] | None = None
    diagnostics: list[dict[str, Whole | Measured | None]] | None = None
    final_dead_units: Measured | None = None

    def __post_init__(self) -> None:
        if not all(isinstance(entry.get("update"), int) for entry in self.diagnostics or ()):
            raise ValueError("a measurement has no update")


class Validation(Stored, frozen=True, kw_only=True):
    update: list[Whole]
    loss: list[Number | None]

    def __post_init__(self) -> None:
        if len(self.update) != len(self.loss):
            raise ValueError("it has different numbers of updates and losses")


class CurvesRecord(Stored, frozen=True, kw_only=True):
    """A line of curves.jsonl.gz: the curves of a training, a list a column."""

    run_id: str
    update: list[Whole]
    loss: list[Number | None] = []
    lr: list[Number | None] = []
    gradient_norm: list[Number | None] = []
    tokens: list[Whole] = []
    validation: Validation
    damaged: bool = False  # whether the files were not what training wrote, so that the curves are unknown

    def __post_init__(self) -> None:
        if self.damaged and (self.update or self.validation.update):
            raise ValueError(f"run {self.run_id} has curves, but is marked as damaged")


class TestSentence(Stored, frozen=True):
    """A line of test.jsonl.gz, or of pool.jsonl.gz: a sentence beyond the test set over which the loss is taken."""

    __test__ = False  # for pytest, which collects classes of such names

    source: str
    references: Annotated[list[str], Meta(min_length=1)]
    near: bool | None = None  # whether a training source is within one word of it; None in earlier records


class Translations(Stored, frozen=True, kw_only=True):
    """A line of hypotheses.jsonl.gz: the translations of each test sentence, and the loss of each reference.

    Losses go on with the references of pool.jsonl.gz, if there are any.
    """

    run_id: str
    evaluation_id: str | None = None
    beam: list[str]
    greedy: list[str]
    loss: list[Number | None]
    tokens: list[Whole]


class CellCost(Stored, frozen=True, kw_only=True):
    """The time and memory of a cell's updates, a value for each round."""

    seconds: Annotated[list[Annotated[float, Meta(gt=0)]], Meta(min_length=1)]
    tokens: list[Number]
    memory: Whole | None

    def __post_init__(self) -> None:
        if len(self.seconds) != len(self.tokens):
            raise ValueError("it has different numbers of times and tokens")


class CostRecord(Stored, frozen=True, kw_only=True):
    """cost.json."""

    mark: str = ""  # a hash of the cells and the machine
    cells: dict[str, CellCost]
    rounds: Whole
    updates_a_round: Whole
    others: Number | None
    provenance: dict[str, Plain]

    def __post_init__(self) -> None:
        if lacking := {"threads", "device", "device_name"} - self.provenance.keys():
            raise ValueError(f"its provenance lacks {', '.join(sorted(lacking))}")


class SimilarityRecord(Stored, frozen=True, kw_only=True):
    """similarity.json: linear CKA between the representations of trained models, as matrices over `runs`."""

    runs: list[tuple[str, Whole, str]] = []  # variant, seed, id of the training
    tokens: Whole = 0
    encoder: list[list[Number | None]] = []  # null where a representation is the same for all tokens
    decoder: list[list[Number | None]] = []

    def __post_init__(self) -> None:
        matrices = (self.encoder, self.decoder)
        sizes = {len(matrix) for matrix in matrices} | {len(row) for matrix in matrices for row in matrix}
        if sizes - {len(self.runs)}:
            raise ValueError("its matrices do not have as many rows and columns as it has runs")


class SpreadRecord(Stored, frozen=True, kw_only=True):
    """The variance over seeds of one contrast: `ablate.analysis.noise.Spread`."""

    metric: str
    budget: str
    study: str
    setting: str
    variant: str
    baseline: str
    cells: tuple[str, str]
    seeds: Annotated[int, Meta(ge=2)]
    variance: Annotated[float, Meta(ge=0, le=1e39)]
    mean: Number
    references: Whole = 0


class DefaultRecord(Stored, frozen=True, kw_only=True):
    """`ablate.analysis.trained.Default`."""

    corpus: str
    budget: str
    loss: Number
    runs: list[str]


class NoiseRecord(Stored, frozen=True, kw_only=True):
    """noise.json.gz: the noise library of a corpus and preset, as it was at the setting's first report."""

    corpus: str
    preset: str
    seeds: Annotated[list[Whole], Meta(min_length=1)]  # of that report, sorted
    spreads: list[SpreadRecord] = []
    defaults: list[DefaultRecord] = []  # what the preset's default configuration reaches


class Look(Stored, frozen=True):
    """A report on a set of seeds."""

    seeds: Annotated[tuple[Whole, ...], Meta(min_length=1)]  # sorted
    purpose: str  # "report" or "until=resolved"
    runs: tuple[str, ...]  # ids of the trainings with the lowest seed, one for each cell: they show what was trained
    # of a sequential setting under tune=: cell -> the learning rate that was chosen, or all that was chosen by its name
    rates: dict[str, Number | dict[str, Number]] | None = None
    rules: Whole = 1  # version of the rules that it was judged by


class EarlierRecord(Stored, frozen=True, kw_only=True):
    """earlier.json: the last report under earlier rules, whose verdicts are kept as they were."""

    rules: Whole
    summary: dict[str, Any]  # summary.json

    def __post_init__(self) -> None:
        msgspec.convert(self.summary, EarlierSummary)


class EarlierClaim(Stored, frozen=True, kw_only=True):
    id: str
    verdict: Literal["supported", "contradicted", "equivalent", "unresolved"] | None
    command: str | None = None


class EarlierSummary(Stored, frozen=True, kw_only=True):
    """What reports read of it."""

    claims: list[EarlierClaim]
    tuned: list[dict[str, Any]] = []


class TakenRates(Stored, frozen=True, kw_only=True):
    """What rates= took from the records of a tuned setting, so that a report needs them no more."""

    setting: str  # STUDY/SETTING
    seeds: list[Whole]  # that chose the values
    cells: dict[str, dict[str, Number]]  # cell -> what was tuned -> its value
    updates: dict[str, Whole]  # cell -> the number of updates that its values were tuned for
    edges: dict[str, list[str]] = {}  # cell -> what was best at the edge of its grid

    def __post_init__(self) -> None:
        if unknown := {name for values in self.cells.values() for name in values} - TUNABLE.keys():
            raise ValueError(f"its rates set {', '.join(sorted(unknown))}, which cannot be tuned")


class Manifest(Versioned, frozen=True, kw_only=True):
    """manifest.json: the study, the command and the corpus that the runs belong to."""

    study: dict[str, Any]
    setting: str
    preset: str
    overrides: list[str] = []
    command: str
    corpus: dict[str, Any]  # corpus.json of the baseline's corpus
    corpora: dict[str, dict[str, Any]] = {}  # fingerprint -> corpus.json, where cells have several
    seeds: Whole
    first_seed: Whole = 0
    looks: list[Look] | None = None  # every report on the setting; None: one, at its seeds
    twins: dict[str, dict[str, Plain]] | None = None
    twin_cells: dict[str, dict[str, Plain]] | None = None  # cell of a twin -> more overrides, where levels differ
    across: dict[str, list[Plain]] | None = None  # key -> the levels that across= crosses the study with
    grid: list[Number] | dict[str, list[Number]] | None = None  # of tune=; a list is one of learning rates
    refined: dict[str, list[dict[str, Number]]] | None = None  # cell of the baseline -> more points at its levels
    rates: TakenRates | None = None
    max_seeds: Whole | None = None
    config: dict[str, Any]
    cells: list[dict[str, Any]] = []
    plan: list[list[str | Whole]]  # [cell, seed, id of the training, id of the evaluation]
    bleu_signature: str | None = None
    chrf_signature: str | None = None
    unmeasured: dict[str, str] = {}

    def __post_init__(self) -> None:
        super().__post_init__()
        for corpus in (self.corpus, *self.corpora.values()):
            msgspec.convert(corpus, CorpusMetadata)
        msgspec.convert(self.config, RunConfiguration)
        tuned = set(self.grid if isinstance(self.grid, dict) else () if self.grid is None else {"lr"})
        if unknown := tuned - TUNABLE.keys():
            raise ValueError(f"its grid has {', '.join(sorted(unknown))}, which cannot be tuned")
        if not all(point.keys() == tuned for points in (self.refined or {}).values() for point in points):
            raise ValueError("a refined point is not one of what was tuned")
        if not all(len(entry) >= 3 for entry in self.plan):
            raise ValueError("a run of its plan is incomplete")
        try:
            shlex.split(self.command)
        except ValueError as error:
            raise ValueError(f"its command is not a valid shell command ({error})") from None


class CorpusMetadata(Stored, frozen=True, kw_only=True):
    """The keys of a corpus.json that reports read."""

    name: str | None = None
    source: str = ""
    target: str = ""
    fingerprint: str = ""
    credit: str = ""
    train_pairs: Whole = 0
    train_tokens: Whole = 0
    mean_target: Number = 0.0
    validation_pairs: Whole = 0
    test_sentences: Whole = 0
    vocabulary_size: Whole = 0
    unigram_cross_entropy: Number = 0.0
    unknown: dict[str, dict[str, Number]] | None = None


class ModelSizes(Stored, frozen=True, kw_only=True):
    layers: Whole = 1
    d_model: Whole = 1
    heads: Whole = 1


class OptimSizes(Stored, frozen=True, kw_only=True):
    lr: Number = 1.0
    warmup: Number = 0.0


class TrainSizes(Stored, frozen=True, kw_only=True):
    updates: Whole = 0
    batch_tokens: Whole = 1


class RunConfiguration(Stored, frozen=True, kw_only=True):
    """The keys of a configuration that reports read. All of it is checked when its id is recomputed."""

    model: ModelSizes = ModelSizes()
    optim: OptimSizes = OptimSizes()
    train: TrainSizes = TrainSizes()
    data: dict[str, Plain] = {}
    evaluation: dict[str, Plain] = {}
