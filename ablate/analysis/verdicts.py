"""The rules that turn estimates into verdicts.

Effects have the sign for which the claim predicts a positive one. Low and high are the ends of the unadjusted 95 %
interval. Comparisons with nan are false, so an effect without an interval stays unresolved.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from ablate.analysis.statistics import Effect

ALPHA = 0.05


class Verdict(Enum):
    """The verdict on a claim."""

    supported = "supported"
    contradicted = "contradicted"
    negligible = "negligible"  # smaller than the margin either way
    partly = "partly"  # of several contrasts some are supported and the rest negligible
    unresolved = "unresolved"
    equivalent = "equivalent"  # under earlier rules only


class Reading(Enum):
    """The word for a variant's row in a table: higher or lower for a metric of which neither end is better."""

    better = "better"
    worse = "worse"
    higher = "higher"
    lower = "lower"
    negligible = "negligible"
    unresolved = "unresolved"
    earlier = "tested under earlier rules"


def directional(effect: Effect, p: float, margin: float, wide: Effect | None = None) -> Verdict:
    """The difference has the claimed sign. `p` is adjusted for the number of tests.

    It is negligible by the interval of `wide`, which is wider where there are several contrasts.
    """
    if effect.low > 0 and p < ALPHA:
        return Verdict.supported
    if effect.high < 0 and p < ALPHA:
        return Verdict.contradicted
    wide = wide or effect
    return Verdict.negligible if -margin < wide.low and wide.high < margin else Verdict.unresolved


def at_least_as_good(effect: Effect, margin: float) -> Verdict:
    """The difference is not below -margin."""
    if effect.low > -margin:
        return Verdict.supported
    return Verdict.contradicted if effect.high < -margin else Verdict.unresolved


def no_difference(effect: Effect, margin: float) -> Verdict:
    """The difference is within the margin."""
    if -margin < effect.low and effect.high < margin:
        return Verdict.supported
    outside = effect.low > margin or effect.high < -margin
    return Verdict.contradicted if outside else Verdict.unresolved


def by_test(effect: Effect, p: float) -> Verdict:
    """The difference has the claimed sign, by a test that has its own interval or none: of shares, of variances."""
    if not p < ALPHA:
        return Verdict.unresolved
    return Verdict.supported if effect.mean > 0 else Verdict.contradicted


def in_range(low: float, high: float, claimed_low: float | None, claimed_high: float | None) -> Verdict:
    """A value, known to lie between low and high, lies in the claimed range; None leaves an end open."""
    floor = float("-inf") if claimed_low is None else claimed_low
    ceiling = float("inf") if claimed_high is None else claimed_high
    if floor <= low and high <= ceiling:
        return Verdict.supported
    return Verdict.contradicted if high < floor or low > ceiling else Verdict.unresolved


def several(alone: Sequence[Verdict | None], strict: Sequence[Verdict | None]) -> Verdict | None:
    """The verdict on all parts of a claim together; None where a part was not tested, unless another is contradicted.

    `alone` has the verdicts at the level of a single contrast: if each is supported at it, all are. `strict` has those
    that allow for the number of parts, since any part may contradict the claim, or be the one that is supported.
    """
    if Verdict.contradicted in strict:
        return Verdict.contradicted
    if None in alone:
        return None
    if set(alone) == {Verdict.supported}:
        return Verdict.supported
    if set(strict) == {Verdict.negligible}:
        return Verdict.negligible
    return Verdict.partly if set(strict) == {Verdict.supported, Verdict.negligible} else Verdict.unresolved


def is_small(low: float, high: float, margin: float) -> bool:
    """Whether there is a difference, and it is smaller than the margin."""
    return low * high > 0 and max(abs(low), abs(high)) < margin


def reading(effect: Effect, p: float, margin: float, higher_is_better: bool | None) -> Reading:
    """The word for variant - baseline in a row of a table."""
    up, down = {True: ("better", "worse"), False: ("worse", "better"), None: ("higher", "lower")}[higher_is_better]
    words = {Verdict.supported: up, Verdict.contradicted: down}
    verdict = directional(effect, p, margin)
    return Reading[words.get(verdict, verdict.name)]
