"""JoeyNMT with its own training loop, batches and beam search, on the same token ids written as words."""

from __future__ import annotations

import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from joeynmt.batch import Batch
from joeynmt.config import parse_global_args, set_validation_args
from joeynmt.prediction import prepare as joey_prepare
from joeynmt.search import search
from joeynmt.training import TrainManager

from ablate.benchmark.subjects.own import Answer, Asked, Measure, config_of, lengths, parameters, serve
from ablate.benchmark.subjects.plain_torch import source_batches, threads
from ablate.data.corpus import Corpus, Pairs
from ablate.data.vocabulary import END, PAD, START

SPECIALS = 4  # ids below are special tokens, in JoeyNMT's order: <unk> <pad> <s> </s>
JOEY_PAD, JOEY_END = 1, 3


def prepare(asked: Asked) -> Measure:
    logging.disable(logging.WARNING)
    corpus = Corpus.load(asked["corpus"])
    folder = tempfile.TemporaryDirectory()
    write(Path(folder.name), corpus)
    arguments = parse_global_args(settings(asked, Path(folder.name)), rank=0, mode="train")
    model, train, validation, _ = joey_prepare(arguments, rank=0, mode="train")
    if asked["task"] == "translation":
        return translation(asked, corpus, model)
    manager = Timed(asked["warmup"], model, arguments)

    def measure() -> Answer:
        manager.train_and_validate(train_data=train, valid_data=validation)
        seconds = time.perf_counter() - manager.began
        folder.cleanup()
        tokens = sum(manager.tokens[asked["warmup"] :])
        return {"seconds": seconds, "tokens": tokens, "parameters": parameters(model), **threads()}

    return measure


class Timed(TrainManager):
    """Reads the clock after the warm-up, and counts target tokens. Closes before the last checkpoint is written."""

    def __init__(self, warmup: int, model: Any, arguments: Any) -> None:
        super().__init__(
            rank=0, model=model, model_dir=arguments.model_dir, device=arguments.device, autocast=arguments.autocast,
            seed=arguments.seed, train_args=arguments.train, dev_args=set_validation_args(arguments.test),
        )  # fmt: skip
        self.warmup, self.began = warmup, 0.0
        self.tokens: list[int] = []

    def _train_step(self, batch: Any) -> Any:
        if len(self.tokens) == self.warmup:
            self.began = time.perf_counter()
        self.tokens.append(batch.ntokens)
        return super()._train_step(batch)

    def _save_checkpoint(self, *arguments: Any) -> None:
        """No checkpoint is part of what is timed."""


def write(folder: Path, corpus: Corpus) -> None:
    """The corpus as JoeyNMT reads it: a word for each token id."""
    for name, pairs in (("train", corpus.train), ("dev", corpus.validation.first(8))):
        for side, which in (("src", 0), ("trg", 1)):
            lines = "".join(f"{words(pairs, row, which)}\n" for row in range(len(pairs)))
            (folder / f"{name}.{side}").write_text(lines, encoding="utf-8")
    names = "".join(f"t{token}\n" for token in range(SPECIALS, corpus.metadata["vocabulary_size"]))
    (folder / "vocabulary.txt").write_text(names, encoding="utf-8")


def words(pairs: Pairs, row: int, side: int) -> str:
    return " ".join(f"t{token}" for token in pairs.pair(row)[side] if token not in (PAD, START, END))


def settings(asked: Asked, folder: Path) -> dict[str, Any]:
    config = config_of(asked)
    model = config.model
    side = {"level": "word", "voc_file": str(folder / "vocabulary.txt"), "max_length": 200}
    stack = {
        "type": "transformer",
        "num_layers": model.layers,
        "num_heads": model.heads,
        "embeddings": {"embedding_dim": model.d_model, "scale": True, "dropout": model.dropout},
        "hidden_size": model.d_model,
        "ff_size": model.d_ffn,
        "dropout": model.dropout,
        "layer_norm": model.norm_placement,
        "activation": model.activation,
    }
    return {
        "name": "benchmark",
        "model_dir": str(folder),
        "use_cuda": False,
        "data": {
            "train": str(folder / "train"),
            "dev": str(folder / "dev"),
            "dataset_type": "plain",
            "src": {"lang": "src", **side},
            "trg": {"lang": "trg", **side},
        },
        "testing": {"beam_size": asked.get("beam", 1)},
        "training": {
            "optimizer": "adamw",
            "learning_rate": 1e-4,
            "scheduling": "noam",  # its default, plateau, fails with torch 2.7 and later
            "learning_rate_factor": 0.1,
            "label_smoothing": config.train.label_smoothing,
            "normalization": "tokens",
            "clip_grad_norm": config.optim.clip,
            "batch_size": asked["batch_sentences"],
            "batch_type": "sentence",
            "epochs": 1000,
            "updates": asked.get("warmup", 0) + asked.get("updates", 0),
            "validation_freq": 10**9,
            "logging_freq": 100,
        },
        "model": {"tied_embeddings": True, "tied_softmax": True, "encoder": stack, "decoder": stack},
    }


def translation(asked: Asked, corpus: Corpus, model: Any) -> Measure:
    model.eval()
    batches, length = [joey_ids(source) for source in source_batches(asked, corpus)], asked["length"]

    def run(chosen: list[torch.Tensor]) -> list[list[int]]:
        found: list[list[int]] = []
        for source in chosen:
            batch = Batch(
                src=source,
                src_length=(source != JOEY_PAD).sum(1),
                src_prompt_mask=None,
                trg=None,
                trg_prompt_mask=None,
                indices=torch.arange(len(source)),
                device=source.device,
                pad_index=JOEY_PAD,
                eos_index=JOEY_END,
                is_train=False,
            )
            output, *_ = search(
                model=model, batch=batch, max_output_length=length, min_output_length=length,
                beam_size=asked["beam"], beam_alpha=1.0,
            )  # fmt: skip
            found += output.tolist()
        return found

    run([batches[0][:2]])

    def measure() -> Answer:
        began = time.perf_counter()
        hypotheses = run(batches)
        seconds = time.perf_counter() - began
        found = [length - 1 for length in lengths(hypotheses, JOEY_END, JOEY_PAD)]  # they are cut, before any </s>
        return {"seconds": seconds, "sentences": len(hypotheses), "lengths": found, **threads()}

    return measure


def joey_ids(tokens: torch.Tensor) -> torch.Tensor:
    return torch.where(tokens < SPECIALS, (tokens + 1) % SPECIALS, tokens)


if __name__ == "__main__":
    serve(prepare)
