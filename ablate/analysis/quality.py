"""What decides small differences in quality: the test loss where it compares, with BLEU beside it; else BLEU.

Against its noise over seeds an effect is two to three times larger in the loss than in BLEU. Losses compare where
vocabulary, tokeniser and label smoothing are the same: smoothing makes the loss worse and BLEU better (Vaswani et al.
2017, Table 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from enum import Enum

from ablate.analysis.effects import of_cell
from ablate.analysis.metrics import Record
from ablate.analysis.statistics import Effect
from ablate.analysis.verdicts import Verdict
from ablate.study import QUALITY, Contrast, Direction, Kind, Study

LOSS, BLEU, BITS = "test_loss", "test_bleu", "test_bits_per_byte"
LOSSES = (LOSS, "validation_loss", BITS)
OPPOSITE = {Direction.higher: Direction.lower, Direction.lower: Direction.higher}


class Beside(Enum):
    """What BLEU says of a verdict by the test loss."""

    agrees = "agrees"
    disagrees = "disagrees"
    unclear = "cannot tell"


def losses_compare(records: Sequence[Record], cells: Iterable[str], a_byte: bool = False) -> bool:
    """Whether these cells have the same label smoothing, and the same vocabulary, and so the same tokeniser.

    Of losses `a_byte` the vocabularies may differ.
    """
    found = {
        ("" if a_byte else record.get("corpus"), record.get("config", {}).get("train", {}).get("label_smoothing"))
        for cell in cells
        for record in of_cell(records, cell)
    }
    return len(found) < 2


def study_metric(study: Study, records: Sequence[Record]) -> str:
    """The metric of a study's table."""
    if study.metric != QUALITY:
        return study.metric
    return LOSS if losses_compare(records, [cell.name for cell in study.cells()]) else BLEU


def decided(part: Contrast, records: Sequence[Record], why: Mapping[str, str]) -> Contrast:
    """A contrast in quality as a contrast in what decides it here; others as they are. `why` is of `unmeasured`."""
    if part.metric != QUALITY:
        return part
    if LOSS in why or not losses_compare(records, part.cells):
        return replace(part, metric=BLEU, margin=part.bleu_margin, relative=False)
    return replace(part, metric=LOSS, direction=OPPOSITE[part.direction])


def beside(kind: Kind, verdict: Verdict, bleu: Effect, margin: float) -> Beside:
    """What BLEU says of a verdict by the loss. The effect has the sign for which the claim predicts a positive one.

    Of a difference it agrees where its interval excludes zero on the same side, and of none where it lies inside the
    margin; it disagrees where it excludes what the verdict says.
    """
    positive, negative = bleu.low > 0, bleu.high < 0
    inside, outside = -margin < bleu.low and bleu.high < margin, bleu.low > margin or bleu.high < -margin
    if kind is Kind.at_least_as_good:
        sides = {Verdict.supported: (bleu.low > -margin, bleu.high < -margin),
                 Verdict.contradicted: (bleu.high < -margin, bleu.low > -margin)}  # fmt: skip
    elif kind is Kind.no_difference:
        sides = {Verdict.supported: (inside, outside), Verdict.contradicted: (outside, inside)}
    else:
        sides = {Verdict.supported: (positive, negative), Verdict.contradicted: (negative, positive),
                 Verdict.negligible: (inside, outside)}  # fmt: skip
    agrees, disagrees = sides.get(verdict, (False, False))
    return Beside.agrees if agrees else Beside.disagrees if disagrees else Beside.unclear
