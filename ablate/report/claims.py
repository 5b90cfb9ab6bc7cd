"""Claims and their verdicts, in Markdown: a block each in a report, a row each in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ablate.analysis.claims import ClaimVerdict, Judgement
from ablate.analysis.metrics import metric
from ablate.report.wording import ABSENT, MINUS, escape, estimate, plural, table

UNTESTED = "not tested here"


@dataclass(frozen=True)
class Block:
    """A claim as a report shows it."""

    id: str
    verdict: str
    sentence: str
    table: str  # a row a contrast; empty where the claim has none
    needs: str
    command: str | None  # what would test it, where the verdict is none


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
    return found.verdict.name if found.verdict else UNTESTED


def contrasts(parts: Sequence[Judgement]) -> str:
    """What was held against what, what the claim predicts, what was found."""
    rows = [[tested_as(part), predicted(part), shown(part), finding(part)] for part in parts]
    return table(["tested as", "claimed", "found [95 %]", ""], rows) if rows else ""


def tested_as(part: Judgement) -> str:
    contrast, measure = part.contrast, metric(part.contrast.metric)
    against = f" {MINUS} {contrast.baseline}" if contrast.baseline else ""
    than = f" against {f' {MINUS} '.join(contrast.than)}" if contrast.than else ""
    return f"{escape(contrast.variant + against + than)}, {measure.label}"


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
    """The effect as it is written, and over how many seeds."""
    if not part.seeds:
        return ABSENT
    measure = metric(part.contrast.metric)
    signed = part.contrast.baseline is not None
    return f"{estimate(part.effect, part.low, part.high, measure, signed)}, {plural(part.seeds, 'seed')}"


def finding(part: Judgement) -> str:
    """The contrast's own verdict, what limits it, and what more it would take."""
    needed = f"about {plural(part.more_seeds, 'more seed')}" if part.more_seeds else ""
    word = part.verdict.name if part.verdict else "not tested"
    return "; ".join(text for text in (word, escape(part.note), needed) if text)


def ledger_row(found: ClaimVerdict) -> list[str]:
    """Verdict and evidence in a row: the effects of the contrasts, or what would test the claim."""
    if found.verdict is None and found.command:
        needs = f"needs {escape(found.claim.needs)}; " if found.claim.needs else ""
        evidence = f"{needs}{escape(found.command)}"
    else:
        evidence = "; ".join(f"{tested_as(part)}: {shown(part)}" for part in found.parts)
    return [
        escape(found.claim.id),
        escape(found.claim.sentence),
        f"**{found.verdict.name}**" if found.verdict else UNTESTED,
        evidence,
    ]
