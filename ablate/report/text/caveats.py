"""What qualifies a report's answer, and how many more seeds would decide what is unresolved. Markdown lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from ablate.analysis.effects import mean_of, trained
from ablate.analysis.judging import ClaimVerdict
from ablate.analysis.metrics import dead_unit_share, metric
from ablate.analysis.power import MOST_SEEDS
from ablate.analysis.verdicts import Reading, Verdict
from ablate.records.report_data import ReportData
from ablate.report.text.claims import ENOUGH
from ablate.report.wording import escape, estimate, in_units, listed, name, plural, spoken
from ablate.study import Pairs

MANY_DEAD = 0.5  # of the units of a layer


def qualifications(data: ReportData) -> list[str]:
    """What a reader must know before believing the answer. Markdown."""
    lines = []
    idle = []
    for cell in data.trained_cells:
        runs = data.runs_of(cell.name)
        lost = Counter(run["status"] for run in runs if run["status"] != "finished")
        if lost:
            words = listed([f"{count} {status}" for status, count in sorted(lost.items())])
            of = f"Of {plural(len(runs), 'run')} of {name(cell.name)}"
            lines.append(f"{of}, {words}: its mean difference is conditional on survival.")
        unlearned = sum(run["status"] == "finished" and run["learned"] == 0 for run in runs)
        idle += [f"{unlearned} of {plural(len(runs), 'run')} of {name(cell.name)}"] if unlearned else []
    if idle:
        unigram = data.unigram
        bar = f" ({unigram:.2f} nats a token)" if unigram else ""
        lines.append(
            f"{spoken(idle)} finished without having learned: their loss is hardly below that of the token "
            f"frequencies alone{bar}. A difference to such runs shows only that they did not learn."
        )
    lines += dying(data)
    for found in data.comparisons:
        if found.arms.mixed:
            seeds = listed(found.arms.mixed)
            where = "on another device or precision than the baseline"
            lines.append(f"{name(found.variant)}: seeds {seeds} ran {where} and are left out.")
    planned = len(data.manifest["plan"])
    if planned > len(data.runs):
        lines.append(f"{len(data.runs)} of {planned} planned runs are in the records.")
    return lines


def dying(data: ReportData) -> list[str]:
    """A line for each cell with finished runs of which a layer has more than half of its units dead, and their score.

    So many are a sign of a learning rate that is too high, or of a bad initialisation.
    """
    measure, lines = metric(data.study.metric), []
    for cell in data.trained_cells:
        runs = [run for run in data.runs_of(cell.name) if trained(run)]
        dead = {run["seed"]: share for run in runs if (share := dead_unit_share(run) or 0) > MANY_DEAD}
        if dead:
            ends = list(dict.fromkeys(f"{100 * share:.0f}" for share in (min(dead.values()), max(dead.values()))))
            scores = [run for run in runs if run["seed"] in dead]
            score = f"{estimate(mean_of(scores, measure, data.estimator), measure)} {in_units(measure)}"
            lines.append(
                f"In {len(dead)} of {plural(len(runs), 'finished run')} of {name(cell.name)} more than half of the "
                f"units of a layer are dead: {' to '.join(ends)} % in the worst layer, at {score}."
            )
    return lines


def needs(data: ReportData, verdicts: Sequence[ClaimVerdict]) -> tuple[list[str], str | None]:
    """How many more seeds each unresolved variant and claim calls for, and the command that runs them.

    A study of one variant against itself never asks for more: it would end in a false alarm.
    """
    if data.study.pairs is Pairs.halves:
        return [], None
    lines, most = [], 0
    for found in [row.own for row in data.tuning.rows] if data.tuning else data.comparisons:
        if found.reading is not Reading.unresolved or not found.arms.seeds or found.conditional:
            continue
        if found.effect.seeds < 2:
            lines.append(f"{name(found.variant)}: one seed shows no spread; run at least 5.")
            most = max(most, 5)
        elif found.more_seeds is None:
            lines.append(f"{name(found.variant)}: more than {MOST_SEEDS} seeds, so this study cannot decide it.")
        elif found.more_seeds == 0:
            lines.append(f"{name(found.variant)}: none; {ENOUGH}.")
        else:
            lines.append(f"{name(found.variant)}: about {plural(found.more_seeds, 'more seed')}.")
            most = max(most, found.effect.seeds + found.more_seeds)
    for claim in verdicts:
        wanted = [part for part in claim.parts if part.more_seeds and claim.verdict is Verdict.unresolved]
        if wanted:
            more = max(part.more_seeds or 0 for part in wanted)
            lines.append(f"claim {escape(claim.claim.id)}: about {plural(more, 'more seed')}.")
            most = max(most, *(part.seeds + (part.more_seeds or 0) for part in wanted))
    return lines, with_seeds(data.manifest["command"], most) if most else None


def with_seeds(command: str, seeds: int) -> str:
    """The command of a study with this many seeds."""
    key = "max_seeds" if "until=resolved" in command.split() else "seeds"
    return re.sub(rf"\s+{key}=\S+", "", command) + f" {key}={seeds}"
