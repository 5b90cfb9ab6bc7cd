"""What goes on inside a model is measured for every architecture, and only for the parts that it has."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from records import a_run, a_study
from tiny import describe, every_choice, tiny_model, tokens

from ablate.analysis.metrics import METRICS
from ablate.config import ModelConfig
from ablate.data.batches import Batch
from ablate.data.vocabulary import PAD
from ablate.diagnostics import DIAGNOSTICS, diagnose, named
from ablate.diagnostics.units import dead_units_over
from ablate.diagnostics.watching import parameter_counts
from ablate.model.architecture import Architecture
from ablate.model.attention import Attention
from ablate.model.feedforward import ACTIVATIONS
from ablate.store.parts import FEEDFORWARD, Part, by_part

each_choice = pytest.mark.parametrize("config", every_choice(), ids=describe)


def a_batch() -> Batch:
    source, target = tokens(3, 6), tokens(3, 8, seed=1)
    source[1, 4:] = target[2, 5:] = PAD
    return Batch(source, target)


def attentions(model: Architecture) -> set[Part]:
    return {part for part, module in model.parts().items() if isinstance(module, Attention)}


def layers_with_units(model: Architecture) -> set[Part]:
    return {
        part.of_layer
        for part, module in model.parts().items()
        if any(isinstance(each, tuple(ACTIVATIONS.values())) for each in module.modules())
    }


def with_parameters(model: Architecture) -> set[Part]:
    return set(parameter_counts(model))


MEASURED: dict[str, Callable[[Architecture], set[Part]]] = {
    "gradient_norm": with_parameters,
    "attention_entropy": attentions,
    "score_variance": attentions,
    "largest_attention_weight": attentions,
    "softmax_slope": attentions,
    "query_key_gradient_norm": attentions,
    "dead_units": layers_with_units,
    "negative_preactivations": layers_with_units,
}


@each_choice
@pytest.mark.parametrize("name", DIAGNOSTICS)
def test_a_diagnostic_measures_the_parts_that_it_is_about(config: ModelConfig, name: str) -> None:
    model = tiny_model(config)
    found = DIAGNOSTICS[name](model, a_batch())
    assert set(found) == MEASURED[name](model)
    assert all(math.isfinite(value) and value >= 0 for value in found.values())


@each_choice
def test_diagnostics_leave_a_model_as_it_was(config: ModelConfig) -> None:
    model, batch = tiny_model(config), a_batch()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert diagnose(model, batch) == diagnose(model, batch)
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


@each_choice
def test_every_metric_is_a_number_or_nothing_whatever_parts_a_model_has(config: ModelConfig) -> None:
    record = record_of(tiny_model(config))
    feedforward = any(Part.read(name).kind == FEEDFORWARD for name in record["parameter_counts"])
    attention = bool(record["diagnostics"][0]["score_variance"])
    for name, metric in METRICS.items():
        value = metric.value(record | {"config": {"model": vars(config)}})
        assert value is None or math.isfinite(value), name
        if any(word in name for word in ("ffn", "dead_unit", "initial_gradient")):
            assert (value is None) == (not feedforward), name
        if name.startswith(("initial_score", "initial_largest", "initial_softmax", "initial_query")):
            assert (value is None) == (not attention), name


def record_of(model: Architecture) -> dict[str, Any]:
    """A run's record with what is measured of a model."""
    batch, study = a_batch(), a_study()
    return a_run(study, "pre", 0) | {
        "parameter_counts": named(parameter_counts(model)),
        "diagnostics": [{"update": 0, **diagnose(model, batch)}],
        "final_dead_units": named(dead_units_over(model, [batch])),
    }


PARTS = [
    Part("", None, "embedding"),
    Part("encoder", None, "final_norm"),
    Part("decoder", 11),
    Part("encoder", 0, "a.b"),
]
STRANGE = ["", ".", "encoder", "encoder.", "decoder.²", "decoder.٣.x", f"decoder.{'9' * 5000}", "a.-1.b", ".0."]


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_the_name_of_a_part_is_read_as_that_part(part: Part) -> None:
    assert Part.read(str(part)) == part


@pytest.mark.parametrize("name", STRANGE)
def test_any_name_is_read_as_a_part(name: str) -> None:
    """Records may be damaged, or of an architecture that is not known here."""
    assert by_part({name: 1.0}) == {Part.read(name): 1.0}
    assert by_part(None) == {}


def test_the_table_of_laws_is_whole() -> None:
    assert set(MEASURED) == set(DIAGNOSTICS)
