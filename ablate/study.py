"""A study: one question, the variants that answer it, and the claims that they test.

Frozen values without input or output. `ablate.store.study_file` reads and writes them.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

RATE, RATE_KEY = "lr", "optim.lr"  # the factor that tune=lr adds, and the key that it sets
QUALITY = "quality"  # a study's metric: the test loss or BLEU, whichever decides (`ablate.analysis.quality`)
MATCHED = "matched"  # ends the name of a variant's twin of the baseline's size
WITHIN = 0.03  # the largest difference in parameters from the baseline, as a share of them, without embeddings


class Kind(Enum):
    """How a claim is judged (the verdict rules are in `ablate.analysis.verdicts`)."""

    directional = "directional"  # the difference has the claimed sign
    at_least_as_good = "at_least_as_good"  # it is not worse than the margin
    no_difference = "no_difference"  # it is smaller than the margin either way
    share_trained = "share_trained"  # one arm's runs train more often
    share_learned = "share_learned"  # the same by an earlier, lower bar
    in_range = "in_range"  # a counted or measured value lies in a range
    stability = "stability"  # one arm's runs are more spread
    trend = "trend"  # a number, or a difference, rises or falls over the levels of a factor
    exponent = "exponent"  # a number grows as a power of the levels of a factor, whose exponent lies in a range
    several = "several"  # all of several parts


class Direction(Enum):
    """The sign that a claim predicts for `variant - baseline`."""

    higher = "higher"
    lower = "lower"


class Pairs(Enum):
    """Which two runs a difference is taken between."""

    seeds = "seeds"  # of two variants: those of one seed
    halves = "halves"  # of one variant: of 2n seeds, i and n + i, as if the halves were two variants


HALVES = ("first half", "second half")  # names of the two halves in analysis; the first is the baseline


@dataclass(frozen=True)
class Contrast:
    """One judgement: of variant - baseline, or of `variant` alone where there is no `baseline`.

    With `than`, of how much variant - baseline exceeds the difference of those two: an interaction of two factors.
    """

    kind: Kind
    metric: str
    variant: str
    baseline: str | None = None
    direction: Direction = Direction.higher
    margin: float | None = None  # in the metric's unit; None: the metric's default
    relative: bool = False  # whether the margin is a share of the baseline's mean instead
    low: float | None = None  # the range of Kind.in_range, either end open
    high: float | None = None
    than: tuple[str, str] | None = None  # (variant, baseline) of the difference to exceed
    note: str = ""  # what a reader must know about how this contrast was chosen
    bleu_margin: float | None = None  # in BLEU, of a contrast in quality; None: the default
    factor: str | None = None  # the factor of Kind.trend and Kind.exponent; names of cells leave its level out

    @property
    def cells(self) -> tuple[str, ...]:
        """Every cell that it names."""
        return tuple(cell for cell in (self.variant, self.baseline, *(self.than or ())) if cell is not None)


@dataclass(frozen=True)
class Claim:
    """A sentence that people say. A claim without parts is not tested by this study.

    `command` would test it; `needs` names what has to be done before.
    """

    id: str
    sentence: str
    parts: tuple[Contrast, ...]
    command: str | None = None
    needs: str | None = None


@dataclass(frozen=True)
class Published:
    """What others found on the study's question. `numbers` are in `unit`, by the cell or variant that they are of."""

    text: str
    source: str
    numbers: dict[str, float] = field(default_factory=dict)
    unit: str = ""


@dataclass(frozen=True)
class Cell:
    """One arm of a study: a variant at one level of every factor, compared with the cell that `baseline` names."""

    name: str
    variant: str
    factors: dict[str, Any]
    overrides: dict[str, Any]
    baseline: str | None


def name_without(cell: Cell, factor: str | None) -> str:
    """What a cell would be called if the study did not have this factor."""
    return cell.variant + "".join(f",{name}={level}" for name, level in cell.factors.items() if name != factor)


@dataclass(frozen=True)
class Study:
    name: str
    question: str
    baseline: str
    variants: dict[str, dict[str, Any]]  # name -> overrides of configuration keys
    factors: dict[str, dict[Any, dict[str, Any]]] = field(default_factory=dict)  # name -> level -> overrides
    metric: str = "test_bleu"
    claims: tuple[Claim, ...] = ()
    limits: tuple[str, ...] = ()  # what the study cannot show, in its author's words
    sizes: dict[str, dict[str, Any]] = field(default_factory=dict)  # preset -> overrides of every cell, and `factors`
    grid: tuple[float, ...] = ()  # learning rates of tune=lr; none: optim.lr and its neighbours
    pairs: Pairs = Pairs.seeds
    first_seed: int = 0  # unless the command line sets another
    by_cell: dict[str, dict[str, Any]] = field(default_factory=dict)  # cell -> more overrides, for twins only
    known: tuple[Published, ...] = ()  # published results that the report shows beside its own

    def at(self, preset: str) -> Study:
        """The study with the levels that its factors have under this preset."""
        return replace(self, factors=self.factors | self.sizes.get(preset, {}).get("factors", {}))

    def twinned(self, twins: dict[str, dict[str, Any]], by_cell: dict[str, dict[str, Any]]) -> Study:
        """The study with these variants after its own; `by_cell` are overrides that hold in single cells of theirs."""
        return replace(self, variants={**self.variants, **twins}, by_cell=by_cell)

    def tuned(self, grid: Sequence[float]) -> Study:
        """The study with each of its cells at each of these learning rates, compared within a rate."""
        return replace(self, factors={**self.factors, RATE: {rate: {RATE_KEY: rate} for rate in grid}})

    def size(self, preset: str) -> dict[str, Any]:
        """The overrides that hold for every cell under this preset."""
        return {key: value for key, value in self.sizes.get(preset, {}).items() if key != "factors"}

    def cells(self) -> list[Cell]:
        """Every variant at every level of every factor, in the study's own order."""
        cells = []
        for levels in itertools.product(*(factor.items() for factor in self.factors.values())):
            factors = {name: level for name, (level, _) in zip(self.factors, levels)}
            coordinates = "".join(f",{name}={level}" for name, level in factors.items())
            untuned = "".join(f",{name}={level}" for name, level in factors.items() if name != RATE)
            for name in self.variants:
                overrides = dict(self.variants[name])
                for _, at_level in levels:
                    overrides |= at_level
                overrides |= self.by_cell.get(name + untuned, {})
                baseline = None if name == self.baseline else self.baseline + coordinates
                cells.append(Cell(name + coordinates, name, factors, overrides, baseline))
        return cells

    def names(self, factor: str | None = None) -> list[str]:
        """Of all cells; with a factor, without its level, each once. A factor that the study does not have is none."""
        return list(dict.fromkeys(name_without(cell, factor) for cell in self.cells()))

    @property
    def compared(self) -> Study:
        """The study whose cells analysis compares: this one, or the two halves of its only variant."""
        if self.pairs is Pairs.seeds:
            return self
        return replace(self, variants=dict.fromkeys(HALVES, self.variants[self.baseline]), baseline=HALVES[0])

    def varied(self) -> set[str]:
        """The configuration keys that the study sets itself.

        A key that only some levels of a factor set (such as `train.updates: 0`) is not among them: the command line may
        set it for the other levels, and within a level all variants have the same value.
        """
        everywhere = [set.intersection(*map(set, levels.values())) for levels in self.factors.values() if levels]
        return set().union(*self.variants.values(), *everywhere)
