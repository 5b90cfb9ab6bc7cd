"""The noise library: how much the paired differences of many contrasts vary between seeds.

Contrasts are alike where metric, corpus, preset and budget are, and for test losses the number of references. One
library is of one corpus and preset.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from functools import cache, cached_property
from statistics import median
from typing import Any

from scipy.special import chdtri

from ablate.analysis.metrics import Record
from ablate.analysis.moderated import MINIMUM, Prior, prior_of
from ablate.config import Config

LEAST_SEEDS = 3  # of a contrast whose variance counts
LOSSES = ("test_loss", "test_bits_per_byte")
DETERMINING = ("model", "optim", "train", "data", "evaluation")


@dataclass(frozen=True)
class Spread:
    """The variance over seeds of one variant's paired difference from its baseline."""

    metric: str
    budget: str  # of `budget_of`
    study: str
    setting: str
    variant: str
    baseline: str
    cells: tuple[str, str]  # their marks, sorted: the same in every study that has this contrast
    seeds: int
    variance: float  # in the square of the metric's unit
    mean: float  # of the baseline, of which some margins are shares
    references: int = 0  # that a test loss is taken over; 0 for other metrics, and where records do not say


@dataclass(frozen=True)
class Noise:
    """The library that one setting is judged with."""

    spreads: tuple[Spread, ...] = ()
    setting: tuple[str, str] = ("", "")  # study and setting that is judged: its own contrasts are known by name

    @cached_property
    def alike(self) -> dict[tuple[str, str], list[Spread]]:
        """Metric and budget -> contrasts."""
        found: dict[tuple[str, str], list[Spread]] = {}
        for each in self.spreads:
            found.setdefault((each.metric, each.budget), []).append(each)
        return found

    def prior(
        self, metric: str, budget: str, variant: str, baseline: str, cells: tuple[str, str], references: int = 0
    ) -> Prior | None:
        """The prior for the variance of a contrast, made of the others; None where there are too few."""
        names = {(*self.setting, variant, baseline), (*self.setting, baseline, variant)}
        others = [
            each
            for each in self.over(metric, budget, references)
            if each.cells != cells and (each.study, each.setting, each.variant, each.baseline) not in names
        ]
        return prior_of([each.variance for each in others], [each.seeds - 1 for each in others])

    def over(self, metric: str, budget: str, references: int | None = None) -> list[Spread]:
        """The contrasts that are alike, with losses over as many references; None for any number of them."""
        return [each for each in self.alike.get((metric, budget), ()) if references in (None, each.references)]

    def spread(self, metric: str, budget: str, references: int | None = None) -> float | None:
        """The standard deviation to expect of a contrast; None where the library is too small to say."""
        found = self.over(metric, budget, references)
        return typical(found) if len(found) >= MINIMUM else None


def typical(spreads: Sequence[Spread]) -> float:
    """The median standard deviation, without the bias that medians of few seeds have.

    A mean would be that of the few contrasts with a variant that hardly trains, which are ten times as spread as most.
    """
    return math.sqrt(median(each.variance / chi2_median(each.seeds - 1) for each in spreads))


@cache
def chi2_median(df: int) -> float:
    """The median of an observed variance over the true one."""
    return float(chdtri(df, 0.5)) / df


def once(spreads: Iterable[Spread]) -> list[Spread]:
    """The spreads with each contrast once, however many studies have it: from the most seeds."""
    found: dict[tuple[Any, ...], Spread] = {}
    for each in spreads:
        key = (each.metric, each.budget, each.cells, each.references)
        if key not in found or found[key].seeds < each.seeds:
            found[key] = each
    return list(found.values())


def budget_of(records: Sequence[Record]) -> str:
    """How long the runs of a cell were to train, as updates x target positions; empty where that is not known."""
    train: Mapping[str, Any] = next((record["config"].get("train", {}) for record in records if "config" in record), {})
    return f"{train['updates']} x {train.get('batch_tokens', 1)}" if "updates" in train else ""


def references_of(metric: str, records: Sequence[Record]) -> int:
    """How many references a metric of these runs is over, if it is a test loss: the fewer, the noisier."""
    if metric not in LOSSES:
        return 0
    return max((record.get("loss_references") or 0 for record in records), default=0)


def mark(records: Sequence[Record]) -> str:
    """Stands for the configuration of a cell, whatever study it belongs to; empty where that is not known.

    Keys at their default are left out, so that a key that is added later changes no mark.
    """
    config: Mapping[str, Any] = next((record["config"] for record in records if "config" in record), {})
    return hashlib.sha256(json.dumps(chosen(config), sort_keys=True).encode()).hexdigest()[:12] if config else ""


def chosen(config: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted key -> value, of what determines a result and is not at its default."""
    return {
        f"{section}.{key}": value
        for section in DETERMINING
        for key, value in (config.get(section) or {}).items()
        if DEFAULTS.get(f"{section}.{key}", ...) != value
    }


def plain(value: Any) -> Any:
    return value.name if isinstance(value, Enum) else value


DEFAULTS = {
    f"{section}.{key}": plain(value)
    for section in DETERMINING
    for key, value in asdict(getattr(Config(), section)).items()
}
