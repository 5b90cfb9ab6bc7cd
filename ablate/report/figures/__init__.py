"""The figures of a report: functions (ReportData) -> Figure, or None where the records lack what they would show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from ablate.plugins import extend
from ablate.records.read import ReportData
from ablate.report.figures.depth import initial_gradients
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
    caption: str  # what to see, whatever the results are
    seen: Callable[[ReportData], str] = nothing  # what is to be seen in these records; may be empty
    place: str = "detail"  # or "evidence": it answers the question
    shows: tuple[str, ...] = ()  # metrics; where a claim speaks of one, a detail is evidence

    def place_in(self, study: Study) -> str:
        """Where in the report of a study it belongs."""
        claimed = {part.metric for claim in study.claims for part in claim.parts}
        return "evidence" if claimed & set(self.shows) else self.place


# In the order of the report.
FIGURES = {
    "interaction": Entry(
        interaction,
        "Every cell, and its difference to the baseline",
        "What to see: whether a row of the lower map (blue better than the baseline, red worse) changes from left to "
        "right; where it is even, the difference does not depend on the level. The means above it show a difference "
        "that shrinks because both fail. Brackets hold 95 % intervals, which colours do not show.",
        changes_seen,
        "evidence",
    ),
    "effects": Entry(
        effects,
        "Effect of each variant",
        "What to see: whether an interval (bar) excludes zero (line) or lies inside the margin of the table of "
        "variants (grey; dots where a claim sets its own). Every small mark is a seed.",
        intervals_seen,
        "evidence",
    ),
    "sensitivity": Entry(
        sensitivity,
        "Sensitivity to the learning rate",
        "What to see: where each variant does best on validation (ring), whether that is inside the grid, and how fast "
        "it gets worse to either side. Lines are means over the seeds that have a score, bands 95 % t intervals.",
        place="evidence",
    ),
    "over_factor": Entry(
        over_factor,
        "Outcomes over the factor",
        "What to see: whether the lines part, cross or stay together from level to level, against their intervals "
        "(95 %; a bar without a cap leaves the panel). Small marks are the seeds that have a score. Levels that "
        "grow by factors stand on a logarithmic scale, others evenly. Differences are judged in pairs, so overlapping "
        "bars decide nothing.",
        place="evidence",
    ),
    "quality_and_cost": Entry(
        quality_and_cost,
        "Quality and its cost",
        "What to see: whether the score still rises where parameters and operations do. "
        "Small marks are seeds, bars 95 % t intervals (without a cap, one leaves the panel); costs start at zero.",
        place="evidence",
    ),
    "initial_gradients": Entry(
        initial_gradients,
        "Gradient norm by layer at initialisation",
        "What to see: whether gradients stay level towards the embedding (layer 1) or fall or grow on the way, whether "
        "deeper stacks (darker) do so by more, and whether encoder and decoder do alike. Lines are medians over seeds "
        "on a logarithmic scale; a tick at the very bottom is a layer whose gradient has vanished.",
        place="evidence",
    ),
    "score_variance": Entry(
        score_variance,
        "Variance of attention scores over the width of a head",
        "What to see: whether the variance at initialisation follows theory's lines as heads get wider. "
        "Means over all attentions of the model; every small mark is a run, both scales are logarithmic.",
        place="evidence",
    ),
    "saturation": Entry(
        saturation,
        "Saturation of the softmax",
        "What to see: how near the largest weight is to 1 and the slope to 0, where the softmax is saturated, and "
        "whether less gradient reaches queries and keys there; before training (left) and after it (right). "
        "The slope is one less the sum of a query's squared weights. Every small mark is a run.",
        place="evidence",
    ),
    "scores": Entry(
        scores,
        "Scores of every run",
        "What to see: whether the lines, each a seed, all lean the same way, and how far seeds scatter.",
    ),
    "learning_curves": Entry(
        learning_curves,
        "Learning curves",
        "What to see: which variant learns faster, and, where the last half is enlarged beside or below, which ends "
        "lower. Lines are means over the runs that finished, bands 95 % t intervals over seeds.",
    ),
    "gradient_norms": Entry(
        gradient_norms,
        "Gradient norm by layer",
        "What to see: whether gradients are even across layers (flat) or grow or fade with depth (sloped). "
        "Lines are means over seeds, bars or bands their range; the scale is logarithmic.",
        shows=("initial_gradient_norm_last_ffn", "initial_gradient_norm_ratio_last_to_first", "initial_gradient_span"),
    ),
    "dead_units": Entry(
        dead_units,
        "Dead and inactive feed-forward units by layer",
        "What to see: in which layers units are dead, off (zero; for GELU and SiLU never above 0.001 in size) on every "
        "token of the validation set with the weights that were kept; and what share of all pre-activations is "
        "negative at the end of training, on one batch. Lines are means over seeds, bars or bands their range.",
        shows=("dead_unit_share",),
    ),
}

extend("figure", FIGURES)
