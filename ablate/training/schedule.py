"""The learning rate over the updates: peak * min(1, t / warmup) * decay(t), t = 1 ... updates.

The decay does not depend on the warmup, so that two warmups differ only during the longer one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ablate.config import OptimConfig
from ablate.plugins import extend


def learning_rate(config: OptimConfig, updates: int) -> Callable[[int], float]:
    """Update, counted from 1 -> learning rate. A warmup of 0 starts at the peak."""
    warmup = round(config.warmup * updates)
    decay = SCHEDULES[config.schedule](config, updates)

    def rate(t: int) -> float:
        return config.lr * min(1.0, t / warmup if warmup else 1.0) * decay(t)

    return rate


def linear(config: OptimConfig, updates: int) -> Callable[[int], float]:
    """1 - t / updates: zero at the last update."""
    return lambda t: 1 - t / updates


def inverse_sqrt(config: OptimConfig, updates: int) -> Callable[[int], float]:
    """sqrt(a / max(t, a)). With a = warmup this is the formula of Vaswani et al. 2017, section 5.3."""
    anchor = max(1, round(config.anchor * updates))
    return lambda t: math.sqrt(anchor / max(t, anchor))


SCHEDULES = {"linear": linear, "inverse_sqrt": inverse_sqrt}

extend("optim.schedule", SCHEDULES)
