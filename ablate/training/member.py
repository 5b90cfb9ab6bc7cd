"""One member of a study, from its frozen description on disk to its result on disk."""

from __future__ import annotations

import json
import math
import time
import traceback
from typing import Any

import torch

from ablate.config import LEARNED_BELOW, BadInput, Config, Device
from ablate.data.batches import Batches, EvaluationBatches, first_batch
from ablate.data.corpus import Corpus
from ablate.diagnostics import diagnose, named
from ablate.diagnostics.units import dead_units_over
from ablate.diagnostics.watching import parameter_counts
from ablate.evaluation.decoding import translate
from ablate.evaluation.losses import mean_loss, pair_losses
from ablate.evaluation.scores import Scorer
from ablate.model import build
from ablate.model.architecture import Architecture
from ablate.model.dropout import Dropout
from ablate.model.flops import flops_per_token
from ablate.model.seeding import Streams
from ablate.store.folders import RunFolder
from ablate.store.ids import bleu_tokenizer, evaluation_id, scoring
from ablate.store.plain import config_from_plain
from ablate.store.plugin_files import load_described
from ablate.system.atomic import sweep, write_atomic
from ablate.training import machine
from ablate.training.checkpoints import CHECKPOINTS
from ablate.training.loop import TrainState, train
from ablate.training.meter import COLUMNS, Meter, Row
from ablate.training.objectives import OBJECTIVES
from ablate.training.optimizers import OPTIMIZERS
from ablate.training.request import Request
from ablate.training.resume import APPENDED, Damaged, Resume, packed
from ablate.training.schedule import learning_rate

DIAGNOSED_PAIRS = 64  # of the validation set, in each look inside the model, at the most


def run_member(folder: RunFolder, wanted: Device) -> None:
    """Do what is missing of a run: train it, score it. A fault ends up in its folder, not in its neighbours' way."""
    machine.keep_freed_memory()
    machine.use_one_thread()
    machine.commit()  # of the code as it is now, whatever becomes of it until the run ends
    with Request() as request, folder.lock():  # two commands may share a run: the second finds it done
        sweep(folder.path)  # what an earlier worker died at, which may be one of this very command
        folder.enter()
        try:
            complete(folder, machine.choose_device(wanted), request)
        except Exception:
            folder.append("failure.txt", traceback.format_exc().splitlines())
        folder.left()


def complete(folder: RunFolder, device: torch.device, request: Request) -> None:
    frozen = folder.read("run.json")
    assert frozen is not None
    load_described(frozen.get("plugins", ()))
    config, corpus = config_from_plain(frozen["config"]), Corpus.load(frozen["corpus"])
    if not folder.trained(config):
        with request.patience():
            train_member(folder, frozen, config, corpus, device, request)
    frozen = folder.read("run.json") or frozen  # another command may have asked for its own scores meanwhile
    for evaluation in frozen["evaluations"].values():
        config = config_from_plain({**frozen["config"], "evaluation": evaluation})
        if not folder.done(config):
            score_member(folder, config, corpus, device)


def train_member(
    folder: RunFolder, frozen: dict[str, Any], config: Config, corpus: Corpus, device: torch.device, request: Request
) -> None:
    """Train, from where an earlier try was cut short, and leave the curve, the kept weights and result.json.

    At a request to end, leave a checkpoint instead.
    """
    began = time.perf_counter()
    machine.reset_peak_memory(device)
    metadata, updates, seed = corpus.metadata, config.train.updates, int(frozen["seed"])
    batches = Batches(corpus.train, config.train.batch_tokens, device)
    validation = EvaluationBatches(corpus.validation, metadata["vocabulary_size"], device)
    probe = first_batch(corpus.validation, DIAGNOSED_PAIRS, metadata["vocabulary_size"], device)
    validations, measurements = evenly(config.train.validations, updates), evenly(config.diagnostics.times, updates)

    resume, losses = begin(folder, frozen, config, metadata["vocabulary_size"], device)
    state, checkpoint, meter, model = resume.state, resume.kept, resume.meter, resume.state.model
    resumed_at = state.update if losses else None  # the pause at this update was done before the cut

    def pause(update: int) -> None:
        if update == resumed_at:
            return
        if update in validations:
            losses.append(mean_loss(model, validation))
            folder.append("validation.csv", [f"{update},{losses[-1]:.7g}"])
            if update > 0 or updates == 0:  # what has not been trained is no checkpoint
                checkpoint.offer(model, update, losses[-1])
        if update in measurements:
            folder.append("diagnostics.jsonl", [json.dumps({"update": update, **diagnose(model, probe)})])
        if 0 < update < updates:
            resume.save(losses)

    train(state, batches, seed, updates, validations | measurements, pause, meter, request.made)
    if request.made() and meter.diverged_at is None:
        resume.save(losses, now=True)
        request.grant()

    finished = meter.diverged_at is None
    model.load_state_dict(checkpoint.weights() or model.state_dict())  # a run may diverge before its first validation
    write_atomic(folder.file("weights.pt"), packed(model.state_dict()))
    best = min(loss for loss in losses)
    unigram = metadata["unigram_cross_entropy"]
    counts = named(parameter_counts(model))
    lengths = math.ceil(metadata["mean_source"]), math.ceil(metadata["mean_target"])
    measured = bool(config.diagnostics.times) and finished
    result: dict[str, Any] = {
        "status": "finished" if finished else "diverged",
        "scorable": finished and updates > 0,
        "learned": None if updates == 0 else int(finished and best <= LEARNED_BELOW * unigram),
        "diverged_at": meter.diverged_at,
        "updates": updates,
        "best_update": checkpoint.update,
        "best_validation_loss": best,
        "validation_loss": mean_loss(model, validation) if finished else None,
        "parameters": sum(counts.values()),
        "parameter_counts": counts,
        "flops_per_token": flops_per_token(config.model, metadata["vocabulary_size"], *lengths),
        "peak_memory": machine.peak_memory(device),
        "tokens_per_second": meter.tokens_per_second,
        "batch_real_share": batches.real_share,
        "micro_batches": state.micro_batches,
        "diagnostics": [json.loads(line) for line in folder.lines("diagnostics.jsonl")],
        "curves": folder.curves(),
        "final_dead_units": named(dead_units_over(model, (batch for _, batch in validation))) if measured else None,
        "seconds": time.perf_counter() - began,
        "provenance": machine.provenance(device, config.precision),
    }
    folder.write("result.json", result)
    resume.finish()


