"""A recurrent encoder-decoder with attention.  Sutskever et al. 2014, arXiv:1409.3215; Luong et al. 2015,
arXiv:1508.04025 (global attention, `general` scores, no input feeding)."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor, nn

from ablate.data.vocabulary import PAD
from ablate.model.architecture import Architecture
from ablate.model.dropout import Dropout
from ablate.model.embedding import TiedEmbedding
from ablate.store.parts import Part

Memory: TypeAlias = tuple[Tensor, Tensor]  # hidden and cell state, each [B, D]


class Layer(nn.Module):
    """One LSTM (Hochreiter and Schmidhuber 1997) with dropout on its input.

    Padding stands at the end, so it reaches no state of a token before it.
    """

    def __init__(self, d_in: int, d_out: int, dropout: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.lstm = nn.LSTM(d_in, d_out, batch_first=True)

    def forward(self, x: Tensor, memory: Memory | None = None) -> tuple[Tensor, Memory]:  # [B, T, d_in]
        states = None if memory is None else (memory[0][None].contiguous(), memory[1][None].contiguous())
        outputs, (hidden, cell) = self.lstm(self.dropout(x), states)
        return outputs, (hidden[0], cell[0])


class Encoder(nn.Module):
    """Layers of which each reads in both directions, half of the width each."""

    def __init__(self, d_model: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.forwards = nn.ModuleList(Layer(d_model, d_model // 2, dropout) for _ in range(layers))
        self.backwards = nn.ModuleList(Layer(d_model, d_model // 2, dropout) for _ in range(layers))

    def forward(self, x: Tensor, real: Tensor) -> Tensor:  # [B, S, D]
        backwards = reversal(real)
        for onward, back in zip(self.forwards, self.backwards):
            x = torch.cat([onward(x)[0], turned(back(turned(x, backwards))[0], backwards)], dim=-1)
        return x


class Decoder(nn.Module):
    """Layers that read the target from left to right."""

    def __init__(self, d_model: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.bridge = nn.Linear(d_model, 2 * d_model * layers)
        self.layers = nn.ModuleList(Layer(d_model, d_model, dropout) for _ in range(layers))

    def begin(self, encoded: Tensor, real: Tensor) -> list[Memory]:
        """The memory of each layer before the first token, from the mean of what was encoded [B, S, D]."""
        mean = (encoded * real[..., None]).sum(1) / real.sum(1, keepdim=True)
        states = torch.tanh(self.bridge(mean)).chunk(2 * len(self.layers), dim=-1)
        return list(zip(states[::2], states[1::2]))

    def forward(self, x: Tensor, memories: list[Memory]) -> tuple[Tensor, list[Memory]]:  # [B, T, D]
        after = []
        for layer, memory in zip(self.layers, memories):
            x, memory = layer(x, memory)
            after.append(memory)
        return x, after


class Attention(nn.Module):
    """tanh(W [context; h]), the context weighted by softmax(h^T W_a memory) over the source's tokens."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.score = nn.Linear(d_model, d_model)
        self.output = nn.Linear(2 * d_model, d_model)

    def forward(self, h: Tensor, encoded: Tensor, real: Tensor) -> Tensor:  # [B, T, D], [B, S, D], [B, S]
        scores = self.score(h) @ encoded.transpose(1, 2)
        weights = torch.softmax(scores.masked_fill(~real[:, None, :], -torch.inf), dim=-1)
        return torch.tanh(self.output(torch.cat([weights @ encoded, h], dim=-1)))


class Lstm(Architecture):
    """It shares embeddings, loop, decoding and diagnostics with the Transformer, and no layer."""

    def __init__(self, embedding: TiedEmbedding, encoder: Encoder, decoder: Decoder, attention: Attention) -> None:
        super().__init__()
        self.embedding = embedding
        self.encoder = encoder
        self.decoder = decoder
        self.attention = attention

    def forward(self, source: Tensor, target: Tensor) -> Tensor:  # [B, S] [B, T] -> [B, T, V]
        state = self.start(source)
        return self._logits(state, target)

    def start(self, source: Tensor) -> Reading:
        real = source != PAD
        encoded = self.encoder(self.embedding(source), real)
        return Reading(encoded, real, self.decoder.begin(encoded, real))

    def step(self, state: Reading, tokens: Tensor) -> Tensor:  # type: ignore[override]  # its own kind of state
        return self._logits(state, tokens[:, None])[:, -1]

    def _logits(self, state: Reading, target: Tensor) -> Tensor:
        h, state.memories = self.decoder(self.embedding(target), state.memories)
        return self.embedding.logits(self.attention(h, state.encoded, state.real))

    @property
    def vocabulary_size(self) -> int:
        return self.embedding.table.num_embeddings

    def parts(self) -> dict[Part, nn.Module]:
        found: dict[Part, nn.Module] = {Part("", None, "embedding"): self.embedding}
        for number, (onward, back) in enumerate(zip(self.encoder.forwards, self.encoder.backwards)):
            found[Part("encoder", number, "forwards")] = onward
            found[Part("encoder", number, "backwards")] = back
        found[Part("decoder", None, "bridge")] = self.decoder.bridge
        found |= {Part("decoder", number, "forwards"): layer for number, layer in enumerate(self.decoder.layers)}
        found[Part("decoder", None, "attention")] = self.attention
        return found


class Reading:
    """What an LSTM carries from one target token to the next."""

    def __init__(self, encoded: Tensor, real: Tensor, memories: list[Memory]) -> None:
        self.encoded, self.real, self.memories = encoded, real, memories

    def select(self, rows: Tensor) -> None:
        self.encoded, self.real = self.encoded[rows], self.real[rows]
        self.memories = [(hidden[rows], cell[rows]) for hidden, cell in self.memories]


def reversal(real: Tensor) -> Tensor:
    """Where each position's token comes from when the tokens of a row are reversed and its padding stays, [B, S]."""
    places = torch.arange(real.shape[1], device=real.device)
    return torch.where(real, real.sum(1, keepdim=True) - 1 - places, places)


def turned(x: Tensor, order: Tensor) -> Tensor:
    """The positions of x [B, S, D] in this order [B, S]."""
    return x.gather(1, order[..., None].expand_as(x))
