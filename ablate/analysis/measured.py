"""Which scores measure nothing in a setting, and which metrics are used instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ablate.analysis.effects import trained
from ablate.analysis.metrics import METRICS, Record

STAND_INS = ("test_chrf", "test_loss")  # for each other and for BLEU, in this order
QUALITY = ("test_bleu", "test_bleu_greedy", "test_bleu_lower", "validation_loss", *STAND_INS)


def unmeasured(records: Sequence[Record], known: Mapping[str, str] | None = None) -> dict[str, str]:
    """Metric -> why it measures nothing: what is `known` of the test set, and scores that are equal in all runs.

    Only scores and losses are checked, because they differ between seeds. Counts, and whether a run learned, may be the
    same in every run.
    """
    found = dict(known or {})
    for name in QUALITY:
        values = [value for record in records if trained(record) if (value := METRICS[name].value(record)) is not None]
        if len(values) > 1 and len(set(values)) == 1:
            found.setdefault(name, f"it is {values[0]:.6g} in every run")
    return found


def stand_ins(metric: str, records: Sequence[Record], why: Mapping[str, str]) -> tuple[str, ...]:
    """The metrics used in place of a study's metric that measures nothing; empty where it measures something.

    `why` is that of `unmeasured`.
    """
    if metric not in why:
        return ()
    scored = [name for name in STAND_INS if any(METRICS[name].value(record) is not None for record in records)]
    return tuple(name for name in scored if name not in why)


def masked(records: Sequence[Record], why: Mapping[str, str]) -> tuple[dict[str, Any], ...]:
    """The records without the scores that measure nothing, so that no table, figure or verdict rests on them."""
    return tuple({**record, **dict.fromkeys(why)} for record in records)
