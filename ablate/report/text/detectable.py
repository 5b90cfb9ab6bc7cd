"""How much runs vary over seeds, and what a number of seeds can show, in lines of plain text for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median
from typing import NamedTuple

from ablate.analysis.metrics import METRICS, Known, Metric, metric
from ablate.analysis.noise import Noise, Spread, typical
from ablate.analysis.power import MOST_SEEDS, POWER, detectable, seeds_for
from ablate.analysis.quality import LOSS
from ablate.report.wording import decimals_for, number, plural, spoken
from ablate.study import QUALITY, Kind, Study

SEEDS = (5, 10, 20)
BY_MEAN = (Kind.directional, Kind.at_least_as_good, Kind.no_difference)
HEADER = ["metric", "budget", "contrasts", "spread", "least to most", *(f"{n} seeds" for n in SEEDS), "unit"]


def noise_lines(corpus: str, preset: str, spreads: Sequence[Spread]) -> Iterator[str]:
    """The library of a corpus and preset: a row for each metric and budget."""
    yield (
        f"{corpus}, preset {preset}: standard deviation of a paired difference over seeds (median of contrasts), and "
        f"the difference that {spoken(SEEDS)} seeds detect with {POWER:.0%} power"
    )
    order, rows = [*METRICS], [HEADER]
    for (name, budget), found in sorted(
        Noise(tuple(spreads)).alike.items(), key=lambda item: (order.index(item[0][0]), item[0])
    ):
        measure, spread = metric(name), typical(found)
        ends = [math.sqrt(pick(each.variance for each in found)) for pick in (min, max)]
        shown = [amount(spread, measure), " to ".join(amount(each, measure) for each in ends)]
        shown += [amount(spread * detectable(n), measure) for n in SEEDS]
        rows.append([name, budget, str(len(found)), *shown, measure.unit])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    yield from ("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


class Wanted(NamedTuple):
    """What a study is to show: a difference by a metric as large as a margin."""

    metric: str
    margin: float | None  # None: the metric's default
    relative: bool

    @property
    def deciding(self) -> Wanted:
        return Wanted(LOSS, self.margin, self.relative) if self.metric == QUALITY else self


def outlook(noise: Noise, study: Study, budget: str, seeds: int) -> Iterator[str]:
    """What a study that is about to run can decide, a line for each metric and margin that it is judged by."""
    parts = [part for claim in study.claims for part in claim.parts if part.kind in BY_MEAN and part.than is None]
    wanted = [Wanted(study.metric, None, False), *(Wanted(part.metric, part.margin, part.relative) for part in parts)]
    for name, margin, relative in dict.fromkeys(each.deciding for each in wanted):
        measure, spread = metric(name), noise.spread(name, budget)
        if measure.known is Known.counted or (measure.known is Known.finished and budget.startswith("0 x")):
            continue
        if spread is None:
            yield f"{measure.label}: too few contrasts in the records to say what {plural(seeds, 'seed')} can show"
            continue
        found = noise.alike[name, budget]
        mean = median(each.mean for each in found)
        margin = measure.margin_at(mean) if margin is None else margin * (abs(mean) if relative else 1)
        yield f"{measure.label}: {reach(spread, len(found), margin, seeds, measure)}"


def reach(spread: float, contrasts: int, margin: float, seeds: int, measure: Metric) -> str:
    """What so many seeds detect at this spread, and how many the margin takes where they are too few for it."""
    least = spread * detectable(seeds)
    shown = f"a difference of {amount(least, measure)} {measure.unit}" if seeds > 1 else "nothing"
    basis = f"spread {amount(spread, measure)}, of {plural(contrasts, 'contrast')} in the records"
    line = f"{plural(seeds, 'seed')} detect {shown} with {POWER:.0%} power ({basis})"
    if not margin or least <= margin:
        return line
    need = seeds_for(margin, spread)
    enough = f"it takes {need}" if need else f"even {MOST_SEEDS} are"
    return f"{line}: too few for the margin of {amount(margin, measure)}, {enough}"


def amount(value: float, measure: Metric) -> str:
    return number(value, decimals_for(value, value, measure.digits))
