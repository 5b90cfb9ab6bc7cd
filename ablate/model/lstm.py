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

    Sequences are padded at their end, so padding never changes the state of a token.
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
    """Bidirectional layers: each direction has half of the width."""

    def __init__(self, d_model: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.forwards = nn.ModuleList(Layer(d_model, d_model // 2, dropout) for _ in range(layers))
        self.backwards = nn.ModuleList(Layer(d_model, d_model // 2, dropout) for _ in range(layers))

    def forward(self, x: Tensor, real: Tensor) -> Tensor:  # [B, S, D]
        order = reversal(real)
        for forwards, backwards in zip(self.forwards, self.backwards):
            onward, _ = forwards(x)
            back, _ = backwards(reordered(x, order))
            x = torch.cat([onward, reordered(back, order)], dim=-1)
        return x


class Decoder(nn.Module):
    """Layers that read the target from left to right."""

    def __init__(self, d_model: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.bridge = nn.Linear(d_model, 2 * d_model * layers)
        self.layers = nn.ModuleList(Layer(d_model, d_model, dropout) for _ in range(layers))

    def begin(self, encoded: Tensor, real: Tensor) -> list[Memory]:
        """The memory of each layer before the first token, from the mean of the encoder's output [B, S, D]."""
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
    """A bidirectional encoder, and a decoder whose output attends to the encoder's."""

    def __init__(self, embedding: TiedEmbedding, encoder: Encoder, decoder: Decoder, attention: Attention) -> None:
        super().__init__()
        self.embedding = embedding
        self.encoder = encoder
        self.decoder = decoder
        self.attention = attention

    def forward(self, source: Tensor, target: Tensor) -> Tensor:  # [B, S] [B, T] -> [B, T, V]
        return self.embedding.logits(self.outputs(source, target)["decoder"])

    def outputs(self, source: Tensor, target: Tensor) -> dict[str, Tensor]:
        state = self.start(source)
        return {"encoder": state.encoded, "decoder": self.decode(state, target)}

    def decode(self, state: Reading, target: Tensor) -> Tensor:  # [B, T] -> [B, T, D]
        h, state.memories = self.decoder(self.embedding(target), state.memories)
        return self.attention(h, state.encoded, state.real)

    def start(self, source: Tensor) -> Reading:
        real = source != PAD
        encoded = self.encoder(self.embedding(source), real)
        return Reading(encoded, real, self.decoder.begin(encoded, real))

    def step(self, state: Reading, tokens: Tensor) -> Tensor:  # type: ignore[override]  # its own kind of state
        return self.embedding.logits(self.decode(state, tokens[:, None]))[:, -1]

    @property
    def vocabulary_size(self) -> int:
        return self.embedding.table.num_embeddings

    def parts(self) -> dict[Part, nn.Module]:
        found: dict[Part, nn.Module] = {Part("", None, "embedding"): self.embedding}
        for number, (forwards, backwards) in enumerate(zip(self.encoder.forwards, self.encoder.backwards)):
            found[Part("encoder", number, "forwards")] = forwards
            found[Part("encoder", number, "backwards")] = backwards
        found[Part("decoder", None, "bridge")] = self.decoder.bridge
        found |= {Part("decoder", number, "forwards"): layer for number, layer in enumerate(self.decoder.layers)}
        found[Part("decoder", None, "attention")] = self.attention
        return found


class Reading:
    """What an LSTM keeps between two target tokens: the encoder's output, and the memory of each decoder layer."""

    def __init__(self, encoded: Tensor, real: Tensor, memories: list[Memory]) -> None:
        self.encoded, self.real, self.memories = encoded, real, memories

    def select(self, rows: Tensor) -> None:
        self.encoded, self.real = self.encoded[rows], self.real[rows]
        self.memories = [(hidden[rows], cell[rows]) for hidden, cell in self.memories]


def reversal(real: Tensor) -> Tensor:
    """Indices that reverse the tokens of each row and leave its padding in place, [B, S]."""
    places = torch.arange(real.shape[1], device=real.device)
    return torch.where(real, real.sum(1, keepdim=True) - 1 - places, places)


def reordered(x: Tensor, order: Tensor) -> Tensor:
    """The positions of x [B, S, D] in the order of these indices, [B, S]."""
    return x.gather(1, order[..., None].expand_as(x))
