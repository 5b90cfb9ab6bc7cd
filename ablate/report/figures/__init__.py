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
from ablate.report.figures.layers import dead_units, gradient_norms
from ablate.report.figures.learning_curves import learning_curves
from ablate.report.figures.quality_and_cost import quality_and_cost
from ablate.report.figures.scale import saturation, score_variance
from ablate.report.figures.sensitivity import sensitivity
from ablate.study import Study


def nothing(data: ReportData) -> str:
    return ""


@dataclass(frozen=True)
class Entry:
    draw: Callable[[ReportData], Figure | None]
    title: str
    caption: str  # what to look at, independent of the results; {intervals} is replaced by the kind of intervals
    seen: Callable[[ReportData], str] = nothing  # a sentence on what these records show; may be empty
    place: str = "detail"  # or "evidence", for figures that answer the study's question
    shows: tuple[str, ...] = ()  # metrics; if a claim is about one of them, a detail becomes evidence

    def text(self, data: ReportData) -> str:
        """The text below the figure."""
        return f"{self.caption.format(intervals=f'95 % {data.estimator.name}s')} {self.seen(data)}".rstrip()

    def place_in(self, study: Study) -> str:
        """The section of a study's report that the figure belongs to."""
        claimed = {part.metric for claim in study.claims for part in claim.parts}
        return "evidence" if claimed & set(self.shows) else self.place


# In the order of the report.
FIGURES = {
    "interaction": Entry(
        interaction,
        "Every cell, and its difference to the baseline",
        "What to see: whether a row of the lower map (blue is better than the baseline, red worse) changes from left "
        "to right; if it does not, the difference does not depend on the level. The means in the upper map show "
        "whether a difference shrinks because both fail. Brackets hold 95 % intervals, which colours do not show.",
        changes_seen,
        "evidence",
    ),
    "effects": Entry(
        effects,
        "Effect of each variant",
        "What to see: whether an interval (bar) excludes zero (line) or lies inside the margin of the table of "
        "variants (grey; dotted if a claim sets its own). Each small mark is a seed.",
        intervals_seen,
        "evidence",
    ),
    "sensitivity": Entry(
        sensitivity,
        "Sensitivity to the learning rate",
        "What to see: at which rate each variant does best on validation (ring), whether that rate is inside the grid, "
        "and how fast the variant gets worse on either side. Lines are means over the seeds that have a score, bands "
        "{intervals}.",
        place="evidence",
    ),
    "over_factor": Entry(
        over_factor,
        "Outcomes over the factor",
        "What to see: whether the lines part, cross or stay together from level to level, against their intervals "
        "(95 %; a bar without a cap leaves the panel). Small marks are the seeds that have a score. Levels that "
        "grow by factors have a logarithmic scale, others are evenly spaced. Differences are judged in pairs, so it "
        "does not matter whether bars overlap.",
        place="evidence",
    ),
    "quality_and_cost": Entry(
        quality_and_cost,
        "Quality and its cost",
        "What to see: whether the score still rises as parameters and operations rise. Small marks are seeds, bars "
        "{intervals} (a bar without a cap leaves the panel). The axes of costs start at zero.",
        place="evidence",
    ),
    "initial_gradients": Entry(
        initial_gradients,
        "Gradient norm by layer at initialisation",
        "What to see: whether gradients are even across layers or shrink or grow towards the embedding (layer 1), "
        "whether deeper stacks (darker) do so more, and whether encoder and decoder agree. Lines are medians over "
        "seeds on a logarithmic scale; a tick at the very bottom is a layer whose gradient has vanished.",
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
        "What to see: whether all lines, one for each seed, slope the same way, and how far seeds scatter.",
    ),
    "learning_curves": Entry(
        learning_curves,
        "Learning curves",
        "What to see: which variant learns faster, and which ends lower; for that, the last half may be enlarged "
        "beside or below. Lines are means over the runs that finished, bands {intervals} over seeds.",
    ),
    "gradient_norms": Entry(
        gradient_norms,
        "Gradient norm by layer",
        "What to see: whether gradients are even across layers (flat lines) or grow or shrink with depth (sloped "
        "lines). Lines are means over seeds, bars or bands their range; the scale is logarithmic.",
        shows=("initial_gradient_norm_last_ffn", "initial_gradient_norm_ratio_last_to_first", "initial_gradient_span"),
    ),
    "dead_units": Entry(
        dead_units,
        "Dead and inactive feed-forward units by layer",
        "What to see: which layers have dead units, and what share of pre-activations is negative at the end of "
        "training on one batch. A unit is dead if its output is zero (for GELU and SiLU at most 0.001 in size) on "
        "every token of the validation set, with the weights that were kept. Lines are means over seeds, bars or bands "
        "their range.",
        shows=("dead_unit_share",),
    ),
}

extend("figure", FIGURES)
