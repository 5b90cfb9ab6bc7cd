"""The looks at a setting, which are the reports on it. They decide how its intervals are made.

A look is a report on a set of seeds. The same set of seeds is one look, however often the report is made, and disjoint
sets are separate tests. A setting is sequential where two looks share some of their seeds and not all, or where until=
decided how many seeds to train: then intervals for a fixed number of seeds would be too narrow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import convert
from msgspec.structs import replace

from ablate.store.record_schema import Look
from ablate.store.schema import RULES
from ablate.study import RATE, Point

UNTIL, REPORT = "until=resolved", "report"  # purposes of looks


def looks_in(manifest: dict[str, Any]) -> list[Look]:
    """The looks that a manifest lists, from first to last. A manifest without a list is one look at its seeds."""
    if "looks" in manifest:
        return convert(manifest["looks"], list[Look])
    purpose = UNTIL if "max_seeds" in manifest else REPORT
    plan = [run[:3] for run in manifest["plan"]]
    return [replace(look_at(plan, purpose), rules=1)] if plan else []


def look_at(plan: Iterable[Sequence[Any]], purpose: str) -> Look:
    """A look at a plan of (cell, seed, run id)."""
    plan = list(plan)
    seeds = sorted({seed for _, seed, _ in plan})
    runs = tuple(dict.fromkeys(id for _, seed, id in plan if seed == seeds[0]))
    return Look(tuple(seeds), purpose, runs, rules=RULES)


def with_look(looks: Sequence[Look], new: Look) -> list[Look]:
    """The looks with a new one at the end, or merged into the look at the same seeds."""
    same = next((each for each in looks if each.seeds == new.seeds), None)
    if same is None:
        return [*looks, new]
    purpose = UNTIL if UNTIL in (same.purpose, new.purpose) else REPORT
    runs, rules = tuple(dict.fromkeys([*same.runs, *new.runs])), min(same.rules, new.rules)
    merged = Look(same.seeds, purpose, runs, same.rates or new.rates, rules)
    return [merged if each is same else each for each in looks]


def related(looks: Iterable[Look], seeds: Iterable[int]) -> list[Look]:
    """The looks that share a seed with these seeds, from first to last. Looks at other seeds are separate tests."""
    wanted = set(seeds)
    return [look for look in looks if wanted & set(look.seeds)]


def sequential(looks: Iterable[Look], seeds: Iterable[int]) -> bool:
    """Whether a report on these seeds needs intervals that are valid at every look.

    It does where two looks at some of them have other seeds: whoever drops seeds that were seen, or picks some of them,
    has chosen by their results, as one has who adds seeds.
    """
    found = related(looks, seeds)
    return any(look.purpose == UNTIL for look in found) or len({look.seeds for look in found}) > 1


def rules_of(looks: Iterable[Look], seeds: Iterable[int]) -> int:
    """The version of the rules for a report on these seeds: the first that some of them were judged by.

    New rules would be no test on data that were seen before they were made.
    """
    return min((look.rules for look in related(looks, seeds)), default=RULES)


def with_rates(
    looks: Sequence[Look], seeds: Iterable[int], chosen: Mapping[str, Point], names: Sequence[str]
) -> list[Look]:
    """The looks with these points of what is tuned, `names`, kept by the first look that shares a seed with `seeds`."""
    first = related(looks, seeds)[0]
    rates = {cell: point[0] if tuple(names) == (RATE,) else dict(zip(names, point)) for cell, point in chosen.items()}
    return [replace(each, rates={**rates, **(each.rates or {})}) if each is first else each for each in looks]


def rates_of(looks: Iterable[Look], seeds: Iterable[int], names: Sequence[str]) -> dict[str, Point] | None:
    """The points that were fixed for a sequential setting, in what was tuned; None if nothing was fixed."""
    rates = next((look.rates for look in related(looks, seeds) if look.rates), None)
    if rates is None:
        return None
    values = {cell: each if isinstance(each, dict) else {RATE: each} for cell, each in rates.items()}
    return {cell: tuple(each[name] for name in names if name in each) for cell, each in values.items()}
