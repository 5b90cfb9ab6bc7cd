"""What a setting's earlier records decide when a study runs again: its looks are kept, its corpus must be the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ablate.config import BadInput, DataConfig, Until
from ablate.data.cache import check_contents
from ablate.data.prepare import fingerprint_of, source_hash
from ablate.plan.composition import Plan
from ablate.plan.runs import runs_of
from ablate.records.looks import REPORT, UNTIL, Look, look_at, looks_in, related, sequential, with_look, with_rates
from ablate.store.folders import Store
from ablate.store.record_schema import Manifest
from ablate.store.schema import Damaged, decoded, to_plain


def looks_after(folder: Path, plan: Plan, runs: Sequence[dict[str, Any]], unlearned: float) -> list[Look]:
    """The looks at a setting, including the one that is made now with these runs.

    `folder` holds its earlier records, if there are any. `unlearned` is that of `ablate.analysis.tuning`.
    """
    seeds = {spec.seed for spec in plan.runs}
    looks = with_look(earlier_looks(folder, plan), look_now(plan))
    if plan.study.searched and sequential(looks, seeds):
        from ablate.analysis.tuning import best_points  # here, because it loads scipy, which planning does without

        first = set(related(looks, seeds)[0].seeds)
        chosen = best_points(plan.study, [run for run in runs if run["seed"] in first], unlearned)
        looks = with_rates(looks, seeds, chosen, plan.study.searched)
    return looks


def look_now(plan: Plan) -> Look:
    """The look that a report on the plan's runs is."""
    purpose = UNTIL if plan.config.until is Until.resolved else REPORT
    return look_at([(spec.cell, spec.seed, spec.id) for spec in plan.runs], purpose)


def earlier_looks(folder: Path, plan: Plan) -> list[Look]:
    """The looks in the records of a folder at runs like the plan's."""
    return [look for look in looks_in(recorded_manifest(folder)) if concerns(look, plan)]


def fixed_refinement(folder: Path, plan: Plan) -> dict[str, list[dict[str, float]]] | None:
    """The points off the grid that an earlier look fixed, where the plan adds seeds to it; None if it adds none."""
    seeds, earlier = {spec.seed for spec in plan.runs}, earlier_looks(folder, plan)
    if not related(earlier, seeds) or not sequential(with_look(earlier, look_now(plan)), seeds):
        return None
    return dict(recorded_manifest(folder).get("refined") or {})


def concerns(look: Look, plan: Plan) -> bool:
    """Whether some cell of the plan has a run that the look saw.

    If no cell has one, then the meaning of the code, the corpus or the study has changed since the look, and the new
    runs are not the ones whose results were seen.
    """
    seeds = range(look.seeds[0], look.seeds[0] + 1)
    return any(spec.id in look.runs for spec in runs_of(plan.study, plan.setting, plan.configs, seeds, plan.corpora))


def check_corpus(store: Store, plan: Plan) -> None:
    """Raise BadInput if this setting's records are of another text under the same name.

    Records of the same text by another recipe are accepted, and written anew.
    """
    manifest, data = recorded_manifest(store.records(plan.study.name, plan.setting)), plan.config.data
    recorded = manifest["corpus"]
    if recorded.get("fingerprint") in (None, plan.corpus):
        return
    content = source_hash(data)
    if "content" in recorded:
        same = recorded["content"] == content
    else:  # the first records have no hash of the text, but a fingerprint of the text and the recipe
        try:
            same = recorded["fingerprint"] == fingerprint_of(DataConfig(**manifest["config"]["data"]), content)
        except (TypeError, LookupError, ValueError):
            same = False
    if not same:
        raise BadInput(
            f"{plan.study.name}/{plan.setting} has records of another corpus called {data.label}: its text "
            "has changed, or is not the same; give this one a name of its own with data.name="
        )


def check_prepared(store: Store, plan: Plan, mark: str, metadata: dict[str, Any]) -> None:
    """Raise BadInput if records or trained runs used another preparation of a corpus (`check_contents`)."""
    folder = store.records(plan.study.name, plan.setting)
    recorded = recorded_manifest(folder)["corpus"]
    if recorded.get("fingerprint") == mark:
        records = folder.relative_to(store.root).as_posix()
        check_contents(recorded, metadata, records, "give this corpus a name of its own with data.name=")
    for spec in plan.runs:
        if spec.corpus == mark and (result := store.run(spec.id).result()) is not None:
            known = {"sha256": result.provenance.get("corpus_sha256"), **result.provenance}
            check_contents(known, metadata, f"run {spec.id}", f"delete {store.run(spec.id).path}")


def recorded_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of the records in a folder; one of no runs and no corpus if it is missing or damaged."""
    try:
        return to_plain(decoded((folder / "manifest.json").read_bytes(), Manifest))
    except (OSError, Damaged):
        return {"corpus": {}, "plan": []}
