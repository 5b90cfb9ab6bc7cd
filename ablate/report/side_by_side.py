"""Compare settings of a study: do the results of one carry over to the other?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from ablate.analysis.effects import Comparison
from ablate.analysis.judging import ClaimVerdict
from ablate.analysis.measured import STAND_INS
from ablate.analysis.metrics import metric
from ablate.analysis.statistics import Effect, Interval
from ablate.analysis.verdicts import Reading, Verdict
from ablate.config import BadInput
from ablate.records.read import read_records
from ablate.records.read import settings as known_settings
from ablate.records.report_data import ReportData
from ablate.report.figures.intervals import draw_effect
from ablate.report.figures.style import INK, legend_above, limits, name_marks, panels, styled
from ablate.report.render import TEMPLATES, pictures
from ablate.report.setting_names import compared_settings
from ablate.report.text.answer import reading
from ablate.report.text.claims import verdict
from ablate.report.wording import ABSENT, escape, estimate, plural, spoken, table, with_unit
from ablate.report.wording import name as coded
from ablate.study import QUALITY
from ablate.system.atomic import write_atomic

CARRIES, TURNS, OPEN = "carries over", "does not carry over", "unknown"


def compare(root: Path, study: str, settings: str | Sequence[str]) -> Path:
    """Write `reports/<study>/<setting>+<setting>/` from the records of both and return it. Raises BadInput.

    `settings` are two or more, in a list or, as on the command line, in one text with commas between.
    """
    if isinstance(settings, str):
        settings = compared_settings(settings, {study: known_settings(root).get(study, [])})[study]
    read = read_settings(root, study, settings)
    figures = draw(read)
    text = markdown(read, figures)
    folder = root / "reports" / study / "+".join(settings)
    for name, content in pictures(text, title(read), figures).items():
        write_atomic(folder / name, content)
    write_atomic(folder / "report.md", text)
    return folder


def read_settings(root: Path, study: str, settings: Sequence[str]) -> list[ReportData]:
    """The records of these settings, judged by a metric that measures something in each. Raises BadInput."""
    read = [read_records(root / "experiments" / study / setting) for setting in settings]
    declared, *others = {data.declared.metric for data in read}
    common = [name for name in (declared, *STAND_INS) if not any(name in data.unmeasured for data in read)]
    if others or not common:
        raise BadInput(f"{study}: {' and '.join(settings)} are compared by different metrics")
    return [data.judged_by(common[0]) for data in read]


def instead(read: Sequence[ReportData]) -> str:
    """Why the settings are not compared by the metric of the study, in a sentence; empty if they are."""
    used, declared = read[0].declared.metric, read[0].manifest["study"].get("metric", "test_bleu")
    if declared in (used, QUALITY):
        return ""
    why = {data.setting: data.unmeasured[declared] for data in read if declared in data.unmeasured}
    where = spoken([f"in {setting}, because {reason}" for setting, reason in why.items()])
    return f"{metric(declared).label} is not measured {where}: {metric(used).label} stands in for it."


def draw(read: Sequence[ReportData]) -> dict[str, Figure]:
    with styled():
        figure = effects(read)
    return {} if figure is None else {"effects": figure}


def title(read: Sequence[ReportData]) -> str:
    return f"{read[0].study.name}: {', '.join(data.setting for data in read)}"


def markdown(read: Sequence[ReportData], figures: Iterable[str]) -> str:
    return TEMPLATES.get_template("compare.md.j2").render(
        study=read[0].study,
        settings=[data.setting for data in read],
        commands=[data.manifest["command"] for data in read],
        claims=claims(read),
        variants=variants(read),
        instead=instead(read),
        figures=figures,
    )


def claims(read: Sequence[ReportData]) -> str:
    """A row for each claim: its verdict in each setting, and whether it carries over."""
    judged = [{each.claim.id: each for each in d.verdicts} for d in read]
    rows = []
    for id, first in judged[0].items():
        found = [each.get(id) for each in judged]
        cells = [verdict_and_effect(each) if each else "no such claim" for each in found]
        carries = carried([each.verdict if each else None for each in found], Verdict.unresolved)
        rows.append([escape(id), escape(first.claim.sentence), *cells, carries])
    header = ["claim", "says", *(escape(data.setting) for data in read), ""]
    return table(header, rows) if rows else ""


def verdict_and_effect(found: ClaimVerdict) -> str:
    """The verdict, and the effect if the claim has one contrast."""
    part = found.only
    if part is None or not part.seeds:
        return verdict(found)
    effect = Interval(part.effect, part.low, part.high, part.seeds)
    shown = estimate(effect, metric(part.contrast.metric), signed=part.contrast.baseline is not None)
    return f"{verdict(found)}: {shown}"


def variants(read: Sequence[ReportData]) -> str:
    """A row for each comparison: its difference and reading in each setting, and whether the reading carries over."""
    held, names = held_in(read)
    rows = []
    for name in names:
        found = [each.get(name) for each in held]
        readings = [each.reading if each and not each.conditional else None for each in found]
        readings = [None if each is Reading.earlier else each for each in readings]
        rows.append([coded(name), *(shown(each) for each in found), carried(readings, Reading.unresolved)])
    unit = with_unit(metric(read[0].study.metric))
    header = ["variant", *(f"{escape(data.setting)}: difference in {unit} [95 %]" for data in read), ""]
    return table(header, rows) if rows else ""


def held_in(read: Sequence[ReportData]) -> tuple[list[dict[str, Comparison]], list[str]]:
    """The comparisons with pairs of each setting, by variant, and the variants of them all."""
    held = [{each.variant: each for each in data.comparisons if each.arms.seeds} for data in read]
    return held, list(dict.fromkeys(name for each in held for name in each))


def shown(found: Comparison | None) -> str:
    if found is None:
        return ABSENT
    difference = estimate(found.effect, metric(found.metric), signed=True)
    return f"{difference}, {reading(found)}, {plural(found.effect.seeds, 'seed')}"


def carried(words: Sequence[Verdict | Reading | None], unresolved: Verdict | Reading) -> str:
    """Whether a verdict or a reading carries over. Only one that is resolved in all settings can, or can fail to."""
    if None in words or unresolved in words:
        return OPEN
    return CARRIES if len(set(words)) == 1 else TURNS


def effects(read: Sequence[ReportData]) -> Figure | None:
    """A panel for each setting, all on one scale, and a row for each comparison."""
    held, names = held_in(read)
    if not names:
        return None
    figure, axes = panels(1, len(read), 1.5 + 0.5 * len(names), sharex=True, sharey=True)
    for panel, data, found in zip(axes[0], read, held):
        panel.axvline(0, color=INK, linewidth=1, zorder=1)
        for row, name in enumerate(names):
            if name in found:
                draw_effect(panel, data, found[name], row)
        panel.set_title(data.setting)
        panel.set_xlabel(f"difference in {with_unit(metric(data.study.metric))}")
        panel.grid(axis="y", visible=False)
    shown = [comparison for found in held for comparison in found.values()]
    points = [point for each in shown for point in (each.arms.variant - each.arms.baseline)]
    margins = [side for each in shown for side in (-each.margin, each.margin)]
    axes[0, 0].set_xlim(limits([*points, 0, *margins], [end for each in shown for end in ends(each.effect)]))
    axes[0, 0].set_yticks(range(len(names)), names)
    axes[0, 0].set_ylim(len(names) - 0.45, -0.5)
    name_marks(axes[0, 0])
    legend_above(figure, axes[0, 0])
    return figure


def ends(effect: Effect) -> tuple[float, float]:
    return effect.low, effect.high
