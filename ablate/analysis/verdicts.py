"""The rules that turn estimates into verdicts.

Effects have the sign for which the claim predicts a positive one. Low and high are the ends of the unadjusted 95 %
interval. Comparisons with nan are false, so an effect without an interval stays unresolved.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from ablate.analysis.statistics import Effect

ALPHA = 0.05


class Verdict(Enum):
    """The verdict on a claim."""

    supported = "supported"
    contradicted = "contradicted"
    equivalent = "equivalent"
    unresolved = "unresolved"


class Reading(Enum):
    """The word for a variant's row in a table: higher or lower for a metric of which neither end is better."""

    better = "better"
    worse = "worse"
    higher = "higher"
    lower = "lower"
    equivalent = "equivalent"
    unresolved = "unresolved"


def directional(effect: Effect, p_holm: float, margin: float) -> Verdict:
    """The difference has the claimed sign."""
    if -margin < effect.low and effect.high < margin:
        return Verdict.equivalent
    if effect.low > 0 and p_holm < ALPHA:
        return Verdict.supported
    if effect.high < 0 and p_holm < ALPHA:
        return Verdict.contradicted
    return Verdict.unresolved


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


def share_learned(effect: Effect) -> Verdict:
    """More runs learn. The effect is a difference of shares, its p Fisher's."""
    if not effect.p < ALPHA:
        return Verdict.unresolved
    return Verdict.supported if effect.mean > 0 else Verdict.contradicted


def in_range(low: float, high: float, claimed_low: float | None, claimed_high: float | None) -> Verdict:
    """A value, known to lie between low and high, lies in the claimed range; None leaves an end open."""
    floor = float("-inf") if claimed_low is None else claimed_low
    ceiling = float("inf") if claimed_high is None else claimed_high
    if floor <= low and high <= ceiling:
        return Verdict.supported
    return Verdict.contradicted if high < floor or low > ceiling else Verdict.unresolved


def several(verdicts: Iterable[Verdict | None]) -> Verdict | None:
    """The verdict on all parts of a claim together. It is None where a part could not be tested, unless another is
    contradicted."""
    verdicts = list(verdicts)
    if Verdict.contradicted in verdicts:
        return Verdict.contradicted
    if None in verdicts:
        return None
    return Verdict.supported if all(verdict is Verdict.supported for verdict in verdicts) else Verdict.unresolved


def reading(effect: Effect, p_holm: float, margin: float, higher_is_better: bool | None) -> Reading:
    """The word for variant - baseline in a row of a table."""
    up, down = {True: ("better", "worse"), False: ("worse", "better"), None: ("higher", "lower")}[higher_is_better]
    words = {Verdict.supported: up, Verdict.contradicted: down}
    verdict = directional(effect, p_holm, margin)
    return Reading[words.get(verdict, verdict.name)]
