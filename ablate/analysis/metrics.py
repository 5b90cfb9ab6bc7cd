"""The metrics of claims and reports: how to read a number from a run's record, and its label, unit and margin.

This imports nothing heavy, because a plan checks its claims here before anything is trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ablate.config import BadInput
from ablate.plugins import extend
from ablate.store.parts import FEEDFORWARD, Part, by_part
from ablate.study import QUALITY, Kind, Study

SMALLEST = 1.2e-38  # float32's smallest normal number; a smaller gradient counts as vanished
Record = Mapping[str, Any]  # an object of runs.jsonl


class Known(Enum):
    """When a run's number is known, and so which runs lack it."""

    counted = "counted"  # from the configuration alone: it is the same for every seed
    started = "started"  # before the first update, or whatever the outcome of the run
    finished = "finished"  # from runs that finished


@dataclass(frozen=True)
class Metric:
    value: Callable[[Record], float | None]  # None if the record has no such number
    label: str
    unit: str
    higher_is_better: bool | None  # None: neither is better
    digits: int  # most decimals
    known: Known = Known.finished
    margin: float = 0.0  # the smallest difference that matters, by default
    relative: bool = False  # whether `margin` is a share of the baseline's mean

    def margin_at(self, baseline_mean: float) -> float:
        """The default margin in the metric's unit."""
        return self.margin * abs(baseline_mean) if self.relative else self.margin


def metric(name: str) -> Metric:
    """Look a metric up. Raises BadInput with the choices."""
    if name not in METRICS:
        raise BadInput(f"metric={name} is unknown; it may be {', '.join([*METRICS, QUALITY])}")
    return METRICS[name]


def check_metrics(study: Study) -> None:
    """Raise BadInput for a study whose metric, or a claim's, does not exist or cannot be judged."""
    if study.metric != QUALITY:
        metric(study.metric)
    for claim in study.claims:
        for part in claim.parts:
            if part.metric == QUALITY:
                continue
            if part.metric not in METRICS:
                raise BadInput(
                    f"claim {claim.id}: metric={part.metric} is unknown; it may be {', '.join([*METRICS, QUALITY])}"
                )
            if part.kind is Kind.no_difference and not (part.margin or METRICS[part.metric].margin):
                raise BadInput(
                    f"claim {claim.id}: no difference in {part.metric} needs a margin, in {METRICS[part.metric].unit}"
                )


def column(name: str) -> Callable[[Record], float | None]:
    return lambda record: finite(record.get(name))


