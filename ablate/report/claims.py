"""Claims and their verdicts as rows of a table, in Markdown."""

from __future__ import annotations

from ablate.analysis.claims import ClaimVerdict, Judgement
from ablate.analysis.metrics import metric
from ablate.report.wording import ABSENT, MINUS, escape, estimate, plural, table

CLAIMS = ("claim", "says", "verdict", "tested as", "finding", "effect [95 %]", "seeds", "note")


def claims(found: list[ClaimVerdict]) -> str:
    """A row a contrast; what a claim's parts have in common stands in their first row."""
    return table(CLAIMS, [row for each in found for row in claim_rows(each)], right=[5, 6])


def claim_rows(found: ClaimVerdict) -> list[list[str]]:
    """A row a contrast, at least one, of the columns CLAIMS. The verdict is the claim's, the finding the contrast's."""
    verdict = f"**{found.verdict.name}**" if found.verdict else "not tested here"
    first = [escape(found.claim.id), escape(found.claim.sentence), verdict]
    rows = [[*first, *shown(part), note(part)] for part in found.parts]
    rows = rows or [[*first, "", "", "", "", ""]]
    if found.command:
        rows[0][-1] = "; ".join(text for text in (rows[0][-1], wanted(found)) if text)
    return [rows[0], *(["", "", "", *row[3:]] for row in rows[1:])]


def wanted(found: ClaimVerdict) -> str:
    """What a claim that was not tested would take."""
    if found.claim.needs:
        return f"needs {escape(found.claim.needs)}; then: {escape(found.command or '')}"
    return f"would be tested by: {escape(found.command or '')}"


def shown(part: Judgement) -> list[str]:
    """What was held against what, the effect as it is written, and the seeds."""
    contrast, measure = part.contrast, metric(part.contrast.metric)
    against = f" {MINUS} {contrast.baseline}" if contrast.baseline else ""
    text = (
        estimate(part.effect, part.low, part.high, measure, signed=contrast.baseline is not None)
        if part.seeds
        else ABSENT
    )
    return [
        f"{escape(contrast.variant + against)}, {measure.label}: {predicted(part)}",
        part.verdict.name if part.verdict else "not tested",
        text,
        str(part.seeds) if part.seeds else ABSENT,
    ]


def predicted(part: Judgement) -> str:
    """What the claim predicts of the contrast."""
    contrast = part.contrast
    if contrast.kind.name == "in_range":
        ends = [ABSENT if end is None else f"{end:g}" for end in (contrast.low, contrast.high)]
        return (
            f"between {ends[0]} and {ends[1]}"
            if ABSENT not in ends
            else f"at least {ends[0]}"
            if contrast.high is None
            else f"at most {ends[1]}"
        )
    words = {"at_least_as_good": "at least as good", "no_difference": "no difference"}
    margin = f", margin {contrast.margin:g}" if contrast.margin else ""
    return words.get(contrast.kind.name, contrast.direction.name) + margin


def note(part: Judgement) -> str:
    """What limits a finding, and what more it would take."""
    needed = f"about {plural(part.more_seeds, 'more seed')}" if part.more_seeds else ""
    return escape("; ".join(text for text in (part.note, needed) if text))
