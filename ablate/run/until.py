"""until=resolved: add seeds, a few at a time, until every claim that can be decided is decided.

Every batch is a look at the data, so the intervals must be valid at every look (`ablate.analysis.sequential`).
"""

from __future__ import annotations

from collections.abc import Callable

from ablate.analysis.kinds import SURVIVORS
from ablate.analysis.quality import Beside
from ablate.analysis.verdicts import Reading, Verdict
from ablate.plan.composition import Plan
from ablate.records.collect import Corpora, collect
from ablate.records.read import read_records
from ablate.records.report_data import ReportData
from ablate.store.folders import Store

BATCH = 2  # seeds added at a time


def next_batch(plan: Plan, store: Store, corpora: Corpora, say: Callable[[str], None]) -> Plan | None:
    """The plan with more seeds; None if all is decided, max_seeds are trained, or a run failed."""
    seeds, most = plan.config.seeds, plan.config.max_seeds
    if not all(map(store.done, plan.runs)):
        return None
    data = read_records(collect(store, plan, corpora))
    if data.earlier:
        say("some of these seeds were judged under earlier rules, so nothing is decided by them: set first_seed=")
        return None
    undecided = open_questions(data)
    if not undecided:
        never = unmeasured_claims(data)
        say(f"decided with {seeds} seeds" + (f"; not measured here: {', '.join(never)}" if never else ""))
        return None
    if seeds >= most:
        say(f"max_seeds={most} are trained; undecided: {', '.join(undecided)}")
        return None
    more = min(seeds + BATCH, most)
    say(f"undecided after {seeds} seeds: {', '.join(undecided)}; training {more} seeds")
    return plan.with_seeds(more)


def unmeasured_claims(data: ReportData) -> list[str]:
    """Claims that no number of seeds decides, because their metric measures nothing here."""
    return [found.claim.id for found in data.verdicts if not found.measured]


def open_questions(data: ReportData) -> list[str]:
    """Claims that more seeds may decide. If the study tests no claim, the variants whose reading is unresolved."""
    tested = [found for found in data.verdicts if found.verdict is not None]
    if tested or unmeasured_claims(data):
        parts = [(found, part) for found in tested if found.verdict is Verdict.unresolved for part in found.parts]
        undecided = [f for f, part in parts if part.verdict is Verdict.unresolved and part.note != SURVIVORS
                     and part.bleu is not Beside.disagrees]  # fmt: skip
        return list(dict.fromkeys(found.claim.id for found in undecided))
    unresolved = [found for found in data.comparisons if found.reading is Reading.unresolved]
    return [found.variant for found in unresolved if not found.conditional]
