"""Tables with a row a claim: those of a report, and those of all settings. Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ablate.analysis.judging import ClaimVerdict, View
from ablate.analysis.metrics import metric
from ablate.analysis.quality import Beside
from ablate.analysis.verdicts import Verdict
from ablate.records.report_data import ReportData
from ablate.report.text.caveats import with_seeds
from ablate.report.text.claims import ONE_RATE, UNMEASURED, evidence_of, in_bold, shown
from ablate.report.wording import ABSENT, escape, name, plural, spoken, table
from ablate.study import Pairs

FEW = 2  # ways to look at a claim that are named
HEADER = ["claim", "what it says", "verdict", "effect [95 %]", "other ways to look at it"]
ALL = ["claim", "what it says", "verdicts by setting", "holds across", "caveat", "next command"]


def overview(found: Sequence[ClaimVerdict]) -> str:
    """The claims of a report, a row each; empty without any."""
    rows = [
        [escape(each.claim.id), escape(each.claim.sentence), in_bold(each), effect(each), agreement(each.views)]
        for each in found
    ]
    columns = len(HEADER) if any(each.views for each in found) else len(HEADER) - 1
    return table(HEADER[:columns], [row[:columns] for row in rows]) if rows else ""


def effect(found: ClaimVerdict) -> str:
    if found.verdict is None and found.claim.needs:
        return f"it needs {escape(found.claim.needs)}"
    return evidence_of(found, "below") or ABSENT


def agreement(views: Sequence[View]) -> str:
    """How many of the other ways to look at a claim agree; of those against it the first few."""
    if not views:
        return ABSENT
    against = [view.way for view in views if view.says is Beside.disagrees]
    agree = sum(view.says is Beside.agrees for view in views)
    few = [*against[:FEW], *([f"{len(against) - FEW} more"] if len(against) > FEW else [])]
    return f"{agree} of {len(views)} agree" + (f"; against it: {spoken(few)}" if few else "")


@dataclass(frozen=True)
class Judged:
    """A claim in a setting. `place` says at which level, where `across=` crosses the study with another key."""

    data: ReportData
    found: ClaimVerdict
    id: str
    sentence: str
    place: str

    @property
    def word(self) -> str:
        """The verdict without its details."""
        if self.found.verdict is None:
            return "not tested" if self.found.measured else UNMEASURED.removesuffix(" here")
        limit = " (under earlier rules)" if self.found.earlier else f", {ONE_RATE}" if self.found.one_rate else ""
        return f"**{self.found.verdict.name}{limit}**"

    @property
    def decided(self) -> bool:
        return self.found.verdict not in (None, Verdict.unresolved)

    @property
    def where(self) -> str:
        """A link to the report, and the effect if the claim has one contrast."""
        study, setting, only = self.data.study.name, self.data.setting, self.found.only
        text = f"[{escape(f'{study}/{setting}')}](<{study}/{setting}/report.md>)"
        text += f" at {escape(self.place)}" if self.place else ""
        if only is None or not only.seeds or self.found.verdict is None:
            return text
        return f"{text} ({metric(only.contrast.metric).label} {shown(only)})"


def judged(data: ReportData) -> list[Judged]:
    """The claims of a setting. The levels of `across=` are parts of one claim."""
    across, found = "across" in data.manifest, []
    for each in data.verdicts:
        id, _, place = each.claim.id.partition(",") if across else (each.claim.id, "", "")
        sentence = each.claim.sentence.partition(": ")[2] if place else each.claim.sentence
        found.append(Judged(data, each, id, sentence, place.replace(",", ", ")))
    return found


def all_claims(found: Sequence[Judged]) -> str:
    """A row for each claim, in however many studies and settings it is tested, sorted by its id; empty without any."""
    claims: dict[tuple[str, str], list[Judged]] = {}
    for each in found:
        claims.setdefault((each.id, each.sentence), []).append(each)
    rows = [
        [escape(id), escape(sentence), by_setting(of), holds_across(of), caveat(of), following(of)]
        for (id, sentence), of in sorted(claims.items(), key=lambda item: item[0])
    ]
    return table(ALL, rows) if rows else ""


def by_setting(of: Sequence[Judged]) -> str:
    words: dict[str, list[str]] = {}
    for each in sorted(of, key=lambda each: not each.decided):
        words.setdefault(each.word, []).append(each.where)
    return "; ".join(f"{word}: {', '.join(where)}" for word, where in words.items())


def holds_across(of: Sequence[Judged]) -> str:
    """Whether the settings that decide a claim decide it alike, and in what they differ."""
    decided = [each for each in of if each.decided]
    if not decided:
        return ABSENT
    if len({each.found.verdict for each in decided}) > 1:
        return "**no**: it depends on the setting"
    if len(decided) == 1:
        return "one setting"
    counts = {
        "corpora": {corpus(each) for each in decided},
        "lengths of training": {updates(each) for each in decided},
        "levels": {each.place for each in decided},
    }
    varied = [f"{len(values)} {noun}" for noun, values in counts.items() if len(values) > 1]
    return plural(len(decided), "verdict") + (f" ({spoken(varied)})" if varied else " on one corpus, after one budget")


def corpus(found: Judged) -> str:
    return str(found.data.manifest["corpus"].get("name"))


def updates(found: Judged) -> str:
    return str(found.data.manifest["config"].get("train", {}).get("updates"))


def caveat(of: Sequence[Judged]) -> str:
    """The first reason for doubt that applies to a verdict."""
    decided = [each for each in of if each.decided]
    if not decided:
        return ABSENT
    if any(each.found.earlier for each in decided):
        return "tested under earlier rules"
    for each in decided:
        if each.found.fragile:
            return f"in {escape(each.data.setting)} it hangs on seed {spoken(each.found.fragile)}"
        against = [view.way for view in each.found.views if view.says is Beside.disagrees]
        if against:
            return f"in {escape(each.data.setting)} against it: {escape(against[0])}"
    if len({corpus(each) for each in decided}) < 2:
        return f"one corpus only, {escape(corpus(decided[0]))}"
    return ONE_RATE if all(each.found.one_rate for each in decided) else ABSENT


def following(of: Sequence[Judged]) -> str:
    """The command that would decide more, the shortest first; a dash where some setting has decided."""
    of = sorted(of, key=lambda each: len(each.data.manifest["command"]))
    for each in of:
        if each.found.earlier and each.found.verdict is not None:
            return name(f"{each.data.manifest['command']} first_seed={FRESH}")
    if any(each.decided for each in of):
        return ABSENT
    for each in of:
        if each.found.verdict is Verdict.unresolved and each.data.study.pairs is Pairs.seeds:
            most = max((part.seeds + part.more_seeds for part in each.found.parts if part.more_seeds), default=0)
            if most:
                return name(with_seeds(each.data.manifest["command"], most))
        if each.found.command:
            needs = f"needs {escape(each.found.claim.needs)}; then " if each.found.claim.needs else ""
            return f"{needs}{name(each.found.command)}"
    return ABSENT


FRESH = 100  # the first of the seeds that are tested under the present rules
