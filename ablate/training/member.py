"""One member of a study, from its frozen description on disk to its result on disk."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Sequence
from typing import Any

import torch

from ablate.config import LEARNED_BELOW, BadInput, Config, Device
from ablate.data.batches import Batches, EvaluationBatches, first_batch
from ablate.data.corpus import Corpus
from ablate.diagnostics import diagnose, named
from ablate.diagnostics.units import dead_units_over
from ablate.diagnostics.watching import parameter_counts
from ablate.evaluation.losses import mean_loss
from ablate.evaluation.measuring import evaluate, load_model
from ablate.model import build
from ablate.model.architecture import Architecture
from ablate.model.dropout import Dropout
from ablate.model.flops import flops_on
from ablate.model.seeding import Streams
from ablate.store import speeds
from ablate.store.held import HeldRun, Lost
from ablate.store.plain import config_from_plain
from ablate.store.plugin_files import load_described
from ablate.store.run_folder import RunFolder
from ablate.store.schema import VERSION, Task, TrainingResult
from ablate.system.atomic import sweep
from ablate.training import machine
from ablate.training.checkpoints import CHECKPOINTS
from ablate.training.loop import TrainState, train
from ablate.training.meter import COLUMNS, Meter, Row
from ablate.training.objectives import OBJECTIVES
from ablate.training.optimizers import OPTIMIZERS
from ablate.training.request import Request
from ablate.training.resume import APPENDED, Damaged, Resume, packed
from ablate.training.schedule import learning_rate

Teachers = Sequence[Architecture]
DIAGNOSED_PAIRS = 64  # of the validation set, in each look inside the model, at the most


def run_member(folder: RunFolder, wanted: Device) -> None:
    """Do what is missing of a run: train it, evaluate it. A fault is written into its folder and stops no other run."""
    machine.keep_freed_memory()
    machine.use_one_thread()
    machine.commit()  # now, since the code may be edited before the run ends
    with Request() as request:
        while not attempt(folder, wanted, request):
            pass


def attempt(folder: RunFolder, wanted: Device, request: Request) -> bool:
    """One attempt under the run's lock; False where another process has taken over the run meanwhile.

    Two commands may share a run: the second waits for the lock, and finds the run done.
    """
    with folder.lock() as lock:
        sweep(folder.path)  # temporary files of an earlier worker that crashed, perhaps of this very command
        folder.mark_active()
        try:
            complete(HeldRun(folder.path, lock), wanted, request)
        except Lost:
            return False  # the other process writes the result, or what went wrong
        except Exception:
            folder.append("failure.txt", traceback.format_exc().splitlines())
        folder.clear_active()
        return True


def complete(folder: RunFolder, wanted: Device, request: Request) -> None:
    task = folder.task()
    assert task is not None
    load_described(task.plugins)
    config, corpus = config_from_plain(task.config), Corpus.load(task.corpus)
    device = machine.checked_device(wanted, config.precision)
    if not folder.trained(config):
        with request.patience():
            train_member(folder, task, config, corpus, device, request)
    result, task = folder.result(), folder.task() or task  # another command may want its own evaluation meanwhile
    for evaluation, plain in task.evaluations.items():
        if result and result.scorable and folder.scores(evaluation) is None:
            config = config_from_plain(plain)
            tested = corpus.tested_on(config.data.test_sentences, config.evaluation.loss_sentences)
            model = load_model(folder, config, corpus, device)
            folder.write(folder.evaluation_file(evaluation).name, evaluate(model, config, tested, device))


def train_member(
    folder: RunFolder, task: Task, config: Config, corpus: Corpus, device: torch.device, request: Request
) -> None:
    """Train, from where an earlier try was cut short, and leave the curve, the kept weights and result.json.

    At a request to end, leave a checkpoint instead.
    """
    began = time.perf_counter()
    machine.reset_peak_memory(device)
    metadata, updates, seed = corpus.metadata, config.train.updates, task.seed
    batches = Batches(corpus.train, config.train.batch_tokens, device)
    validation = EvaluationBatches(corpus.validation, metadata["vocabulary_size"], device)
    probe = first_batch(corpus.validation, DIAGNOSED_PAIRS, metadata["vocabulary_size"], device)
    validations, measurements = evenly(config.train.validations, updates), evenly(config.diagnostics.times, updates)

    resume, losses = begin(folder, task, config, metadata, device, load_teachers(folder, task, corpus, device))
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
    folder.delete_evaluations()  # of other weights: this run may be trained again, for its diagnostics say
    folder.write_file("weights.pt", packed(model.state_dict()))
    best = min(loss for loss in losses)
    unigram = metadata["unigram_cross_entropy"]
    counts = named(parameter_counts(model))
    measured = bool(config.diagnostics.times) and finished
    result = TrainingResult(
        version=VERSION,
        status="finished" if finished else "diverged",
        scorable=finished and updates > 0,
        learned=None if updates == 0 else int(finished and best <= LEARNED_BELOW * unigram),
        diverged_at=meter.diverged_at,
        updates=updates,
        best_update=checkpoint.update,
        best_validation_loss=best,
        validation_loss=mean_loss(model, validation) if finished else None,
        parameters=sum(counts.values()),
        parameter_counts=counts,
        flops_per_token=flops_on(config.model, metadata),
        peak_memory=machine.peak_memory(device),
        tokens_per_second=meter.tokens_per_second,
        batch_real_share=batches.real_share,
        micro_batches=state.micro_batches,
        diagnostics=[json.loads(line) for line in folder.lines("diagnostics.jsonl")],
        curves=folder.curves(),
        final_dead_units=named(dead_units_over(model, (batch for _, batch in validation))) if measured else None,
        seconds=time.perf_counter() - began,
        provenance={
            **machine.provenance(device, config.precision),
            "corpus_sha256": metadata.get("sha256"),
            "tokenizers": metadata.get("tokenizers"),
        },
    )
    folder.write("result.json", result)
    speeds.record(folder.path.parent, task.config, result)
    resume.finish()


def begin(
    folder: RunFolder, task: Task, config: Config, metadata: dict[str, Any], device: torch.device, teachers: Teachers
) -> tuple[Resume, list[float]]:
    """A run's state and its validation losses: from its checkpoint, or else from its very beginning."""

    def fresh() -> Resume:
        state = initial_state(config, metadata["vocabulary_size"], task.seed, device, teachers)
        return Resume(folder, task, metadata.get("sha256"), state, CHECKPOINTS[config.train.checkpoint](), Meter(write))

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


