"""The records of tuned settings, whose best values rates= takes."""

from __future__ import annotations

from pathlib import Path

from ablate.analysis.budgets import BUDGET, budget_factor
from ablate.config import BadInput
from ablate.plan.rates import OwnBest, TunedSetting
from ablate.records.read import read_manifest, read_outline, settings


def tuned_setting(root: Path, name: str) -> TunedSetting:
    """What each variant of a tuned setting does best with. `name` is STUDY/SETTING. Raises BadInput."""
    study, _, setting = name.partition("/")
    if setting not in settings(root).get(study, []):
        raise BadInput(f"rates={name}: there are no records of it{choices(root)}")
    folder = root / "experiments" / study / setting
    data = read_outline(folder)
    if data.tuning is None:
        raise BadInput(f"rates={name}: it was not tuned, with tune={choices(root)}")
    factor, usual = budget_factor(data.tuning.study), data.manifest["config"]["train"]["updates"]
    cells = {cell.name: cell for cell in data.tuning.study.cells()}
    return TunedSetting(
        name,
        tuple(data.seeds),
        tuple(
            OwnBest(
                cells[cell].variant,
                {each: level for each, level in cells[cell].factors.items() if each != factor},
                int(cells[cell].overrides.get(BUDGET, usual)),
                best.values,
                tuple(best.edges),
            )
            for cell, best in data.tuning.best.items()
        ),
    )


def choices(root: Path) -> str:
    """The settings under `root` that were tuned, for an error message."""
    found = []
    for study, names in settings(root).items():
        for setting in names:
            try:
                tuned = "grid" in read_manifest(root / "experiments" / study / setting)
            except BadInput:
                continue
            found += [f"{study}/{setting}"] if tuned else []
    return f"; settings that were tuned: {', '.join(found)}" if found else "; no setting was tuned here"
