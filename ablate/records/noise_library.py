"""The noise library of the records: collected from every setting, and frozen at a setting's first report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ablate.analysis.effects import arms, of_cell
from ablate.analysis.metrics import METRICS, Known, Record
from ablate.analysis.noise import LEAST_SEEDS, Spread, budget_of, mark, once, references_of
from ablate.analysis.trained import defaults
from ablate.config import BadInput
from ablate.records.looks import looks_in, sequential
from ablate.records.read import NOISE, read_object, read_runs, settings
from ablate.store.record_schema import DefaultRecord, NoiseRecord, SpreadRecord
from ablate.study import Pairs, Study

UNLIKE = ("learned", "trained", "peak_memory", "tokens_per_second", "seconds", "decoding_seconds")
"""Metrics that have no place in the library: shares, and what depends on what else the machine does."""

Place = tuple[str, str]  # corpus, preset


def library(root: Path) -> dict[Place, list[Spread]]:
    """The spreads of all records under `root`, by corpus and preset."""
    found: dict[Place, list[Spread]] = {}
    for manifest, study, runs in whole_settings(root):
        found.setdefault(place_of(manifest), []).extend(of_setting(manifest, study, runs))
    return {place: once(spreads) for place, spreads in sorted(found.items())}


def whole_settings(root: Path) -> Iterator[tuple[dict[str, Any], Study, tuple[dict[str, Any], ...]]]:
    """What `read_runs` gives of every setting; damaged records are left out."""
    for study, names in settings(root).items():
        for setting in names:
            with suppress(BadInput):
                yield read_runs(root / "experiments" / study / setting)


def place_of(manifest: dict[str, Any]) -> Place:
    return str(manifest["corpus"].get("name", "")), str(manifest["preset"])


def of_setting(manifest: dict[str, Any], study: Study, runs: Sequence[Record]) -> list[Spread]:
    """The spreads of a setting; none of an A/A study, whose pairs share no seed, and none of a sequential setting."""
    grown = "max_seeds" in manifest or sequential(looks_in(manifest), {run[1] for run in manifest["plan"]})
    if study.pairs is Pairs.halves or grown:
        return []
    return list(spreads_of(study, manifest["setting"], runs))


def spreads_of(study: Study, setting: str, runs: Sequence[Record]) -> Iterator[Spread]:
    """The spread of every contrast with a baseline of the same budget, by every metric that has one."""
    names = [name for name, each in METRICS.items() if each.known is not Known.counted and name not in UNLIKE]
    for cell in study.cells():
        if cell.baseline is None:
            continue
        sides = [of_cell(runs, each) for each in (cell.name, cell.baseline)]
        budget, first, second = budget_of(sides[0]), *sorted(map(mark, sides))
        if budget != budget_of(sides[1]):
            continue
        for name in names:
            pairs = arms(runs, METRICS[name], cell.name, cell.baseline)
            if len(pairs.seeds) >= LEAST_SEEDS:
                yield Spread(
                    name, budget, study.name, setting, cell.name, cell.baseline, (first, second), len(pairs.seeds),
                    variance=float((pairs.variant - pairs.baseline).var(ddof=1)), mean=float(pairs.baseline.mean()),
                    references=references_of(name, sides[0]),
                )  # fmt: skip


def frozen(root: Path, manifest: dict[str, Any], default: dict[str, Any]) -> NoiseRecord:
    """The library as it is now, for a setting that is reported for the first time.

    `default` is the configuration of the preset.
    """
    corpus, preset = place_of(manifest)
    runs = [run for _, _, recorded in whole_settings(root) for run in recorded]
    spreads = library(root).get((corpus, preset), [])
    return NoiseRecord(
        corpus=corpus,
        preset=preset,
        seeds=sorted({run[1] for run in manifest["plan"]}),
        spreads=[SpreadRecord(**asdict(each)) for each in spreads],
        defaults=[DefaultRecord(**{**asdict(each), "runs": list(each.runs)}) for each in defaults(runs, default)],
    )


def is_frozen(folder: Path, manifest: dict[str, Any]) -> bool:
    """Whether the setting has a library from a report on these seeds, or on some of them."""
    try:
        known = read_object(folder / NOISE, NoiseRecord)["seeds"]
    except BadInput:
        return False
    return bool({run[1] for run in manifest["plan"]} & set(known))
