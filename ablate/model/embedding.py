"""One table for source, target and output.  Press and Wolf 2017, arXiv:1608.05859; Vaswani et al. 2017, section 3.4."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from ablate.model.dropout import Dropout
from ablate.model.position import Position


class TiedEmbedding(nn.Module):
    """Rows of one table: times sqrt(D) they embed token ids, and their products with a vector are its logits."""

    def __init__(self, vocabulary_size: int, d_model: int, position: Position, dropout: float) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary_size, d_model)
        self.scale = math.sqrt(d_model)
        self.position = position
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor, start: int = 0) -> Tensor:  # [B, T] -> [B, T, D]
        at = range(start, start + tokens.shape[1])
        return self.dropout(self.position.embed(self.scale * self.table(tokens), at))

    def logits(self, x: Tensor) -> Tensor:  # [B, T, D] -> [B, T, V]
        return F.linear(x, self.table.weight)