def begin(
    folder: RunFolder, frozen: dict[str, Any], config: Config, vocabulary_size: int, device: torch.device
) -> tuple[Resume, list[float]]:
    """A run's state and its validation losses: as its checkpoint has them, or else at its very beginning."""

    def fresh() -> Resume:
        state = initial_state(config, vocabulary_size, frozen["seed"], device)
        return Resume(folder, frozen, state, CHECKPOINTS[config.train.checkpoint](), Meter(write))

    def write(rows: list[Row]) -> None:
        folder.append("curve.csv", (",".join(f"{value:.7g}" for value in row) for row in rows))

    resume = fresh()
    try:
        losses = resume.load()
    except Damaged as error:
        resume.set_aside(error)
        resume, losses = fresh(), None
    if losses is None:
        for name in APPENDED:
            folder.file(name).unlink(missing_ok=True)  # of a try that was cut short
        folder.append("curve.csv", [",".join(COLUMNS)])
        folder.append("validation.csv", ["update,loss"])
    return resume, losses or []


def initial_state(config: Config, vocabulary_size: int, seed: int, device: torch.device) -> TrainState:
    """A run before its first update."""
    model, streams = build(config.model, vocabulary_size, seed).to(device), Streams(seed, device)
    seed_dropout(model, streams)
    return TrainState(
        model,
        OPTIMIZERS[config.optim.kind](model.parameters(), config.optim),
        learning_rate(config.optim, config.train.updates),
        OBJECTIVES[config.train.objective](config.train),
        streams,
        config.optim.clip,
        machine.autocast(config.precision, device),
    )


def score_member(folder: RunFolder, config: Config, corpus: Corpus, device: torch.device) -> None:
    """Translate the test set with the kept weights, and leave result-<evaluation>.json."""
    began = time.perf_counter()
    model = load_model(folder, config, corpus, device)
    best, greedy = (
        corpus.tokenizer.decode_batch(translate(model, corpus.test_sources, beam, config.evaluation.length_penalty))
        for beam in (config.evaluation.beam, 1)
    )
    losses, tokens = pair_losses(model, EvaluationBatches(corpus.test, model.vocabulary_size, device))
    scorer = Scorer(corpus.references, bleu_tokenizer(config))
    scores = {
        **scorer(best, greedy),
        **({"unmeasured": scorer.unmeasured} if scorer.unmeasured else {}),
        "test_loss": sum(losses) / sum(tokens),
        "signatures": scorer.signatures(),
        "evaluation": scoring(config),
        "seconds": time.perf_counter() - began,
        "beam": best,
        "greedy": greedy,
        "loss": [round(loss, 4) for loss in losses],
        "tokens": tokens,
    }
    folder.write(f"result-{evaluation_id(config)}.json", scores)


def load_model(folder: RunFolder, config: Config, corpus: Corpus, device: torch.device) -> Architecture:
    """The trained model of a run, in evaluation mode. Raises BadInput."""
    if not folder.weights_are_whole():
        raise BadInput(
            f"{folder.file('weights.pt')} is damaged or gone: without its folder, the study trains run {folder.id} anew"
        )
    model = build(config.model, corpus.metadata["vocabulary_size"]).to(device)
    model.load_state_dict(torch.load(folder.file("weights.pt"), map_location=device, weights_only=True))
    return model.eval()


def seed_dropout(model: Architecture, streams: Streams) -> None:
    """Give each dropout of the model a random stream of its own."""
    for name, module in model.named_modules():
        if isinstance(module, Dropout):
            module.generator = streams[f"dropout/{name}"]


def evenly(times: int, updates: int) -> frozenset[int]:
    """`times` points spread evenly over the updates, the last one among them, and 0; none for no times."""
    return frozenset({0} | {round(k * updates / times) for k in range(1, times + 1)} if times else ())
