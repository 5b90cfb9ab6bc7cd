"""Check records against themselves: recompute the values of each run from its curves and translations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from ablate.config import LEARNED_BELOW, BadInput
from ablate.evaluation.scores import Scorer, unmeasured
from ablate.records.read import evaluation_of
from ablate.records.report_data import ReportData, has_updates
from ablate.report.wording import listed
from ablate.store.ids import evaluation_id, training_id
from ablate.store.plain import config_from_plain
from ablate.store.plugin_files import recalled
from ablate.study import Pairs

SCORES = ("test_bleu", "test_bleu_greedy", "test_bleu_lower", "test_chrf")
OF_A_RUN = ("corpus", "config.train.checkpoint", "updates", "diverged_at", "best_update", "best_validation_loss")
OF_TRANSLATIONS = ("beam", "greedy", "loss", "tokens")
OF_A_CORPUS = ("fingerprint", "unigram_cross_entropy")
ABSENT = object()  # the value of a missing key
SIX_FIGURES = 1e-5  # relative rounding error of curves, which keep six figures of a number
LAST_BITS = 1e-9  # relative difference between machines' arithmetic
LOSS_DIGITS = 0.5e-4  # rounding error of the losses of sentences, in nats


@dataclass(frozen=True)
class Recomputed:
    """A value of a run's record, and the recomputed one. A value that does not exist is None."""

    name: str
    recorded: Any
    found: Any
    tolerance: float = 0.0

    @property
    def agrees(self) -> bool:
        if isinstance(self.recorded, int | float) and isinstance(self.found, int | float):
            return abs(self.recorded - self.found) <= self.tolerance + LAST_BITS * abs(self.found)
        return bool(self.recorded == self.found)


@dataclass(frozen=True)
class Evidence:
    """A run, with its curves and translations in the records."""

    data: ReportData
    run: dict[str, Any]

    @property
    def curve(self) -> dict[str, Any]:
        return self.data.curves.get(self.run["run_id"], {"update": [], "validation": {"update": [], "loss": []}})

    @property
    def has_curve(self) -> bool:
        """False if the record marks the run's curves as damaged."""
        return not self.curve.get("damaged", False)

    @property
    def finished(self) -> bool:
        return bool(self.run["status"] == "finished")

    @cached_property
    def validation(self) -> dict[int, float]:
        """Update -> loss; empty if some loss was not a number, because then there is no minimum."""
        found = self.curve["validation"]
        return {} if None in found["loss"] else dict(zip(found["update"], found["loss"]))


def recompute(data: ReportData, run: dict[str, Any]) -> Iterator[Recomputed]:
    """Recompute all that can be recomputed of a run."""
    for check in CHECKS:
        yield from check(Evidence(data, run))


def lacking(data: ReportData, run: dict[str, Any]) -> list[str]:
    """The keys that are needed to recompute a run and missing from its records."""
    found = [f"its {key}" for key in missing(run, OF_A_RUN)]
    if (name := evaluation_of(run)) in data.hypotheses:
        found += [f"the {key} of its translations" for key in missing(data.hypotheses[name], OF_TRANSLATIONS)]
    corpus = missing(data.corpus_of(run), OF_A_CORPUS)
    return found + [f"the corpus's {key}, in manifest.json" for key in corpus]


def missing(value: Any, keys: Sequence[str]) -> Iterator[str]:
    """The dotted keys that nested mappings do not have."""
    for key in keys:
        inner = value
        for part in key.split("."):
            inner = inner.get(part, ABSENT) if isinstance(inner, dict) else ABSENT
        if inner is ABSENT:
            yield key


def strays(data: ReportData) -> Iterator[str]:
    """Curves and translations that belong to no run, and runs that are there twice."""
    known, evaluated = ({key(run) for run in data.runs} for key in (lambda run: run["run_id"], evaluation_of))
    yield from (f"curves of run {id}, which is not in runs.jsonl" for id in data.curves.keys() - known)
    yield from (f"translations of {id}, which is not in runs.jsonl" for id in data.hypotheses.keys() - evaluated)
    arms = [(run["variant"], run["seed"]) for run in data.runs]
    yield from (f"{variant}/{seed} is there twice" for variant, seed in sorted({a for a in arms if arms.count(a) > 1}))


def unmeasured_scores(data: ReportData) -> Recomputed:
    """The scores that the test set does not allow, according to the manifest."""
    references = [sentence["references"] for sentence in data.test]
    found = unmeasured(references, data.bleu_tokenizer) if data.hypotheses else {}
    return Recomputed("unmeasured", data.manifest.get("unmeasured", {}), found)


def planned_seeds(data: ReportData) -> Recomputed:
    """The seeds of the manifest, and those of its plan."""
    first, found = data.first_seed, data.seeds
    return Recomputed("seeds of the plan", span(range(first, first + data.manifest["seeds"])), span(found))


def sentences_near(data: ReportData) -> Iterator[Recomputed]:
    """Which test sentences are near the training set, where the records say so and the corpus is in the cache."""
    flags = [sentence.get("near") for sentence in data.test]
    if not flags or None in flags:
        return
    found = near_again(str(data.manifest["corpus"].get("fingerprint")), len(flags)) or flags
    for number, (flag, again) in enumerate(zip(flags, found, strict=True)):
        if flag != again:
            yield Recomputed(f"near of test sentence {number}", flag, again)


@cache  # settings share corpora
def near_again(fingerprint: str, sentences: int) -> list[bool] | None:
    """The flags of a corpus's test set; None if it is not in the cache."""
    from ablate.data.corpus import Corpus
    from ablate.data.near import near_training

    try:
        return near_training(Corpus.load(fingerprint, sentences))
    except BadInput:
        return None


