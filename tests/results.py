"""A training's result, as tests need one that was never trained."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from ablate.store.schema import VERSION, TrainingResult

RESULT = TrainingResult(
    version=VERSION, status="finished", scorable=True, learned=1, diverged_at=None, updates=8, best_update=8,
    best_validation_loss=1.5, validation_loss=1.5, parameters=1000, parameter_counts={"embedding": 1000},
    flops_per_token=1e6, peak_memory=10**8, tokens_per_second=5e3, batch_real_share=0.9, micro_batches=1,
    diagnostics=[{"update": 0}], final_dead_units=None, seconds=7.0, provenance={"device": "cpu"},
)  # fmt: skip


def a_result(**changes: Any) -> TrainingResult:
    return structs.replace(RESULT, **changes)
