"""ablate itself. It imports nothing of `ablate.benchmark`, so that it can also time another checkout of ablate.

Every subject is a program with one protocol: a line of JSON comes in, the subject builds and warms up, prints READY,
waits for another line, measures, and prints a line of JSON. So several processes can begin to measure together.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

import ablate
from ablate.config import Config, Precision
from ablate.data.batches import Batches
from ablate.data.corpus import Corpus
from ablate.data.vocabulary import END, PAD
from ablate.evaluation.decoding import translate
from ablate.model import build
from ablate.training import machine
from ablate.training.loop import TrainState, step
from ablate.training.member import initial_state

READY = "READY"
IMPOSSIBLE = -1e9
FLUSH = 25  # updates after which the losses are read, as the training loop does

Asked = dict[str, Any]
Answer = dict[str, Any]
Measure = Callable[[], Answer]


def serve(prepare: Callable[[Asked], Measure]) -> None:
    """The protocol. Libraries may print what they like before READY; the answer is the last line."""
    measure = prepare(json.loads(sys.stdin.readline()))
    print(f"\n{READY}", flush=True)
    sys.stdin.readline()
    print(f"\n{json.dumps(measure())}", flush=True)


def prepare(asked: Asked) -> Measure:
    machine.keep_freed_memory()
    machine.use_one_thread()
    return TASKS[asked["task"]](asked)


def training(asked: Asked) -> Measure:
    """`runs` trainings one after another, as a worker of a study does them, each of so many updates."""
    device = torch.device(asked["device"])
    config, corpus = config_of(asked), Corpus.load(asked["corpus"])
    batches = Batches(corpus.train, config.train.batch_tokens, device)
    size = corpus.metadata["vocabulary_size"]

    def fresh(seed: int) -> TrainState:
        return initial_state(config, size, seed, device)

    updates_of(fresh(0), batches, 0, asked["warmup"])

    def measure() -> Answer:
        machine.reset_peak_memory(device)
        tokens, began = 0, time.perf_counter()
        for seed in range(asked["first_seed"], asked["first_seed"] + asked["runs"]):
            tokens += updates_of(fresh(seed), batches, seed, asked["updates"])
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - began
        memory = machine.peak_memory(device)
        return {"seconds": seconds, "tokens": tokens, "memory": memory, "real_share": batches.real_share, **origin()}

    return measure


def updates_of(state: TrainState, batches: Batches, seed: int, updates: int) -> int:
    """Train for so many updates; their target tokens. Losses are read every few updates, as in a run."""
    waiting: list[Tensor] = []
    tokens = 0.0
    for update in range(updates):
        waiting.append(step(state, batches.at(update, seed)))
        if len(waiting) == FLUSH or update + 1 == updates:
            tokens += torch.stack(waiting)[:, 2].sum().item()
            waiting = []
    return int(tokens)


def translation(asked: Asked) -> Measure:
    """Beam search over test sentences with an untrained model, `length` tokens for each (`fix_length`)."""
    corpus, config = Corpus.load(asked["corpus"]), config_of(asked)
    model = build(config.model, corpus.metadata["vocabulary_size"], seed=0).to(asked["device"]).eval()
    fix_length(model, asked["length"])
    sources = corpus.test_sources[: asked["sentences"]]
    translate(model, sources[:: max(1, len(sources) // 50)], asked["beam"])

    def measure() -> Answer:
        began = time.perf_counter()
        hypotheses = translate(model, sources, asked["beam"])
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "sentences": len(sources), "lengths": lengths(hypotheses), **origin()}

    return measure


def fix_length(model: Any, length: int) -> None:
    """Make `</s>` impossible before token number `length` of a hypothesis, and the only choice there."""
    start, step_of_model, done = model.start, model.step, [0]

    def counted_start(*arguments: Any) -> Any:
        done[0] = 0
        return start(*arguments)

    def masked_step(*arguments: Any) -> Tensor:
        logits = step_of_model(*arguments)
        done[0] += 1
        if done[0] < length:
            logits[:, END] = IMPOSSIBLE
        else:
            logits.fill_(IMPOSSIBLE)
            logits[:, END] = 0
        return logits

    model.start, model.step = counted_start, masked_step


def lengths(hypotheses: list[list[int]], end: int = END, pad: int = PAD) -> list[int]:
    """The distinct lengths of hypotheses, `</s>` counted, whether it was kept in them or not."""
    return sorted({len([token for token in tokens if token not in (end, pad)]) + 1 for tokens in hypotheses})


def config_of(asked: Asked) -> Config:
    """The default configuration with the keys that the benchmark sets."""
    config = Config()
    model, train = replace(config.model, **asked["model"]), replace(config.train, **asked["train"])
    return replace(config, model=model, train=train, precision=Precision[asked["precision"]])


def origin() -> Answer:
    """Which ablate was measured."""
    return {"ablate": str(ablate.__file__), **machine.commit()}


def parameters(model: nn.Module) -> int:
    return sum(each.numel() for each in model.parameters() if each.requires_grad)


TASKS: dict[str, Callable[[Asked], Measure]] = {"training": training, "translation": translation}

if __name__ == "__main__":
    serve(prepare)
