"""What the project wants to reach, and what a record says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from ablate.benchmark.measurements import Measurements, Rates
from ablate.benchmark.ratios import Spread, ratio, spread
from ablate.benchmark.surroundings import short
from ablate.benchmark.throughput import LONE, PAIR, STUDY

STORED = 10_000


@dataclass(frozen=True)
class Reached:
    """A measured value, and what it was held against."""

    value: Spread
    beside: str = ""


@dataclass(frozen=True)
class Target:
    what: str
    bound: float
    unit: str  # "x" for ratios
    find: Callable[[Measurements], Reached | None]  # None where the record does not have it
    at_least: bool = True

    def met(self, found: Reached) -> bool:
        return found.value.median >= self.bound if self.at_least else found.value.median <= self.bound

    @property
    def wanted(self) -> str:
        return f"{'at least' if self.at_least else 'at most'} {number(self.bound)} {self.unit}".rstrip()


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def rates_of(found: Sequence[Rates], subject: str) -> Rates | None:
    return next((each for each in found if each.subject == subject and each.rates), None)


def peers(found: Sequence[Rates], batches: str, malloc: str) -> list[Rates]:
    """The training frameworks that were measured in this way."""
    return [
        each
        for each in found
        if each.rates and (each.batches, each.malloc) == (batches, malloc) and not each.subject.startswith("ablate")
        and not each.subject.startswith("CTranslate2")
    ]  # fmt: skip


def against_best(found: Sequence[Rates], subject: str, others: Sequence[Rates]) -> Reached | None:
    """The subject's rates over those of the peer with the highest median."""
    ours = rates_of(found, subject)
    if ours is None or not others:
        return None
    best = max(others, key=lambda each: median(each.rates))
    return Reached(ratio(ours.rates, best.rates), best.name)


def study_as_installed(found: Measurements) -> Reached | None:
    return against_best(found.training, STUDY, peers(found.training, "own", "installed"))


def study_tuned(found: Measurements) -> Reached | None:
    return against_best(found.training, STUDY, peers(found.training, "ours", "tuned"))


def every_way(found: Sequence[Rates]) -> list[Rates]:
    return [each for batches in ("own", "ours") for malloc in ("installed", "tuned")
            for each in peers(found, batches, malloc)]  # fmt: skip


def beam(found: Measurements) -> Reached | None:
    return against_best(found.translation, PAIR, every_way(found.translation))


def beam_of_one(found: Measurements) -> Reached | None:
    return against_best(found.translation, LONE, every_way(found.translation))


def beam_of_engine(found: Measurements) -> Reached | None:
    engines = [each for each in found.translation if each.subject.startswith("CTranslate2") and each.rates]
    return against_best(found.translation, PAIR, engines)


def before(found: Measurements) -> Reached | None:
    if found.against is None:
        return None
    return Reached(ratio(found.against["ours"], found.against["theirs"]), f"ablate {short(found.against['commit'])}")


def of_the_limit(found: Measurements) -> Reached | None:
    if found.limit is None:
        return None
    limit = found.limit
    best = [max(products.values()) for products in limit["products"]]
    return Reached(ratio([limit["operations"] / seconds for seconds in limit["seconds"]], best))


def study_minutes(found: Measurements) -> Reached | None:
    return None if found.study_seconds is None else Reached(spread([found.study_seconds / 60]))


def planning(found: Measurements) -> Reached | None:
    costs = [each.planning for each in found.store if each.runs == STORED]
    return Reached(spread(costs[0])) if costs else None


TARGETS = [
    Target("a study of six, tokens a second, over the best peer as installed, with its own batches", 3.5, "x",
           study_as_installed),
    Target("a study of six, tokens a second, over the best peer with malloc tuned and ablate's batches", 1.9, "x",
           study_tuned),
    Target("beam-5 translation on both cores, sentences a second, over the best training framework however tuned", 3.0,
           "x", beam),
    Target("a lone run of one thread, tokens a second, over the project before", 1.25, "x", before),
    Target("operations a second of a training step, over those of the largest square matrix product", 0.65, "x",
           of_the_limit),
    Target("`+sweep=norm_placement preset=laptop`, from command to report", 9, "min", study_minutes, at_least=False),
    Target("planning with 10,000 finished runs in the store", 3, "s", planning, at_least=False),
]  # fmt: skip
