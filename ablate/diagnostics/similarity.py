"""Similarity of two models' representations of the same tokens.  Kornblith et al. 2019, arXiv:1905.00414."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from ablate.data.batches import Batch
from ablate.data.vocabulary import PAD
from ablate.model.architecture import Architecture


def linear_cka(x: Tensor, y: Tensor) -> float:
    """||Y^T X||_F^2 / (||X^T X||_F ||Y^T Y||_F) of x [n, d1] and y [n, d2] with centred columns, from 0 to 1.

    It does not change under orthogonal maps and isotropic scaling of x or y. NaN where x or y is the same for all n.
    """
    return float(similarities([unit_gram(x), unit_gram(y)])[0, 1])


def similarities(grams: Sequence[Tensor]) -> Tensor:
    """Linear CKA of each pair of representations, [runs, runs], from their unit Gram matrices."""
    flat = torch.stack([gram.flatten() for gram in grams])
    return (flat @ flat.T).clamp(0, 1)


def unit_gram(x: Tensor) -> Tensor:
    """X X^T / ||X X^T||_F of x [n, d] with centred columns, [n, n]. Linear CKA is the inner product of two of these.

    This is because ||Y^T X||_F^2 = <X X^T, Y Y^T>_F.
    """
    x = x.double() - x[0].double()  # exactly zero where x is the same for all n
    centred = x - x.mean(0)
    centred = centred / centred.abs().amax()  # a fourth power may leave the range of float64
    gram = centred @ centred.T
    return gram / gram.norm()


@torch.inference_mode()
def representations(model: Architecture, batches: Iterable[Batch], tokens: int) -> dict[str, Tensor]:
    """Outputs of each stack at the first `tokens` positions that are not padding, [n, D] on the CPU.

    n is smaller where the batches hold fewer tokens. The decoder reads the reference, as in training; </s> is no input.
    """
    model.eval()
    found: dict[str, list[Tensor]] = {}
    for batch in batches:
        real = {"encoder": batch.source != PAD, "decoder": batch.target[:, 1:] != PAD}
        for stack, output in model.outputs(batch.source, batch.target[:, :-1]).items():
            found.setdefault(stack, []).append(output[real[stack]].float().cpu())
        if all(sum(map(len, rows)) >= tokens for rows in found.values()):
            break
    return {stack: torch.cat(rows)[:tokens] for stack, rows in found.items()}
