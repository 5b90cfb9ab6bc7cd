"""A study: one question, the variants that answer it, and the claims that they test.

Frozen values without input or output. `ablate.store.study_file` reads and writes them.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from ablate.config import TUNABLE

RATE, RATE_KEY = "lr", TUNABLE["lr"]  # the factor that tune=lr adds, and the key that it sets
Point = tuple[float, ...]  # a value of each factor that tune= adds, in their order
QUALITY = "quality"  # a study's metric: the test loss or BLEU, whichever decides (`ablate.analysis.quality`)
TWINS = {"parameters": "matched", "flops": "matched_flops"}  # what match= matches -> what ends the names of its twins
WITHIN = 0.03  # the largest difference from the baseline in what is matched, as a share of the baseline's


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


def name_without(cell: Cell, *factors: str | None) -> str:
    """What a cell would be called if the study did not have these factors."""
    return cell.variant + place_of(cell.factors, *factors)


def place_of(levels: Mapping[str, Any], *without: str | None) -> str:
    """The end of a cell's name: `,depth=2,lr=0.001`."""
    return "".join(f",{name}={level}" for name, level in levels.items() if name not in without)


def matched_in(variant: str) -> str | None:
    """What a variant, or a cell's variant, is a twin in: a key of `TWINS`; None if it is no twin."""
    return next((what for what, ending in TWINS.items() if variant.endswith(f",{ending}")), None)


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
    grid: dict[str, tuple[float, ...]] = field(default_factory=dict)  # what tune= may tune -> the study's own values
    pairs: Pairs = Pairs.seeds
    first_seed: int = 0  # unless the command line sets another
    by_cell: dict[str, dict[str, Any]] = field(default_factory=dict)  # cell -> more overrides, of match= and rates=
    searched: tuple[str, ...] = ()  # the factors that tune= added
    refined: dict[str, tuple[Point, ...]] = field(default_factory=dict)  # cell of the baseline -> points off the grid
    known: tuple[Published, ...] = ()  # published results that the report shows beside its own

    def at(self, preset: str) -> Study:
        """The study with the levels that its factors have under this preset."""
        return replace(self, factors=self.factors | self.sizes.get(preset, {}).get("factors", {}))

    def twinned(self, twins: dict[str, dict[str, Any]], by_cell: dict[str, dict[str, Any]]) -> Study:
        """The study with these variants after its own; `by_cell` are overrides that hold in single cells of theirs."""
        return replace(self, variants={**self.variants, **twins}, by_cell=by_cell)

    def with_values(self, by_cell: Mapping[str, dict[str, Any]]) -> Study:
        """The study with more overrides in single cells."""
        more = {cell: self.by_cell.get(cell, {}) | overrides for cell, overrides in by_cell.items()}
        return replace(self, by_cell=self.by_cell | more)

    def tuned(self, grid: Sequence[float] | Mapping[str, Sequence[float]]) -> Study:
        """The study with each of its cells at each point of the grid, compared within a point.

        `grid` has the values of what is tuned; a list is one of learning rates.
        """
        grids = grid if isinstance(grid, Mapping) else {RATE: grid}
        levels = {name: {value: {TUNABLE[name]: value} for value in values} for name, values in grids.items()}
        return replace(self, factors={**self.factors, **levels}, searched=tuple(grids))

    def refine(self, points: Mapping[str, Sequence[Mapping[str, float]]]) -> Study:
        """The tuned study with more points for all variants, at the levels of the baseline's cells that are named."""
        refined = {cell: tuple(tuple(each[name] for name in self.searched) for each in points[cell]) for cell in points}
        return replace(self, refined=refined)

    @property
    def untuned(self) -> Study:
        """The study without what tune= added."""
        factors = {name: levels for name, levels in self.factors.items() if name not in self.searched}
        return replace(self, factors=factors, searched=(), refined={})

    def points(self, place: str) -> list[Point]:
        """What tune= tries with every variant at the levels that `place` names (`place_of`); else one empty point."""
        grid = [*itertools.product(*(self.factors[name] for name in self.searched))]
        more = self.refined.get(self.baseline + place, ())
        return sorted({*grid, *more}) if more else grid

    def size(self, preset: str) -> dict[str, Any]:
        """The overrides that hold for every cell under this preset."""
        return {key: value for key, value in self.sizes.get(preset, {}).items() if key != "factors"}

    def cells(self) -> list[Cell]:
        """Every variant at every level of every factor, in the study's own order."""
        found = []
        own = [name for name in self.factors if name not in self.searched]
        for levels in itertools.product(*(self.factors[name] for name in own)):
            place = place_of(dict(zip(own, levels)))
            for point in self.points(place):
                factors = dict(zip([*own, *self.searched], [*levels, *point]))
                found += [self._cell(name, factors, place) for name in self.variants]
        return found

    def _cell(self, variant: str, factors: dict[str, Any], place: str) -> Cell:
        overrides = dict(self.variants[variant])
        for name, level in factors.items():
            known = self.factors[name]
            overrides |= known[level] if level in known else {TUNABLE[name]: level}
        overrides |= self.by_cell.get(variant + place, {})
        baseline = None if variant == self.baseline else self.baseline + place_of(factors)
        return Cell(variant + place_of(factors), variant, factors, overrides, baseline)

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
