"""Statistics for ten seeds and more that a few outliers hardly change, with bootstrap intervals.

Definitions of rliable: Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice",
arXiv:2108.13264. Below MINIMUM_SEEDS everything is nan, since percentile intervals of few values are too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from ablate.analysis.statistics import Interval

MINIMUM_SEEDS = 10
RESAMPLES = 5000
TRIMMED = 0.25  # of the values at either end


def interquartile_mean(scores: np.ndarray | Sequence[float], level: float = 0.95) -> Interval:
    """Mean of the middle half of scores [seed] or [seed, task], of all seeds and tasks together.

    The interval is that of the stratified percentile bootstrap: seeds are resampled within each task.
    """
    tasks = by_task(scores)
    return _bootstrapped(tasks, lambda *drawn, axis=-1: _middle(drawn, axis), level)


def probability_of_improvement(
    baseline: np.ndarray | Sequence[float],
    variant: np.ndarray | Sequence[float],
    higher_is_better: bool = True,
    level: float = 0.95,
) -> Interval:
    """How often a run of the variant does better than one of the baseline, over all pairs of runs; ties count half.

    Scores are [seed] or [seed, task]; tasks are averaged. Seeds are resampled within each arm and task as if the arms
    were independent. Runs of one seed are positively correlated if at all, so the interval may be too wide.
    """
    first, second = by_task(baseline), by_task(variant)
    arms = (first, second) if higher_is_better else (second, first)

    def better(*drawn: np.ndarray, axis: int = -1) -> np.ndarray:
        """Mann and Whitney's U over the greatest that it can be; the seeds are on the last axis."""
        pairs = zip(drawn[: len(first)], drawn[len(first) :], strict=True)
        return np.mean(
            [(np.sign(high[..., None] - low[..., None, :]) + 1).mean(axis=(-2, -1)) / 2 for low, high in pairs], axis=0
        )

    return _bootstrapped([*arms[0], *arms[1]], better, level)


def by_task(scores: np.ndarray | Sequence[float]) -> list[np.ndarray]:
    """Scores [seed] or [seed, task] as a list of [seed]."""
    scores = np.asarray(scores, dtype=float)
    return list(scores[None] if scores.ndim == 1 else scores.T)


def _middle(tasks: Sequence[np.ndarray], axis: int) -> np.ndarray:
    return np.asarray(stats.trim_mean(np.concatenate(tasks, axis=axis), TRIMMED, axis=axis))


def _bootstrapped(samples: list[np.ndarray], statistic: Callable[..., np.ndarray], level: float) -> Interval:
    """A statistic of several samples [seed], each resampled by itself. The draws are the same at each call."""
    n = min(len(sample) for sample in samples)
    if n < MINIMUM_SEEDS:
        return Interval(math.nan, math.nan, math.nan, n)
    found = stats.bootstrap(
        samples,
        statistic,
        n_resamples=RESAMPLES,
        batch=500,
        confidence_level=level,
        method="percentile",
        random_state=np.random.default_rng(0),
    )
    ends = found.confidence_interval
    return Interval(float(statistic(*samples)), float(ends.low), float(ends.high), n)
