"""Claims and their verdicts in Markdown: blocks for a report, rows for the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ablate.analysis.judging import ClaimVerdict, Judgement
from ablate.analysis.metrics import metric
from ablate.analysis.statistics import Interval
from ablate.report.wording import ABSENT, MINUS, escape, estimate, listed, name, plural, table

UNTESTED, UNMEASURED = "not tested here", "not measured here"


@dataclass(frozen=True)
class Block:
    """A claim in a report."""

    id: str
    verdict: str
    sentence: str
    table: str  # a row for each contrast; empty if the claim has none
    needs: str
    command: str | None  # the command that would test it, if there is no verdict


def blocks(found: Sequence[ClaimVerdict]) -> list[Block]:
    return [
        Block(
            escape(each.claim.id),
            verdict(each),
            escape(each.claim.sentence),
            contrasts(each.parts),
            escape(each.claim.needs or "") if each.verdict is None else "",
            each.command,
        )
        for each in found
    ]


def verdict(found: ClaimVerdict) -> str:
    """The verdict; with several contrasts also how many of them have which."""
    if found.verdict is None:
        return lacking(found)
    counts = Counter(part.verdict.name if part.verdict else lacking(part) for part in found.parts)
    if len(counts) == 1:
        return found.verdict.name
    return f"{found.verdict.name} (of {len(found.parts)}: {listed([f'{n} {word}' for word, n in counts.items()])})"


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
    return f"{cells}, {measure.label}"


def predicted(part: Judgement) -> str:
    """What the claim predicts of the contrast."""
    contrast = part.contrast
    if contrast.kind.name == "in_range":
        if contrast.low is None or contrast.high is None:
            return f"at least {contrast.low:g}" if contrast.high is None else f"at most {contrast.high:g}"
        return f"between {contrast.low:g} and {contrast.high:g}"
    words = {"at_least_as_good": "at least as good", "no_difference": "no difference"}
    margin = f", margin {contrast.margin:g}" if contrast.margin else ""
    return words.get(contrast.kind.name, contrast.direction.name) + margin


def shown(part: Judgement) -> str:
    """The effect, and the number of seeds."""
    if not part.seeds:
        return ABSENT
    measure = metric(part.contrast.metric)
    signed = part.contrast.baseline is not None
    low, high = part.low, part.high
    if measure.unit == "share":  # a t interval may exceed the range of shares
        low, high = max(low, -1.0 if signed else 0.0), min(high, 1.0)
    return f"{estimate(Interval(part.effect, low, high, part.seeds), measure, signed)}, {plural(part.seeds, 'seed')}"


def finding(part: Judgement) -> str:
    """The verdict of the contrast, what limits it, and how many more seeds would decide it."""
    needed = f"about {plural(part.more_seeds, 'more seed')}" if part.more_seeds else ""
    word = part.verdict.name if part.verdict else lacking(part).removesuffix(" here")
    return "; ".join(text for text in (word, escape(part.note), escape(part.contrast.note), needed) if text)


def ledger_row(found: ClaimVerdict) -> list[str]:
    """A row with the verdict and the evidence: effects, or the command that would test the claim, or why none can."""
    if found.verdict is None and found.command:
        needs = f"needs {escape(found.claim.needs)}; then " if found.claim.needs else ""
        evidence = f"{needs}{name(found.command)}"
    elif not found.measured:
        evidence = "; ".join(f"{metric(each).label}: {escape(why)}" for each, why in found.unmeasured.items())
    else:
        deciding = [part for part in found.parts if part.verdict is found.verdict] or list(found.parts)
        more = len(found.parts) - 1
        evidence = f"{tested_as(deciding[0])}: {shown(deciding[0])}" + (f"; {more} more in the report" if more else "")
        if found.verdict is None:
            evidence = "; ".join(dict.fromkeys(f"{tested_as(part)}: {escape(part.note)}" for part in found.parts))
        evidence += "".join(f"; one {escape(part.contrast.note)}" for part in found.parts if part.contrast.note)
    return [
        escape(found.claim.id),
        escape(found.claim.sentence),
        f"**{verdict(found)}**" if found.verdict else verdict(found),
        evidence,
    ]
