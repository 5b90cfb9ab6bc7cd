"""The Transformer of Vaswani et al. 2017, arXiv:1706.03762, figure 1."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ablate.model.attention import CrossAttention, SelfAttention
from ablate.model.cache import Cache, DecoderCache
from ablate.model.embedding import TiedEmbedding
from ablate.model.feedforward import FeedForward
from ablate.model.wiring import Wiring
from ablate.vocabulary import PAD

Wire = Callable[[nn.Module], Wiring]


class EncoderLayer(nn.Module):
    def __init__(self, wire: Wire, self_attention: SelfAttention, feedforward: FeedForward) -> None:
        super().__init__()
        self.self_attention = wire(self_attention)
        self.feedforward = wire(feedforward)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # [B, S, D]
        return self.feedforward(self.self_attention(x, mask))


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
        memory: Tensor,  # [B, S, D]
        causal: Tensor,
        padding: Tensor,
        caches: tuple[Cache | None, Cache | None] = (None, None),
    ) -> Tensor:
        x = self.self_attention(x, causal, caches[0])
        x = self.cross_attention(x, memory, padding, caches[1])
        return self.feedforward(x)


class Stack(nn.Module):
    """Layers, and after the last one the norm that their wiring asks for."""

    def __init__(self, layers: list[nn.Module], final_norm: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.final_norm = final_norm


class Transformer(nn.Module):
    """Token ids of a source and of a target to the logits of each next target token."""

    def __init__(self, embedding: TiedEmbedding, encoder: Stack, decoder: Stack) -> None:
        super().__init__()
        self.embedding = embedding
        self.encoder = encoder
        self.decoder = decoder

    @property
    def vocabulary_size(self) -> int:
        return self.embedding.table.num_embeddings

    def forward(self, source: Tensor, target: Tensor) -> Tensor:  # [B, S] [B, T] -> [B, T, V]
        return self.decode(target, self.encode(source), source)

    def encode(self, source: Tensor) -> Tensor:  # [B, S] -> [B, S, D]
        padding, x = padding_mask(source), self.embedding(source)
        for layer in self.encoder.layers:
            x = layer(x, padding)
        return self.encoder.final_norm(x)

    def decode(self, target: Tensor, memory: Tensor, source: Tensor, cache: DecoderCache | None = None) -> Tensor:
        """Logits [B, T, V]. With a cache, `target` is what follows the positions that the cache holds."""
        start = cache.length if cache is not None else 0
        causal, padding = causal_mask(start, target), padding_mask(source)
        x = self.embedding(target, start)
        for index, layer in enumerate(self.decoder.layers):
            x = layer(x, memory, causal, padding, cache.layers[index] if cache is not None else (None, None))
        return self.embedding.logits(self.decoder.final_norm(x))


def padding_mask(source: Tensor) -> Tensor:
    """True for the keys that are tokens, [B, 1, 1, S]."""
    return (source != PAD)[:, None, None, :]


def causal_mask(start: int, target: Tensor) -> Tensor:
    """True where a query may see a key: at its own place and before, [T, start + T].

    Padding stands at the end of a target, so no real query can see it.
    """
    length = target.shape[1]
    return torch.ones(length, start + length, dtype=torch.bool, device=target.device).tril(start)