def span(seeds: Sequence[int]) -> str:
    """Seeds in a few words: only the first and the last if they are consecutive."""
    whole = len(seeds) > 0 and list(seeds) == list(range(seeds[0], seeds[-1] + 1))
    return f"{seeds[0]} to {seeds[-1]}" if whole else listed(seeds) or "none"


def identity(of: Evidence) -> Iterator[Recomputed]:
    """Check that the run is in the plan, and that its configuration is its cell's and gives its id."""
    run, data = of.run, of.data
    halves = data.study.pairs is Pairs.halves  # the halves are cells of the analysis, but not of the plan
    plan = [(cell, ids) for cell, seed, *ids in data.manifest["plan"] if seed == run["seed"]]
    planned = [ids for cell, ids in plan if halves or cell == run["variant"]]
    ids = [run["run_id"]] if run["version"] == 1 else [run["run_id"], run["evaluation_id"]]
    yield Recomputed("run_id", ids, planned[0] if planned else None)
    cell = next(cell for cell in data.cells if cell.name == run["variant"])
    for factor, level in cell.factors.items():
        yield Recomputed(factor, run[factor], level)
    for key, value in cell.overrides.items():
        section, _, name = key.partition(".")
        if section in run["config"]:
            has = run["config"][section]
            yield Recomputed(f"config.{key}", has.get(name) if name else has, value)
    yield Recomputed("corpus", run["corpus"], data.corpus_of(run)["fingerprint"])
    try:
        with recalled(run["plugins"]):
            config = config_from_plain(run["config"])
            training = training_id(config, run["seed"], run["corpus"], run["parents"], run["meaning"])
            evaluation = evaluation_id(config, training)
        yield Recomputed("run_id", run["run_id"], training)
        if run["version"] > 1:
            yield Recomputed("evaluation_id", run["evaluation_id"], evaluation)
    except BadInput as error:
        yield Recomputed("config", "a configuration", str(error))


def scores(of: Evidence) -> Iterator[Recomputed]:
    """Recompute BLEU and chrF from the translations, and the loss from those of the sentences."""
    run, entry = of.run, of.data.hypotheses.get(evaluation_of(of.run))
    if entry is None:
        yield from (Recomputed(column, run[column], None) for column in (*SCORES, "test_loss"))
        return
    references = tuple(tuple(sentence["references"]) for sentence in of.data.test)
    found = rescored(references, of.data.bleu_tokenizer, tuple(entry["beam"]), tuple(entry["greedy"]))
    yield from (Recomputed(column, run[column], found[column]) for column in SCORES)
    losses, tokens = entry["loss"], sum(entry["tokens"])
    held_out = [*references, *(tuple(sentence["references"]) for sentence in of.data.rest)]
    yield Recomputed("number of losses", len(losses), sum(map(len, held_out)))
    if run.get("loss_references") is not None:
        yield Recomputed("loss_references", run["loss_references"], len(losses))
    loss = None if None in losses else sum(losses) / tokens
    yield Recomputed("test_loss", run["test_loss"], loss, LOSS_DIGITS * len(losses) / tokens)
    if run["test_bits_per_byte"] is not None and loss is not None:
        size = sum(len(reference.encode()) for of_sentence in held_out for reference in of_sentence)
        bits = sum(losses) / math.log(2) / size
        yield Recomputed("test_bits_per_byte", run["test_bits_per_byte"], bits, SIX_FIGURES * bits)


def training(of: Evidence) -> Iterator[Recomputed]:
    """Recompute the end of training and the kept checkpoint from the curves, unless these were damaged."""
    if not of.has_curve:
        return
    run, curve, losses = of.run, of.curve, of.validation
    last = max(curve["update"], default=0)
    if run["status"] == "diverged":
        yield Recomputed("diverged_at", run["diverged_at"], last)
        yield Recomputed("validation_loss", run["validation_loss"], None)
    if of.finished:
        yield Recomputed("updates", run["updates"], last)
    if not losses:
        return
    best = min(losses.values())
    yield Recomputed("best_validation_loss", run["best_validation_loss"], best, SIX_FIGURES * best)
    if of.finished and run["config"]["train"]["checkpoint"] == "best":
        kept = min((loss for update, loss in losses.items() if update > 0 or not has_updates(run)), default=None)
        yield Recomputed("loss at best_update", losses.get(run["best_update"]), kept)
        yield Recomputed("validation_loss", run["validation_loss"], kept, SIX_FIGURES * best)


def learned(of: Evidence) -> Iterator[Recomputed]:
    """Recompute whether the run learned, by its best validation loss, unless it failed or trains for no update."""
    run, unigram = of.run, of.data.corpus_of(of.run)["unigram_cross_entropy"]
    if not has_updates(run):
        yield Recomputed("learned", run["learned"], None)
    elif run["status"] != "failed" and of.validation:
        below = min(of.validation.values()) <= LEARNED_BELOW * unigram
        yield Recomputed("learned", run["learned"], int(of.finished and below))


def parameters(of: Evidence) -> Iterator[Recomputed]:
    counts = of.run.get("parameter_counts")
    if counts:
        yield Recomputed("parameters", of.run["parameters"], sum(counts.values()))


@cache
def scorer(references: tuple[tuple[str, ...], ...], tokenizer: str) -> Scorer:
    return Scorer(references, tokenizer)


@cache  # settings share runs
def rescored(
    references: tuple[tuple[str, ...], ...], tokenizer: str, beam: tuple[str, ...], greedy: tuple[str, ...]
) -> dict[str, float | None]:
    return scorer(references, tokenizer)(beam, greedy)


CHECKS: tuple[Callable[[Evidence], Iterator[Recomputed]], ...] = (identity, scores, training, learned, parameters)
