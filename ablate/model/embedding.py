"""One table for source, target and output.  Press and Wolf 2017, arXiv:1608.05859; Vaswani et al. 2017, section 3.4."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from ablate.model.dropout import Dropout
from ablate.model.position import Position
from ablate.plugins import extend


class TiedEmbedding(nn.Module):
    """Rows of one table: times a scale they embed token ids, and their products with a vector are its logits."""

    def __init__(self, vocabulary_size: int, d_model: int, position: Position, dropout: float, scale: float) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary_size, d_model)
        self.scale = scale
        self.position = position
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor, start: int = 0) -> Tensor:  # [B, T] -> [B, T, D]
        at = range(start, start + tokens.shape[1])
        return self.dropout(self.position.embed(self.scale * self.table(tokens), at))

    def logits(self, x: Tensor) -> Tensor:  # [B, T, D] -> [B, T, V]
        return F.linear(x, self.table.weight)


def sqrt(d_model: int) -> float:
    """sqrt(D). Rows of variance 1/D then give embeddings of unit variance, like the sines that are added to them."""
    return math.sqrt(d_model)


def none(d_model: int) -> float:
    """1: embeddings are the rows of the table."""
    return 1.0


EMBEDDING_SCALES: dict[str, Callable[[int], float]] = {"sqrt": sqrt, "none": none}

extend("model.embedding_scale", EMBEDDING_SCALES)
