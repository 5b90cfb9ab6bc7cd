"""Measurements inside a model: functions (model, batch) -> a number for each part that they concern.

Each makes its own pass in evaluation mode. It draws no random numbers and changes no parameter or gradient, so that a
run trains the same with and without diagnostics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from ablate.data.batches import Batch
from ablate.diagnostics.attention_weights import (
    attention_entropy,
    largest_attention_weight,
    score_variance,
    softmax_slope,
)
from ablate.diagnostics.gradients import gradient_norm, query_key_gradient_norm
from ablate.diagnostics.units import dead_units, negative_preactivations
from ablate.model.architecture import Architecture
from ablate.plugins import extend
from ablate.store.parts import Part

Value = TypeVar("Value")
Diagnostic = Callable[[Architecture, Batch], dict[Part, float]]


def diagnose(model: Architecture, batch: Batch) -> dict[str, dict[str, float]]:
    """Run every diagnostic on one batch: diagnostic -> name of the part -> value."""
    model.eval()
    with torch.random.fork_rng(devices=[]):
        return {name: named(diagnostic(model, batch)) for name, diagnostic in DIAGNOSTICS.items()}


def named(values: dict[Part, Value]) -> dict[str, Value]:
    """Values of parts by the parts' names, as records keep them."""
    return {str(part): value for part, value in values.items()}


DIAGNOSTICS: dict[str, Diagnostic] = {
    "gradient_norm": gradient_norm,
    "attention_entropy": attention_entropy,
    "score_variance": score_variance,
    "largest_attention_weight": largest_attention_weight,
    "softmax_slope": softmax_slope,
    "query_key_gradient_norm": query_key_gradient_norm,
    "dead_units": dead_units,
    "negative_preactivations": negative_preactivations,
}

extend("diagnostic", DIAGNOSTICS)