def load_teachers(folder: RunFolder, task: Task, corpus: Corpus, device: torch.device) -> Teachers:
    """The trained models that a run learns from. Raises BadInput where one is not trained, or has another corpus."""
    found = []
    for parent in task.parents:
        teacher = RunFolder(folder.path.with_name(parent))
        result, taught = teacher.result(), teacher.task()
        if result is None or taught is None or not result.scorable:
            why = "is not trained" if result is None else "has diverged, or was not to be trained"
            raise BadInput(f"its teacher, run {parent}, {why}")
        if taught.corpus != task.corpus:
            raise BadInput(f"its teacher, run {parent}, has another corpus and so another vocabulary")
        load_described(taught.plugins)
        found.append(load_model(teacher, config_from_plain(taught.config), corpus, device))
    return found


def initial_state(
    config: Config, vocabulary_size: int, seed: int, device: torch.device, teachers: Teachers = ()
) -> TrainState:
    """A run before its first update."""
    model, streams = build(config.model, vocabulary_size, seed).to(device), Streams(seed, device)
    seed_dropout(model, streams)
    return TrainState(
        model,
        OPTIMIZERS[config.optim.kind](model.parameters(), config.optim),
        learning_rate(config.optim, config.train.updates),
        OBJECTIVES[config.train.objective](config.train, teachers),
        streams,
        config.optim.clip,
        machine.autocast(config.precision, device),
    )


def seed_dropout(model: Architecture, streams: Streams) -> None:
    """Give each dropout of the model a random stream of its own."""
    for name, module in model.named_modules():
        if isinstance(module, Dropout):
            module.generator = streams[f"dropout/{name}"]


def evenly(times: int, updates: int) -> frozenset[int]:
    """`times` points spread evenly over the updates, the last one among them, and 0; none for no times."""
    return frozenset({0} | {round(k * updates / times) for k in range(1, times + 1)} if times else ())
