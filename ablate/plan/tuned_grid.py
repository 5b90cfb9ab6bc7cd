"""The grid of tune=: what the command line, the study or the configuration says of each of the things to tune."""

from __future__ import annotations

from ablate.config import Config, grids_from
from ablate.study import RATE, Study

WARMUPS = (0.02, 0.05, 0.15, 0.4)  # shares of the updates, each about 2.7 times the one before


def tuned_grid(study: Study, config: Config) -> dict[str, list[float]]:
    """What is tuned -> its values, in ascending order. The configuration's own value is always among them."""
    given = grids_from(config.grid)
    usual = {RATE: around(config.optim.lr), "warmup": WARMUPS}
    grids = {name: given.get(name) or study.grid.get(name) or usual[name] for name in config.tuned}
    return {name: sorted({getattr(config.optim, name), *values}) for name, values in grids.items()}


def around(rate: float) -> tuple[float, ...]:
    """A learning rate and its neighbours, each twice the one before."""
    return tuple(float(f"{rate * factor:.6g}") for factor in (0.25, 0.5, 1, 2, 4))