def finite(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def initial(record: Record, diagnostic: str) -> dict[Part, float]:
    """What a diagnostic measured at update 0; empty where it measured nothing."""
    first = [entry for entry in record.get("diagnostics") or () if entry["update"] == 0]
    return by_part(first[0].get(diagnostic)) if first else {}


def dead_units(record: Record) -> dict[Part, float]:
    """Share of dead units in each layer with the weights that were kept; empty where it was not measured."""
    return by_part(record.get("final_dead_units"))


def feedforward(values: Mapping[Part, float], stack: str) -> list[float]:
    """The values of a stack's feed-forward networks, [layer]; empty where it has none or one is not finite."""
    found = {part.layer: value for part, value in values.items() if (part.stack, part.kind) == (stack, FEEDFORWARD)}
    in_order = [found[layer] for layer in sorted(layer for layer in found if layer is not None)]
    return in_order if all(finite(value) is not None for value in in_order) else []


def initial_mean(diagnostic: str) -> Callable[[Record], float | None]:
    """Mean of a diagnostic over the parts of the model at update 0."""

    def value(record: Record) -> float | None:
        found = list(initial(record, diagnostic).values())
        return finite(sum(found) / len(found)) if found and None not in found else None

    return value


def initial_gradient_norm_last_ffn(record: Record) -> float | None:
    norms = feedforward(initial(record, "gradient_norm"), "decoder")
    return norms[-1] if norms else None


def initial_gradient_norm_ratio(record: Record) -> float | None:
    norms = feedforward(initial(record, "gradient_norm"), "decoder")
    return norms[-1] / norms[0] if norms and norms[0] > 0 else None


def initial_gradient_span(record: Record) -> float | None:
    """Orders of magnitude between the largest and the smallest feed-forward gradient norm at update 0."""
    norms = [norm for part, norm in initial(record, "gradient_norm").items() if part.kind == FEEDFORWARD]
    if not norms or any(finite(norm) is None for norm in norms) or max(norms) == 0:
        return None
    return math.log10(max(norms) / max(min(norms), SMALLEST))


def initial_query_key_gradient_norm(record: Record) -> float | None:
    """Norm over all query and key projections together."""
    norms = list(initial(record, "query_key_gradient_norm").values())
    return finite(math.hypot(*norms)) if norms and None not in norms else None


def dead_unit_share(record: Record) -> float | None:
    """The largest share over layers."""
    shares = [finite(share) for share in dead_units(record).values()]
    return max((share for share in shares if share is not None), default=None)


def encoder_counts(record: Record) -> dict[Part, int]:
    """Parameters of the parts of the encoder's layers; the norm after the last layer belongs to none."""
    counts = by_part(record.get("parameter_counts"))
    return {part: count for part, count in counts.items() if part.stack == "encoder" and part.layer is not None}


def ffn_parameter_share(record: Record) -> float | None:
    """None where the encoder has no feed-forward network."""
    counts = encoder_counts(record)
    found = [count for part, count in counts.items() if part.kind == FEEDFORWARD]
    return sum(found) / sum(counts.values()) if found else None


def encoder_layer_parameters(record: Record) -> float | None:
    """Parameters of one encoder layer over d_model squared."""
    counts = encoder_counts(record)
    layers = {part.layer for part in counts}
    return sum(counts.values()) / len(layers) / record["config"]["model"]["d_model"] ** 2 if counts else None


_BLEU = {"unit": "BLEU", "higher_is_better": True, "digits": 2, "margin": 0.5}
_LOSS = {"unit": "nats/token", "higher_is_better": False, "digits": 4, "margin": 0.01, "relative": True}

METRICS: dict[str, Metric] = {
    "test_bleu": Metric(column("test_bleu"), "BLEU", **_BLEU),  # type: ignore[arg-type]
    "test_bleu_greedy": Metric(column("test_bleu_greedy"), "BLEU (greedy)", **_BLEU),  # type: ignore[arg-type]
    "test_bleu_lower": Metric(column("test_bleu_lower"), "BLEU (lower-cased)", **_BLEU),  # type: ignore[arg-type]
    "test_chrf": Metric(column("test_chrf"), "chrF", "chrF", True, 2, margin=0.5),
    "test_loss": Metric(column("test_loss"), "test loss", **_LOSS),  # type: ignore[arg-type]
    "test_bits_per_byte": Metric(
        column("test_bits_per_byte"), "bits a byte of the references", "bits/byte", False, 4, margin=0.01, relative=True
    ),
    "validation_loss": Metric(column("validation_loss"), "validation loss", **_LOSS),  # type: ignore[arg-type]
    "learned": Metric(column("learned"), "share that learned", "share", True, 2, Known.started),
    "trained": Metric(column("trained"), "share that trained", "share", True, 2, Known.started),
    "parameters": Metric(column("parameters"), "parameters", "parameters", None, 0, Known.counted),
    "flops_per_token": Metric(
        column("flops_per_token"), "FLOPs per target token", "FLOPs/token", None, 0, Known.counted
    ),
    "lr_sensitivity": Metric(
        column("lr_sensitivity"), "sensitivity to the learning rate", "nats/token", False, 4, Known.started
    ),
    "peak_memory": Metric(column("peak_memory"), "peak memory", "bytes", False, 0),
    "tokens_per_second": Metric(column("tokens_per_second"), "target tokens per second", "tokens/s", True, 0),
    "seconds": Metric(column("seconds"), "time", "s", False, 1),
    "decoding_seconds": Metric(column("decoding_seconds"), "time of translating the test set", "s", False, 2),
    "initial_gradient_norm_last_ffn": Metric(
        initial_gradient_norm_last_ffn,
        "gradient norm of the last decoder feed-forward at update 0",
        "norm",
        None,
        3,
        Known.started,
    ),
    "initial_gradient_norm_ratio_last_to_first": Metric(
        initial_gradient_norm_ratio,
        "gradient norm at update 0, last over first decoder feed-forward",
        "ratio",
        None,
        3,
        Known.started,
    ),
    "initial_gradient_span": Metric(
        initial_gradient_span,
        "largest over smallest feed-forward gradient norm, as a power of ten, at update 0",
        "powers of ten",
        None,
        2,
        Known.started,
    ),
    "initial_score_variance": Metric(
        initial_mean("score_variance"), "variance of attention scores at update 0", "variance", None, 2, Known.started
    ),
    "initial_largest_attention_weight": Metric(
        initial_mean("largest_attention_weight"),
        "largest attention weight of a query at update 0",
        "share",
        None,
        3,
        Known.started,
    ),
    "initial_softmax_slope": Metric(
        initial_mean("softmax_slope"),
        "slope of the attention softmax (1 minus the sum of squared weights) at update 0",
        "slope",
        None,
        3,
        Known.started,
    ),
    "initial_query_key_gradient_norm": Metric(
        initial_query_key_gradient_norm,
        "gradient norm of the query and key projections at update 0",
        "norm",
        None,
        3,
        Known.started,
    ),
    "dead_unit_share": Metric(dead_unit_share, "largest share of dead units in a layer", "share", False, 3),
    "ffn_parameter_share": Metric(
        ffn_parameter_share, "feed-forward's share of an encoder layer's parameters", "share", None, 4, Known.counted
    ),
    "encoder_layer_parameters_over_d_model_squared": Metric(
        encoder_layer_parameters, "parameters of an encoder layer over d_model squared", "ratio", None, 3, Known.counted
    ),
}

extend("metric", METRICS)
