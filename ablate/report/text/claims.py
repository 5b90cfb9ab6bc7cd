"""Claims and their verdicts in Markdown: blocks for a report, rows for the ledger."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ablate.analysis.judging import ClaimVerdict, Judgement, View
from ablate.analysis.metrics import metric
from ablate.analysis.quality import Beside
from ablate.analysis.statistics import Interval
from ablate.analysis.verdicts import Verdict
from ablate.report.wording import ABSENT, MINUS, escape, estimate, listed, name, plural, spoken, table
from ablate.study import Direction, Kind

ONE_RATE = "at one shared learning rate"
UNTESTED, UNMEASURED = "not tested here", "not measured here"
ENOUGH = "so many seeds have 80 % power for the margin already"


@dataclass(frozen=True)
class Block:
    """A claim in a report."""

    id: str
    verdict: str
    sentence: str
    table: str  # a row for each contrast; empty if the claim has none
    robustness: str  # how many other ways to look at it agree, and which do not; empty if there are none
    needs: str
    command: str | None  # the command that would test it, if there is no verdict


def blocks(found: Sequence[ClaimVerdict]) -> list[Block]:
    return [
        Block(
            escape(each.claim.id),
            verdict(each),
            escape(each.claim.sentence),
            contrasts(each.parts),
            robustness(each.views),
            escape(each.claim.needs or "") if each.verdict is None else "",
            each.command,
        )
        for each in found
    ]


def verdict(found: ClaimVerdict) -> str:
    """The verdict; with several contrasts also how many of them have which."""
    if found.verdict is None:
        return lacking(found)
    if found.earlier:
        return f"{found.verdict.name} (under earlier rules)"
    return in_words(found) + (f", {ONE_RATE}" if found.one_rate else "") + fragile(found)


def fragile(found: ClaimVerdict) -> str:
    """What a headline adds where one seed makes the difference."""
    if not found.fragile:
        return ""
    seeds = spoken(found.fragile) if len(found.fragile) < 2 else f"any one of {spoken(found.fragile)}"
    return f", but without seed {seeds} the mean is on another side of zero or of the margin"


def robustness(views: Sequence[View]) -> str:
    """How many of the other ways to look at a claim agree, and which do not."""
    if not views:
        return ""
    ways = {says: [view.way for view in views if view.says is says] for says in Beside}
    line = f"Of {plural(len(views), 'other way')} to look at it {len(ways[Beside.agrees])} agree"
    line += f"; against it: {spoken(ways[Beside.disagrees])}" if ways[Beside.disagrees] else ""
    line += f"; no answer from {spoken(ways[Beside.unclear])}" if ways[Beside.unclear] else ""
    return f"{line}."


def in_words(found: ClaimVerdict) -> str:
    assert found.verdict is not None
    if found.only is not None:
        return found.verdict.name + (", by less than the margin" if found.is_small else "")
    if found.verdict is Verdict.partly:
        return f"partly supported ({by_part(found.parts)})"
    counts = Counter(part.verdict.name if part.verdict else lacking(part) for part in found.parts)
    if len(counts) == 1:
        return found.verdict.name
    return f"{found.verdict.name} (of {len(found.parts)}: {listed([f'{n} {word}' for word, n in counts.items()])})"


def by_part(parts: Sequence[Judgement]) -> str:
    """The contrasts by what they came to."""
    words = {part.verdict.name if part.verdict else lacking(part): [] for part in parts}  # type: dict[str, list[str]]
    for part in parts:
        words[part.verdict.name if part.verdict else lacking(part)].append(tested_as(part))
    return "; ".join(f"{word}: {spoken(names)}" for word, names in words.items())


def lacking(found: ClaimVerdict | Judgement) -> str:
    """Why there is no verdict."""
    return UNTESTED if found.measured else UNMEASURED


def contrasts(parts: Sequence[Judgement]) -> str:
    """A row for each contrast: the cells, the prediction, the effect, the verdict."""
    rows = [[tested_as(part), predicted(part), shown(part), finding(part)] for part in parts]
    return table(["tested as", "claimed", "found [95 %]", ""], rows) if rows else ""


def tested_as(part: Judgement) -> str:
    contrast, measure = part.contrast, metric(part.contrast.metric)
    cells = f" {MINUS} ".join(name(cell) for cell in (contrast.variant, contrast.baseline) if cell is not None)
    if contrast.than:
        cells = f"({cells}) {MINUS} ({f' {MINUS} '.join(map(name, contrast.than))})"
    if contrast.kind is Kind.stability:
        return f"spread of {measure.label}, {name(contrast.variant)} over {name(contrast.baseline)}"
    over = {Kind.trend: f", change over {contrast.factor}", Kind.exponent: f", exponent over {contrast.factor}"}
    return f"{cells}, {measure.label}{escape(over.get(contrast.kind, ''))}"


def predicted(part: Judgement) -> str:
    """What the claim predicts of the contrast."""
    contrast = part.contrast
    if contrast.kind in (Kind.in_range, Kind.exponent):
        if contrast.low is None or contrast.high is None:
            return f"at least {contrast.low:g}" if contrast.high is None else f"at most {contrast.high:g}"
        return f"between {contrast.low:g} and {contrast.high:g}"
    words = {Kind.at_least_as_good: "at least as good", Kind.no_difference: "no difference"}
    if contrast.kind is Kind.stability:
        words[Kind.stability] = "larger" if contrast.direction is Direction.higher else "smaller"
    if not contrast.margin:
        margin = ""
    elif contrast.relative:
        margin = f", margin {100 * contrast.margin:g} % of the baseline's" + (
            f" ({part.margin:.2g})" if part.seeds else ""
        )
    else:
        margin = f", margin {contrast.margin:g}"
    return words.get(contrast.kind, contrast.direction.name) + margin


def shown(part: Judgement) -> str:
    """The effect, and the number of seeds."""
    if not part.seeds:
        return ABSENT
    contrast, measure = part.contrast, metric(part.contrast.metric)
    seeds = plural(part.seeds, "seed")
    if contrast.kind is Kind.stability:
        return f"variance {ratio(part.effect, part.low, part.high)} times, {seeds}"
    if contrast.kind is Kind.exponent:
        ends = f" [{part.low:.3g}, {part.high:.3g}]" if part.low < part.high else ""
        return f"{part.effect:.3g}{ends}, {seeds}".replace("-", MINUS)
    signed = contrast.baseline is not None or contrast.kind is Kind.trend
    return f"{estimate(Interval(part.effect, part.low, part.high, part.seeds), measure, signed)}, {seeds}"


def ratio(effect: float, low: float, high: float) -> str:
    """A ratio, given as a logarithm with its interval, which there need not be."""
    mean, *ends = (math.exp(min(each, 700)) for each in (effect, low, high))
    return f"{mean:.2g}" + (f" [{ends[0]:.2g}, {ends[1]:.2g}]" if all(map(math.isfinite, ends)) else "")


def finding(part: Judgement) -> str:
    """The verdict of the contrast, what limits it, and how many more seeds would decide it."""
    word = part.verdict.name if part.verdict else "" if part.earlier else lacking(part).removesuffix(" here")
    word += ", by less than the margin" if part.verdict and part.is_small else ""
    return "; ".join(text for text in (word, escape(part.note), escape(part.contrast.note), needed(part)) if text)


def needed(part: Judgement) -> str:
    """How many more seeds an unresolved contrast calls for."""
    if part.more_seeds is None:
        return ""
    return f"about {plural(part.more_seeds, 'more seed')}" if part.more_seeds else ENOUGH


def ledger_row(found: ClaimVerdict) -> list[str]:
    """A row with the verdict and the evidence: effects, or the command that would test the claim, or why none can."""
    if found.verdict is None and found.command:
        needs = f"needs {escape(found.claim.needs)}; then " if found.claim.needs else ""
        evidence = f"{needs}{name(found.command)}"
    else:
        evidence = evidence_of(found)
    return [escape(found.claim.id), escape(found.claim.sentence), in_bold(found), evidence]


def in_bold(found: ClaimVerdict) -> str:
    return f"**{verdict(found)}**" if found.verdict else verdict(found)


def evidence_of(found: ClaimVerdict, where: str = "in the report") -> str:
    """The effect of a contrast that decides the claim, or why there is none. `where` are the other contrasts."""
    if not found.measured:
        return "; ".join(f"{metric(each).label}: {escape(why)}" for each, why in found.unmeasured.items())
    if found.verdict is None:
        return "; ".join(dict.fromkeys(f"{tested_as(part)}: {escape(part.note)}" for part in found.parts))
    deciding = [part for part in found.parts if part.verdict is found.verdict] or list(found.parts)
    more = len(found.parts) - 1
    evidence = f"{tested_as(deciding[0])}: {shown(deciding[0])}" + (f"; {more} more {where}" if more else "")
    return evidence + "".join(f"; one {escape(part.contrast.note)}" for part in found.parts if part.contrast.note)
