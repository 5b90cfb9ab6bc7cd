"""What each command would do first, done once in the server that commands are forked from (see forks.py)."""

from __future__ import annotations

import gc
from importlib import import_module

from ablate.report.figures.style import rendered, styled

MODULES = [
    *("ablate.cli", "ablate.data.prepare", "ablate.diagnostics.similarity", "ablate.plan.forecast"),
    *("ablate.records.collect", "ablate.report.rebuilding", "ablate.report.verify", "ablate.run.representations"),
    *("ablate.run.launching", "ablate.run.until", "ablate.tracking.report_run", "ablate.training.member"),
    *("hydra.main", "hydra_plugins.ablate_sweeper", "hydra_plugins.hydra_joblib_launcher._core"),
    *("pyarrow.pandas_compat", "rich.table", "torch._dynamo"),
]


def draw() -> None:
    from matplotlib.figure import Figure

    with styled():
        figure = Figure(layout="constrained")
        figure.subplots().plot([1, 2], label="warm")
        figure.legend()
        rendered(figure)


def compose() -> None:
    from corpora import composed

    composed(["+sweep=norm_placement", "data=fixture", "preset=smoke"])


for name in MODULES:
    import_module(name)
draw()
compose()
gc.freeze()  # so that no collection in a child touches, and thereby copies, what all of them share
