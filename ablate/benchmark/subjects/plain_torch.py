"""torch.nn.Transformer in a plain loop, as PyTorch's tutorial on language translation writes it.

Embeddings are tied and labels smoothed, so that it is the model that ablate trains; gradients are not clipped. The
tutorial translates greedily, without a cache. The beam search here keeps that: it decodes each prefix anew.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from ablate.benchmark.subjects.own import IMPOSSIBLE, Answer, Asked, Measure, config_of, lengths, parameters, serve
from ablate.config import ModelConfig
from ablate.data.batches import Batches
from ablate.data.corpus import Corpus
from ablate.data.vocabulary import END, PAD, START

LONGEST = 512


class Seq2Seq(nn.Module):
    def __init__(self, config: ModelConfig, vocabulary_size: int) -> None:
        super().__init__()
        d = config.d_model
        self.table = nn.Embedding(vocabulary_size, d, padding_idx=PAD)
        nn.init.normal_(self.table.weight, std=d**-0.5)
        self.transformer = nn.Transformer(
            d, config.heads, config.layers, config.layers, config.d_ffn, config.dropout,
            batch_first=True, norm_first=config.norm_placement == "pre",
        )  # fmt: skip
        self.dropout = nn.Dropout(config.dropout)
        self.register_buffer("positions", sines(LONGEST, d))

    def embed(self, tokens: Tensor) -> Tensor:  # [B, T] -> [B, T, D]
        x = self.table(tokens) * math.sqrt(self.table.embedding_dim)
        return self.dropout(x + self.get_buffer("positions")[: tokens.shape[1]])

    def encode(self, source: Tensor) -> Tensor:
        return self.transformer.encoder(self.embed(source), src_key_padding_mask=source == PAD)

    def decode(self, target: Tensor, memory: Tensor, source: Tensor) -> Tensor:  # the decoder's output, [B, T, D]
        causal = torch.ones(target.shape[1], target.shape[1], dtype=torch.bool).triu(1)
        return self.transformer.decoder(
            self.embed(target), memory, causal, tgt_key_padding_mask=target == PAD,
            memory_key_padding_mask=source == PAD,
        )  # fmt: skip

    def logits(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.table.weight)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        return self.logits(self.decode(target, self.encode(source), source))


def sines(length: int, width: int) -> Tensor:
    rates = torch.exp(-torch.arange(0, width, 2) * math.log(10000) / width)
    angles = torch.arange(length)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def prepare(asked: Asked) -> Measure:
    return {"training": training, "translation": translation}[asked["task"]](asked)


def training(asked: Asked) -> Measure:
    config, corpus = config_of(asked), Corpus.load(asked["corpus"])
    model = Seq2Seq(config.model, corpus.metadata["vocabulary_size"]).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, betas=(0.9, 0.98), eps=1e-9)
    loss_of = nn.CrossEntropyLoss(ignore_index=PAD, label_smoothing=config.train.label_smoothing)
    batches = token_batches(asked, corpus) if asked["our_batches"] else sentence_batches(asked, corpus)

    def updates(count: int) -> int:
        tokens = 0
        for _ in range(count):
            source, target = next(batches)
            logits, labels = model(source, target[:, :-1]), target[:, 1:]
            optimizer.zero_grad()
            loss = loss_of(logits.flatten(0, 1), labels.flatten())
            loss.backward()
            optimizer.step()
            loss.item()
            tokens += int((labels != PAD).sum())
        return tokens

    updates(asked["warmup"])

    def measure() -> Answer:
        began = time.perf_counter()
        tokens = updates(asked["updates"])
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "tokens": tokens, "parameters": parameters(model), **threads()}

    return measure


def token_batches(asked: Asked, corpus: Corpus) -> Iterator[tuple[Tensor, Tensor]]:
    """ablate's batches: of one number of target tokens, in few shapes."""
    batches, update = Batches(corpus.train, asked["train"]["batch_tokens"], torch.device("cpu")), 0
    while True:
        batch = batches.at(update, seed=0)
        update += 1
        yield batch.source, batch.target


def sentence_batches(asked: Asked, corpus: Corpus) -> Iterator[tuple[Tensor, Tensor]]:
    """The tutorial's batches: a fixed number of sentences in random order, padded to the longest of them."""
    torch.manual_seed(0)

    def collate(rows: list[int]) -> tuple[Tensor, Tensor]:
        pairs = [corpus.train.pair(row) for row in rows]
        return padded([source for source, _ in pairs]), padded([target for _, target in pairs])

    loader: Any = DataLoader(
        range(len(corpus.train)),  # type: ignore[arg-type]  # a sequence serves as a data set
        batch_size=asked["batch_sentences"], shuffle=True, collate_fn=collate,
    )  # fmt: skip
    while True:
        yield from loader


def padded(sequences: list[np.ndarray]) -> Tensor:
    tensors = [torch.from_numpy(np.asarray(sequence, dtype=np.int64)) for sequence in sequences]
    return pad_sequence(tensors, batch_first=True, padding_value=PAD)


def translation(asked: Asked) -> Measure:
    corpus = Corpus.load(asked["corpus"])
    model = Seq2Seq(config_of(asked).model, corpus.metadata["vocabulary_size"]).eval()
    batches = source_batches(asked, corpus)

    def run(chosen: list[Tensor]) -> list[list[int]]:
        return [found for source in chosen for found in beam_search(model, source, asked["beam"], asked["length"])]

    run([batches[0][:2]])

    def measure() -> Answer:
        began = time.perf_counter()
        hypotheses = run(batches)
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "sentences": len(hypotheses), "lengths": lengths(hypotheses), **threads()}

    return measure


def source_batches(asked: Asked, corpus: Corpus) -> list[Tensor]:
    """Test sources, in the order of the corpus; with `our_batches` by length and in batches as large as ablate's."""
    sources = list(corpus.test_sources[: asked["sentences"]])
    rows = asked["batch_sentences"]
    if asked["our_batches"]:
        sources, rows = sorted(sources, key=len), asked["decoded_together"]
    return [padded(sources[start:end]) for start, end in pairwise([*range(0, len(sources), rows), len(sources)])]


@torch.inference_mode()
def beam_search(model: Seq2Seq, source: Tensor, beam: int, length: int) -> list[list[int]]:
    """Hypotheses of exactly `length` tokens, `</s>` counted."""
    rows = len(source)
    source = source.repeat_interleave(beam, dim=0)
    memory = model.encode(source)
    tokens = torch.full((rows * beam, 1), START)
    scores = torch.full((rows, beam), IMPOSSIBLE)
    scores[:, 0] = 0
    for _ in range(length - 1):
        log_p = torch.log_softmax(model.logits(model.decode(tokens, memory, source)[:, -1]), dim=-1)
        log_p[:, [PAD, START, END]] = IMPOSSIBLE
        candidates = (scores[:, :, None] + log_p.unflatten(0, (rows, beam))).flatten(1)
        scores, flat = candidates.topk(beam, dim=1)
        parent, token = flat // log_p.shape[-1], flat % log_p.shape[-1]
        chosen = (parent + beam * torch.arange(rows)[:, None]).flatten()
        tokens = torch.cat([tokens[chosen], token.flatten()[:, None]], dim=1)
    last = torch.log_softmax(model.logits(model.decode(tokens, memory, source)[:, -1]), dim=-1)[:, END]
    best = (scores + last.unflatten(0, (rows, beam))).argmax(1)
    return tokens.unflatten(0, (rows, beam))[torch.arange(rows), best, 1:].tolist()


def threads() -> Answer:
    return {"threads": torch.get_num_threads()}


if __name__ == "__main__":
    serve(prepare)
