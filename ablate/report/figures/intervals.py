"""Figures that compare variants by the study's metric."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ablate.analysis.effects import Comparison, of_cell, values
from ablate.analysis.metrics import metric
from ablate.records.report_data import ReportData
from ablate.report.figures.style import INK, WIDTH, beside, legend_above, limits, looks, name_marks, panels
from ablate.report.levels import by_level, coordinates
from ablate.report.wording import with_unit
from ablate.study import Cell, Study


def effects(data: ReportData) -> Figure | None:
    """Paired difference of each variant to its baseline: seeds, mean and interval, zero and the margins.

    The grey band is the row's margin in the table of variants. Other margins of claims on the contrast are dotted.
    Rows whose differences are of another order of size have an axis of their own.
    """
    cells = {cell.name: cell for cell in data.trained_cells}
    found = [each for each in data.comparisons if each.variant in cells]
    if not any(each.arms.seeds for each in found):
        return None
    groups = on_one_axis(found)
    heights = [len(group) for group in groups]
    figure, axes = panels(len(groups), 1, 0.95 + 0.5 * len(found) + 0.4 * len(groups), height_ratios=heights)
    names = dict(zip((each.variant for each in found), row_names(found, cells)))
    for panel, group in zip(axes[:, 0], groups):
        draw_rows(panel, data, group, names)
    label_margins(axes[0, 0], data.study, found)
    name_marks(axes[0, 0], bar="bar: mean and 95 % interval" if any(map(has_interval, found)) else "")
    legend_above(figure, axes[0, 0])
    label = [f"difference in {with_unit(metric(data.study.metric))},", contrast(data.study, found, cells)]
    axes[-1, 0].set_xlabel((" " if sum(map(len, label)) < 65 else "\n").join(label))
    return figure


APART = 10  # times by which differences on one axis may differ, so that the smallest can still be read


def on_one_axis(found: Sequence[Comparison]) -> list[list[Comparison]]:
    """Neighbouring rows in groups, within which no difference is more than ten times as large as another."""
    groups: list[list[Comparison]] = []
    for each in found:
        joined = [*groups[-1], each] if groups else [each]
        sizes = [size(one) for one in joined if one.arms.seeds]
        if groups and max(sizes, default=0) <= APART * min(sizes, default=0):
            groups[-1].append(each)
        else:
            groups.append([each])
    return groups


def size(found: Comparison) -> float:
    """How far a row reaches from zero; a difference inside the margin counts as the margin."""
    ends = (found.effect.mean, found.effect.low, found.effect.high)
    return max(found.margin, *(abs(end) for end in ends if np.isfinite(end)), 1e-12)


def has_interval(found: Comparison) -> bool:
    return bool(np.isfinite(found.effect.low))


def draw_rows(panel: Axes, data: ReportData, found: Sequence[Comparison], names: dict[str, str]) -> None:
    panel.axvline(0, color=INK, linewidth=1, zorder=1)
    for row, each in enumerate(found):
        if each.arms.seeds:
            draw_effect(panel, data, each, row)
    points = [point for each in found for point in (each.arms.variant - each.arms.baseline)]
    margins = [*claimed_margins(data.study, found).values(), *(each.margin for each in found if each.arms.seeds)]
    ends = [end for each in found for end in (each.effect.low, each.effect.high)]
    panel.set_xlim(limits([*points, 0, *margins, *(-margin for margin in margins)], ends))
    panel.set_yticks(range(len(found)), [f"{names[each.variant]}\n{pairs_kept(each)}" for each in found])
    panel.set_ylim(len(found) - 0.45, -0.5)
    panel.grid(axis="y", visible=False)


def intervals_seen(data: ReportData) -> str:
    """The number of intervals that exclude zero, and that lie inside the margin."""
    found = [each for each in data.comparisons if each.arms.seeds and np.isfinite(each.effect.low)]
    if not found:
        return ""
    apart = sum(each.effect.low * each.effect.high > 0 for each in found)
    inside = sum(-each.margin < each.effect.low and each.effect.high < each.margin for each in found)
    return f"Intervals that exclude zero: {apart} of {len(found)}; that lie inside the margin: {inside}."


def draw_effect(panel: Axes, data: ReportData, found: Comparison, row: int) -> None:
    effect, look = found.effect, looks(data)[next(c.variant for c in data.cells if c.name == found.variant)]
    if found.margin:
        panel.fill_betweenx(
            [row - 0.45, row + 0.45], -found.margin, found.margin, zorder=0, linewidth=0, facecolor="0.9"
        )
    for margin in claimed_margins(data.study, [found]).values():
        for side in (-margin, margin):
            panel.plot([side, side], [row - 0.45, row + 0.45], color=INK, linewidth=1.2, linestyle=":", zorder=1)
    difference = found.arms.variant - found.arms.baseline
    below = (
        row + 0.18 + 0.2 * np.arange(len(difference)) / max(1, len(difference) - 1)
    )  # one below another, so that equal seeds do not overlap
    panel.scatter(difference, below, s=30, zorder=2, **look.seed)
    if np.isfinite(effect.low):
        panel.plot([effect.low, effect.high], [row, row], color=look.color, linewidth=2.5, solid_capstyle="butt")
    panel.plot(effect.mean, row, "|", color=look.color, markersize=16, markeredgewidth=2.5)


def claimed_margins(study: Study, found: Sequence[Comparison]) -> dict[str, float]:
    """Claim -> its margin (the smallest difference that matters), for claims on these cells that set one.

    A margin of zero (the line at zero) or equal to that of the table is left out.
    """
    return {
        claim.id: part.margin
        for each in found
        for claim in study.claims
        for part in claim.parts
        if part.metric == each.metric and {part.variant, part.baseline} == {each.variant, each.baseline}
        if part.margin and part.than is None and part.margin != each.margin
    }


def label_margins(panel: Axes, study: Study, found: list[Comparison]) -> None:
    """Explain the grey band and the dotted lines in the legend."""
    margins = sorted({f"{each.margin:.2g}" for each in found if each.arms.seeds and each.margin}, key=float)
    if margins:
        span = margins[0] if len(margins) == 1 else f"{margins[0]} to {margins[-1]}"
        panel.fill_betweenx([], [], facecolor="0.9", linewidth=0, label=f"margin ±{span}")
    claimed = claimed_margins(study, found)
    if claimed:
        names = ", ".join(f"{claim} ±{margin:.2g}" for claim, margin in claimed.items())
        panel.plot([], [], color=INK, linewidth=1.2, linestyle=":", label=f"margin of claim {names}")


def row_names(found: list[Comparison], cells: dict[str, Cell]) -> list[str]:
    """Names of variants and levels; only levels if all rows show the same variant."""
    of_one = len({cells[each.variant].variant for each in found}) == 1
    names = []
    for each in found:
        cell, level = cells[each.variant], coordinates(cells[each.variant].factors)
        names.append(level if level and of_one else ", ".join(part for part in (cell.variant, level) if part))
    return names


def contrast(study: Study, found: list[Comparison], cells: dict[str, Cell]) -> str:
    variants = {cells[each.variant].variant for each in found}
    variant = variants.pop() if len(variants) == 1 else "variant"
    at = f" at the same {' and '.join(study.factors)}" if study.factors else ""
    return f"{variant} minus {study.baseline}{at}"


def pairs_kept(found: Comparison) -> str:
    kept, all_pairs = len(found.arms.seeds), len({*found.arms.seeds, *found.arms.lost, *found.arms.mixed})
    return f"{kept} of {all_pairs} pairs" if kept < all_pairs else "1 pair" if kept == 1 else f"{kept} pairs"


def scores(data: ReportData) -> Figure | None:
    """The score of each run; a line joins the runs of a seed.

    There is a panel for each variant with its baseline, or with factors a panel for each level with all variants.
    """
    measure, look = metric(data.study.metric), looks(data)
    cells = {cell.name: cell for cell in data.trained_cells}
    scored = {name: values(of_cell(data.runs, name), measure) for name in cells}
    if not any(scored.values()):
        return None
    shown = compared_together(data, cells)
    widest = max(len(part) for cell in cells.values() for part in cell.variant.split(","))
    most = max(len(side) for _, side in shown)
    columns = min(beside([title for title, _ in shown], 4), max(1, int(WIDTH * 12 / ((widest + 1) * most))))
    rows = -(-len(shown) // columns)
    figure, axes = panels(rows, columns, 0.6 + 2.3 * rows, sharey=True)
    for panel, (title, side) in zip(axes.flat, shown):
        for seed in sorted(set.intersection(*(set(scored[cell.name]) for cell in side))):
            line = [scored[cell.name][seed] for cell in side]
            panel.plot(range(len(side)), line, color="0.6", linewidth=1, zorder=1)
        ticks = []
        for place, cell in enumerate(side):
            points = list(scored[cell.name].values())
            panel.scatter([place] * len(points), points, s=36, zorder=2, **look[cell.variant].seed)
            missing = len(data.runs_of(cell.name)) - len(points)
            ticks.append(cell.variant.replace(",", ",\n") + (f"\n{missing} without\nscore" if missing else ""))
        panel.set_xticks(range(len(side)), ticks)
        panel.set_xlim(-0.5, len(side) - 0.5)
        panel.set_title(title)
        panel.grid(axis="x", visible=False)
    for panel in axes.flat[len(shown) :]:
        panel.set_visible(False)
    for panel in axes[:, 0]:
        panel.set_ylabel(with_unit(measure))
    if any(len(side) > 1 for _, side in shown):
        axes[0, 0].plot([], [], color="0.6", linewidth=1, label="a line is a seed")
        legend_above(figure, axes[0, 0])
    return figure


def compared_together(data: ReportData, cells: dict[str, Cell]) -> list[tuple[str, list[Cell]]]:
    """Title and cells of each panel of `scores`."""
    if data.study.factors:
        return list(by_level(cells.values()).items())
    held = [(cell, cells[cell.baseline]) for cell in cells.values() if cell.baseline in cells]
    return [("", [baseline, cell]) for cell, baseline in held] or [("", [cell]) for cell in cells.values()]
