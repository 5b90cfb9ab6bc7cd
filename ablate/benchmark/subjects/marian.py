"""transformers' MarianMTModel with its Trainer, and its `generate`. Marian has no pre-norm, so its norms come after."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset
from transformers import MarianConfig, MarianMTModel, Trainer, TrainerCallback, TrainingArguments

from ablate.benchmark.subjects.own import Answer, Asked, Measure, config_of, lengths, parameters, serve
from ablate.benchmark.subjects.plain_torch import padded, source_batches, threads, token_batches
from ablate.data.corpus import Corpus
from ablate.data.vocabulary import END, PAD

IGNORED = -100  # the label that transformers leaves out of the loss


def build(asked: Asked, vocabulary_size: int) -> Any:
    config = config_of(asked).model
    return MarianMTModel(
        MarianConfig(
            vocab_size=vocabulary_size,
            d_model=config.d_model,
            encoder_layers=config.layers,
            decoder_layers=config.layers,
            encoder_attention_heads=config.heads,
            decoder_attention_heads=config.heads,
            encoder_ffn_dim=config.d_ffn,
            decoder_ffn_dim=config.d_ffn,
            dropout=config.dropout,
            activation_function=config.activation,
            scale_embedding=True,
            pad_token_id=PAD,
            eos_token_id=END,
            forced_eos_token_id=END,
            decoder_start_token_id=PAD,
        )
    )


def prepare(asked: Asked) -> Measure:
    return {"training": training, "translation": translation}[asked["task"]](asked)


def training(asked: Asked) -> Measure:
    """The Trainer runs warm-up and measured updates in one go; the clock is read between them."""
    corpus = Corpus.load(asked["corpus"])
    model = build(asked, corpus.metadata["vocabulary_size"])

    def measure() -> Answer:
        clock = Clock(asked["warmup"], asked["updates"])
        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                folder,
                max_steps=asked["warmup"] + asked["updates"],
                per_device_train_batch_size=asked["batch_sentences"],
                label_smoothing_factor=config_of(asked).train.label_smoothing,
                learning_rate=1e-4,
                logging_strategy="no",
                save_strategy="no",
                report_to="none",
                use_cpu=True,
                disable_tqdm=True,
                remove_unused_columns=False,
                accelerator_config={"dispatch_batches": False},
            )
            trainer(model, arguments, asked, corpus, clock).train()
        seconds = clock.ended - clock.began
        return {"seconds": seconds, "tokens": sum(clock.tokens), "parameters": parameters(model), **threads()}

    return measure


class Clock(TrainerCallback):
    def __init__(self, warmup: int, updates: int) -> None:
        self.warmup, self.updates = warmup, updates
        self.steps, self.began, self.ended = 0, 0.0, 0.0
        self.tokens: list[int] = []

    def on_step_end(self, *arguments: Any, **more: Any) -> None:
        self.steps += 1
        if self.steps == self.warmup:
            self.began = time.perf_counter()
        if self.steps == self.warmup + self.updates:
            self.ended = time.perf_counter()

    def count(self, labels: Tensor) -> None:
        if self.warmup <= self.steps < self.warmup + self.updates:
            self.tokens.append(int((labels != IGNORED).sum()))


def trainer(model: Any, arguments: Any, asked: Asked, corpus: Corpus, clock: Clock) -> Any:
    class Counting(Trainer):
        def training_step(self, model: Any, inputs: Any, *more: Any) -> Any:
            clock.count(inputs["labels"])
            return super().training_step(model, inputs, *more)

        def get_train_dataloader(self) -> Any:
            if not asked["our_batches"]:
                return super().get_train_dataloader()
            return DataLoader(OurBatches(asked, corpus), batch_size=None)

    rows: Any = range(len(corpus.train))

    def collate(rows: list[int]) -> dict[str, Tensor]:
        pairs = [corpus.train.pair(row) for row in rows]
        return inputs_of(padded([source for source, _ in pairs]), padded([target for _, target in pairs]))

    return Counting(model, arguments, data_collator=collate, train_dataset=rows, callbacks=[clock])


class OurBatches(IterableDataset):  # type: ignore[type-arg]
    def __init__(self, asked: Asked, corpus: Corpus) -> None:
        self.asked, self.corpus = asked, corpus

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for source, target in token_batches(self.asked, self.corpus):
            yield inputs_of(source, target)


def inputs_of(source: Tensor, target: Tensor) -> dict[str, Tensor]:
    """What transformers' own collator makes for sequences: the decoder's input is the labels, shifted by `<pad>`."""
    labels = target[:, 1:]
    shifted = torch.cat([torch.full_like(labels[:, :1], PAD), labels[:, :-1]], dim=1)
    return {
        "input_ids": source,
        "attention_mask": (source != PAD).long(),
        "decoder_input_ids": shifted,
        "labels": labels.masked_fill(labels == PAD, IGNORED),
    }


def translation(asked: Asked) -> Measure:
    corpus = Corpus.load(asked["corpus"])
    torch.manual_seed(0)
    model = build(asked, corpus.metadata["vocabulary_size"]).eval()
    batches, length = source_batches(asked, corpus), asked["length"]

    def run(chosen: list[Tensor]) -> list[list[int]]:
        found: list[list[int]] = []
        for source in chosen:
            with torch.inference_mode():
                hypotheses = model.generate(
                    input_ids=source, attention_mask=(source != PAD).long(), num_beams=asked["beam"],
                    min_new_tokens=length, max_new_tokens=length, bad_words_ids=[[PAD]],
                )  # fmt: skip
            found += hypotheses[:, 1:].tolist()
        return found

    run([batches[0][:2]])

    def measure() -> Answer:
        began = time.perf_counter()
        hypotheses = run(batches)
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "sentences": len(hypotheses), "lengths": lengths(hypotheses), **threads()}

    return measure


if __name__ == "__main__":
    serve(prepare)
