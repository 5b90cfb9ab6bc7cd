"""The Transformer of Vaswani et al. 2017, arXiv:1706.03762, figure 1."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ablate.data.vocabulary import PAD
from ablate.model.architecture import Architecture
from ablate.model.attention import CrossAttention, SelfAttention
from ablate.model.embedding import TiedEmbedding
from ablate.model.feedforward import FeedForward
from ablate.model.kv_cache import Cache, DecoderCache
from ablate.model.wiring import Wiring
from ablate.store.parts import Part

Wire = Callable[[nn.Module], Wiring]


class EncoderLayer(nn.Module):
    def __init__(self, wire: Wire, self_attention: SelfAttention, feedforward: FeedForward) -> None:
        super().__init__()
        self.self_attention = wire(self_attention)
        self.feedforward = wire(feedforward)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:  # [B, S, D]
        x = self.self_attention(x, real, padding_mask(real))
        return self.feedforward(x, real)


class DecoderLayer(nn.Module):
    def __init__(
        self, wire: Wire, self_attention: SelfAttention, cross_attention: CrossAttention, feedforward: FeedForward
    ) -> None:
        super().__init__()
        self.self_attention = wire(self_attention)
        self.cross_attention = wire(cross_attention)
        self.feedforward = wire(feedforward)

    def forward(
        self,
        x: Tensor,  # [B, T, D]
        real: Tensor,
        memory: Tensor,  # [A, S, D], where A divides B
        real_memory: Tensor,
        causal: Tensor,
        caches: tuple[Cache | None, Cache | None] = (None, None),
    ) -> Tensor:
        x = self.self_attention(x, real, causal, caches[0])
        # Hypotheses of one source attend to the same keys, so they count as positions of one row here. [B, T] -> [A, K]
        of_source, mask = (len(memory), -1), padding_mask(real_memory)
        attended = self.cross_attention(
            x.reshape(*of_source, x.shape[2]), real.reshape(of_source), memory, mask, caches[1]
        )
        return self.feedforward(attended.view_as(x), real)


class Stack(nn.Module):
    """Layers, and the norm after the last one, which is the identity where the wiring needs none."""

    def __init__(self, layers: list[nn.Module], final_norm: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.final_norm = final_norm


class Transformer(Architecture):
    """An encoder that reads the source, and a decoder that attends to it."""

    def __init__(self, embedding: TiedEmbedding, encoder: Stack, decoder: Stack) -> None:
        super().__init__()
        self.embedding = embedding
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, source: Tensor, target: Tensor) -> Tensor:  # [B, S] [B, T] -> [B, T, V]
        return self.embedding.logits(self.outputs(source, target)["decoder"])

    def outputs(self, source: Tensor, target: Tensor) -> dict[str, Tensor]:
        memory = self.encode(source)
        return {"encoder": memory, "decoder": self.decode(target, memory, source != PAD)}

    def encode(self, source: Tensor) -> Tensor:  # [B, S] -> [B, S, D]
        real, x = source != PAD, self.embedding(source)
        for layer in self.encoder.layers:
            x = layer(x, real)
        return self.encoder.final_norm(x, real)

    def decode(self, target: Tensor, memory: Tensor, real_memory: Tensor, cache: DecoderCache | None = None) -> Tensor:
        """The decoder's output, [B, T, D]. With a cache, `target` begins where the positions in the cache end."""
        start = cache.length if cache is not None else 0
        real, causal, x = target != PAD, causal_mask(start, target), self.embedding(target, start)
        for index, layer in enumerate(self.decoder.layers):
            caches = cache.layers[index] if cache is not None else (None, None)
            x = layer(x, real, memory, real_memory, causal, caches)
        return self.decoder.final_norm(x, real)

    def start(self, source: Tensor) -> Decoding:
        return Decoding(self.encode(source), source != PAD, DecoderCache(len(self.decoder.layers)))

    def step(self, state: Decoding, tokens: Tensor) -> Tensor:  # type: ignore[override]  # its own kind of state
        x = self.decode(tokens[:, None], state.memory, state.real_memory, state.cache)
        return self.embedding.logits(x)[:, -1]

    @property
    def vocabulary_size(self) -> int:
        return self.embedding.table.num_embeddings

    def parts(self) -> dict[Part, nn.Module]:
        found: dict[Part, nn.Module] = {Part("", None, "embedding"): self.embedding}
        for name, stack in (("encoder", self.encoder), ("decoder", self.decoder)):
            for number, layer in enumerate(stack.layers):
                for kind, wired in layer.named_children():
                    assert isinstance(wired, Wiring)
                    found[Part(name, number, kind)] = wired.sublayer
                    found[Part(name, number, f"{kind}.norm")] = wired.norm
            found[Part(name, None, "final_norm")] = stack.final_norm
        return found


class Decoding:
    """What a Transformer keeps between two target tokens: the encoder's output, and keys and values of the decoder.

    What comes from the source is kept once for all hypotheses of a sentence, as long as every sentence has as many.
    """

    def __init__(self, memory: Tensor, real_memory: Tensor, cache: DecoderCache) -> None:
        self.memory, self.real_memory, self.cache = memory, real_memory, cache
        self.source = torch.arange(len(memory), device=memory.device)  # [B]: row of `memory` of each hypothesis

    def select(self, rows: Tensor) -> None:
        sources, counts = torch.unique_consecutive(self.source[rows], return_counts=True)
        if len(counts) and (counts == counts[0]).all():
            self.source = torch.arange(len(sources), device=rows.device).repeat_interleave(counts)
        else:
            sources = self.source[rows]
            self.source = torch.arange(len(sources), device=rows.device)
        self.cache.select_hypotheses(rows)
        if len(sources) != len(self.memory) or (sources.diff() < 1).any():
            self.memory, self.real_memory = self.memory[sources], self.real_memory[sources]
            self.cache.select_sources(sources)


def padding_mask(real: Tensor) -> Tensor:
    """0 at the keys that are tokens, -inf at padding, [B, 1, 1, S]."""
    return additive(real)[:, None, None, :]


def causal_mask(start: int, target: Tensor) -> Tensor:
    """0 where the key is not after the query, -inf elsewhere, [T, start + T].

    Targets are padded at their end, so a real query never sees padding.
    """
    length = target.shape[1]
    return additive(torch.ones(length, start + length, dtype=torch.bool, device=target.device).tril(start))


def additive(allowed: Tensor) -> Tensor:
    """0 where true and -inf where false, to be added to attention scores."""
    return torch.zeros(allowed.shape, device=allowed.device).masked_fill_(~allowed, -torch.inf)
