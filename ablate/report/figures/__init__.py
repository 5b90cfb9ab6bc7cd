"""The figures of a report: functions (ReportData) -> Figure, or None if the records lack the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from ablate.plugins import extend
from ablate.records.report_data import ReportData
from ablate.report.figures.depth import initial_gradients, vanished_seen
from ablate.report.figures.factors import over_factor
from ablate.report.figures.heat import changes_seen, interaction
from ablate.report.figures.intervals import effects, intervals_seen, scores
from ablate.report.figures.layers import dead_units, gradient_norms, many_dead_units, uneven_gradients
from ablate.report.figures.learning_curves import learning_curves
from ablate.report.figures.over_budget import over_budget
from ablate.report.figures.quality_and_cost import quality_and_cost
from ablate.report.figures.scale import saturation, score_variance
from ablate.report.figures.sensitivity import sensitivity
from ablate.study import Study


def nothing(data: ReportData) -> str:
    return ""


def always(data: ReportData) -> bool:
    return True


@dataclass(frozen=True)
class Entry:
    draw: Callable[[ReportData], Figure | None]
    title: str
    caption: str  # what to look at, independent of the results; {intervals} is replaced by the kind of intervals
    seen: Callable[[ReportData], str] = nothing  # a sentence on what these records show; may be empty
    place: str = "detail"  # or "evidence", for figures that answer the study's question
    shows: tuple[str, ...] = ()  # metrics; if a claim is about one of them, a detail becomes evidence
    needed: Callable[[ReportData], bool] = always  # whether to draw it where no claim is about what it shows

    def text(self, data: ReportData) -> str:
        """The text below the figure."""
        return f"{self.caption.format(intervals=f'95 % {data.estimator.name}s')} {self.seen(data)}".rstrip()

    def place_in(self, study: Study) -> str:
        """The section of a study's report that the figure belongs to."""
        return "evidence" if self.is_claimed(study) else self.place

    def is_claimed(self, study: Study) -> bool:
        """Whether a claim of the study is about a metric that the figure shows."""
        return any(part.metric in self.shows for claim in study.claims for part in claim.parts)

    def of(self, data: ReportData) -> Figure | None:
        """The figure for a report; None without data, and where neither a claim nor a finding needs it."""
        return self.draw(data) if self.is_claimed(data.study) or self.needed(data) else None


# In the order of the report, whose first figure stands before its claims.
FIGURES = {
    "over_budget": Entry(
        over_budget,
        "The difference as runs train for longer",
        "What to see: whether a line keeps its distance from zero as runs train for longer, or comes closer, or "
        "crosses it. Lines join the mean differences from the baseline, bars are 95 % intervals, the grey band is the"
        " margin (the smallest difference that matters), and each small mark is a seed. The axis of updates is "
        "logarithmic.",
        place="evidence",
    ),
    "sensitivity": Entry(
        sensitivity,
        "Sensitivity to the learning rate",
        "What to see: at which rate each variant does best on validation (ring), whether that rate is inside the "
        "grid, and how fast the variant gets worse on either side. Lines are means over the seeds that have a score, "
        "bands {intervals}.",
        place="evidence",
    ),
    "over_factor": Entry(
        over_factor,
        "Outcomes over the factor",
        "What to see: whether the lines part, cross or stay together from level to level, against their intervals (95"
        " %; a bar without a cap leaves the panel). Small marks are the seeds that have a score. Levels that grow by "
        "factors have a logarithmic scale, others are evenly spaced. Differences are judged in pairs, so it does not "
        "matter whether bars overlap.",
        place="evidence",
    ),
    "effects": Entry(
        effects,
        "Effect of each variant",
        "What to see: whether an interval (bar) excludes zero (line) or lies inside the margin, the smallest "
        "difference that matters (grey; dotted if a claim sets its own). Each small mark is a seed. Rows whose "
        "differences are more than ten times as large as others have an axis of their own.",
        intervals_seen,
        "evidence",
    ),
    "quality_and_cost": Entry(
        quality_and_cost,
        "Quality and its cost",
        "What to see: whether a variant that trains for longer (further right) also scores better, and whether "
        "another one scores as well in less time. Small marks are seeds, large ones means, bars {intervals}. Time is "
        "that of all updates of a run; its axis starts at zero.",
        place="evidence",
    ),
    "interaction": Entry(
        interaction,
        "Every cell, and its difference to the baseline",
        "What to see: whether a row of the lower map (blue is better than the baseline, red worse) changes from left "
        "to right; if it does not, the difference does not depend on the level. The means in the upper map show "
        "whether a difference shrinks because both fail. Brackets hold 95 % intervals, which colours do not show.",
        changes_seen,
        "evidence",
    ),
    "initial_gradients": Entry(
        initial_gradients,
        "Gradient norm by layer at initialisation",
        "What to see: whether gradients are even across layers or shrink or grow towards the embedding (layer 1), "
        "whether deeper stacks (darker) do so more, and whether encoder and decoder agree. Lines are medians over "
        "seeds on a logarithmic scale. Panels in which no gradient vanishes share a scale of their own; in the others"
        " a tick at the very bottom is a layer whose gradient has vanished.",
        vanished_seen,
        "evidence",
    ),
    "score_variance": Entry(
        score_variance,
        "Variance of attention scores over the width of a head",
        "What to see: whether the variance at initialisation follows the lines of the theory as heads get wider. "
        "Values are means over all attention sublayers. Each small mark is a run; both scales are logarithmic.",
        place="evidence",
    ),
    "saturation": Entry(
        saturation,
        "Saturation of the softmax",
        "What to see: whether the softmax is saturated (largest weight near 1, slope near 0), and whether less "
        "gradient then reaches queries and keys, before training (left) and after it (right). The slope is one minus "
        "the sum of a query's squared weights. Each small mark is a run.",
        place="evidence",
    ),
    "scores": Entry(
        scores,
        "Scores of every run",
        "What to see: whether all lines, one for each seed, slope the same way, and how far the marks of one variant "
        "lie apart.",
    ),
    "learning_curves": Entry(
        learning_curves,
        "Learning curves",
        "What to see: which variant learns faster (its loss falls earlier), and whether the difference from the "
        "baseline, seed by seed, goes back to zero or stays. Losses have a logarithmic scale. Differences are shown "
        "from a quarter of the updates on. Lines are means over the runs that finished, bands {intervals} over seeds.",
    ),
    "gradient_norms": Entry(
        gradient_norms,
        "Gradient norm by layer",
        "What to see: whether gradients are even across layers (flat lines) or grow or shrink with depth (sloped "
        "lines). Lines are means over seeds, bars or bands their range; the scale is logarithmic.",
        shows=("initial_gradient_norm_last_ffn", "initial_gradient_norm_ratio_last_to_first", "initial_gradient_span"),
        needed=uneven_gradients,
    ),
    "dead_units": Entry(
        dead_units,
        "Dead and inactive feed-forward units by layer",
        "What to see: which layers have dead units, and what share of pre-activations is negative at the end of "
        "training on one batch. A unit is dead if its output is zero (for GELU and SiLU at most 0.001 in size) on "
        "every token of the validation set, with the weights that were kept. Lines are means over seeds, bars or "
        "bands their range.",
        shows=("dead_unit_share",),
        needed=many_dead_units,
    ),
}

extend("figure", FIGURES)
