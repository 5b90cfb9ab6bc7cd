"""Bound the number of pairs in a batch, in every pass over sentences, so that one long line cannot fill the memory.

A batch is padded to its longest pair. Its hidden states grow with the padded length, attention scores with the square.
In fp32, at these bounds, a tensor of hidden states takes 128 KiB x d_model, one of scores 16 MiB a head, one of logits
512 MiB; a pass holds a few of each. 128 pairs of 181 tokens each stay within them, unless the vocabulary is very large.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

TOKENS = 2**15  # rows x length
SQUARES = 2**22  # rows x length^2
LOGITS = 2**27  # rows x predicted tokens x vocabulary
REFERENCE = 1024  # tokens of a validation or test target, unless training targets may have more


def most_rows(source: int, target: int, vocabulary_size: int = 1) -> int:
    """Rows that fit into a batch padded to these lengths, with `target` tokens to predict; at least 1."""
    length = max(source, target)
    return max(1, min(TOKENS // length, SQUARES // length**2, LOGITS // (target * vocabulary_size)))


def longest_reference(max_tokens: int) -> int:
    """Tokens to which targets of validation and test are cut, where training targets have up to `max_tokens`."""
    return max(max_tokens, REFERENCE)


def consecutive(lengths: np.ndarray, most: Callable[[int, int], int]) -> Iterator[slice]:
    """Cut pairs of these (source, target) lengths, [N, 2], into batches, keeping their order.

    A batch has as many rows as `most(source, target)` allows for its longest source and target, and at least one.
    """
    start, longest = 0, (0, 0)
    for end, (source, target) in enumerate(lengths.tolist()):
        wider = max(longest[0], source), max(longest[1], target)
        if end > start and end - start >= most(*wider):
            yield slice(start, end)
            start, wider = end, (source, target)
        longest = wider
    if len(lengths):
        yield slice(start, len(lengths))
