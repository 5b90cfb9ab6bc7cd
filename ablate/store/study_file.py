"""Read and write studies: the `study:` part of `conf/sweep/NAME.yaml` and of the manifest of a setting's records."""

from __future__ import annotations

import contextlib
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields
from enum import Enum
from typing import Any

from ablate.config import BadInput, Config, grids_from
from ablate.store.published_results import published_from, published_to_plain
from ablate.study import QUALITY, RATE, Claim, Contrast, Direction, Kind, Pairs, Study


def study_from(mapping: Mapping[str, Any] | None) -> Study:
    """Read the `study:` part of a sweep file. None is the study of the baseline alone. Raises BadInput."""
    if mapping is None:
        return Study("baseline", "How well does the baseline translate?", "baseline", {"baseline": {}})
    if not isinstance(mapping, Mapping):
        raise BadInput(f"study={str(mapping)[:60]} must be a mapping with name, question, baseline, variants and so on")
    try:
        return _study(mapping)
    except BadInput:
        raise
    except (TypeError, ValueError, AttributeError, KeyError, OverflowError) as error:  # a list instead of a mapping
        raise BadInput(f"the study does not have the form of the files in conf/sweep/: {error}") from None


def _study(mapping: Mapping[str, Any]) -> Study:
    keys = [item.name for item in fields(Study) if item.name not in OF_A_COMMAND]
    _refuse_unknown(mapping, keys, "study")
    for key in ("claims", "limits", "known"):
        if isinstance(mapping.get(key), (str, Mapping)):
            raise BadInput(f"study.{key} must be a list, with '- ' before each item")
    for key in ("name", "question", "baseline", "variants"):
        if not mapping.get(key):
            raise BadInput(f"study.{key} is missing; a study may have {', '.join(keys)}")
    variants = {str(name): _overrides(overrides, str(name)) for name, overrides in mapping["variants"].items()}
    baseline = str(mapping["baseline"])
    if baseline not in variants:
        raise BadInput(f"study.baseline={baseline} is not one of its variants: {', '.join(variants)}")
    factors = _factors(mapping.get("factors"))
    claims = tuple(_claim(claim) for claim in mapping.get("claims") or ())
    sizes = {str(preset): _overrides(size, str(preset)) for preset, size in (mapping.get("sizes") or {}).items()}
    for preset, size in sizes.items():
        if "factors" in size:
            size["factors"] = _factors(size["factors"])
            for name in size["factors"]:
                if name not in factors:
                    choices = ", ".join(factors) or "none"
                    raise BadInput(f"study.sizes.{preset}.factors.{name} is not a factor of this study: {choices}")
    pairs = _member(Pairs, mapping.get("pairs", Pairs.seeds.name), "study.pairs")
    if pairs is Pairs.halves and (len(variants) > 1 or factors):
        raise BadInput("study.pairs=halves compares the runs of one variant, so it takes no second variant, no factor")
    metric, limits = str(mapping.get("metric", "test_bleu")), tuple(map(str, mapping.get("limits") or ()))
    grid, first_seed = grids_from(mapping.get("grid"), "study.grid"), _first_seed(mapping.get("first_seed"))
    name, question = str(mapping["name"]), str(mapping["question"])
    known = tuple(published_from(each) for each in mapping.get("known") or ())
    study = Study(
        name, question, baseline, variants, factors, metric, claims, limits, sizes, grid, pairs, first_seed, known=known
    )
    forms = [study.at(preset).compared for preset in ("", *sizes)]
    for result in known:
        cells = dict.fromkeys([*variants, *(cell for form in forms for cell in form.names())])
        for cell in [cell for cell in result.numbers if cell not in cells]:
            raise BadInput(
                f"study.known: {result.source} has a number of {cell}, which is not a variant of this study: "
                f"{', '.join(cells)}"
            )
    for claim in claims:
        for part in claim.parts:
            cells = dict.fromkeys(name for form in forms for name in form.names(part.factor))
            for cell in [cell for cell in part.cells if cell not in cells]:
                choices = ", ".join(cells)
                raise BadInput(f"claim {claim.id} names {cell}, which is not a variant of this study: {choices}")
    return study


def _factors(mapping: Mapping[Any, Any] | None) -> dict[str, dict[Any, dict[str, Any]]]:
    """Name -> level -> overrides. JSON makes strings of levels that are numbers; they become numbers again."""
    return {
        str(name): {as_level(level): _overrides(overrides, f"{name}={level}") for level, overrides in levels.items()}
        for name, levels in (mapping or {}).items()
    }


def _first_seed(seed: Any) -> int:
    """The default of the key `first_seed` in this study, within the bounds of that key."""
    if seed is None:
        return 0
    if type(seed) is not int:
        raise BadInput(f"study.first_seed={seed} must be a whole number, such as 100")
    return Config(first_seed=seed).first_seed


def _overrides(mapping: Mapping[str, Any] | None, where: str) -> dict[str, Any]:
    if not (mapping is None or isinstance(mapping, Mapping)):
        raise BadInput(f"study: {where} has {str(mapping)[:60]} instead of {{KEY: VALUE}}")
    return dict(mapping or {})


def as_level(level: Any) -> Any:
    """A level as it was before JSON or CSV turned it into text: `0.5` is a number, but `007` and `nan` are words."""
    for number in (int, float):
        with contextlib.suppress(ValueError, TypeError):
            found = number(level)
            if str(found) == level and math.isfinite(found):
                return found
    return level


def study_to_plain(study: Study) -> dict[str, Any]:
    """The study as plain types, which `study_from` reads."""
    return {
        **{key: getattr(study, key) for key in ("name", "question", "baseline", "variants", "factors", "metric")},
        "claims": [_claim_to_plain(claim) for claim in study.claims],
        "limits": list(study.limits),
        "sizes": study.sizes,
        **({"grid": grid_to_plain(study.grid)} if study.grid else {}),
        **({"pairs": study.pairs.name} if study.pairs is not Pairs.seeds else {}),
        **({"first_seed": study.first_seed} if study.first_seed else {}),
        **({"known": [published_to_plain(each) for each in study.known]} if study.known else {}),
    }


def grid_to_plain(grid: Mapping[str, Sequence[float]]) -> list[float] | dict[str, list[float]]:
    """A grid as the manifest has it: a list where there are only learning rates, as before there was anything else."""
    plain = {name: list(values) for name, values in grid.items()}
    return plain[RATE] if plain.keys() == {RATE} else plain


OF_A_COMMAND = ("by_cell", "searched", "refined")  # fields of a study that no file sets
_CLAIM = ("id", "sentence", "command", "needs", "parts")
_PART = ("contrast", "metric", "kind", "direction", "margin", "range", "than", "note", "bleu_margin", "factor")


def _claim(mapping: Mapping[str, Any]) -> Claim:
    """A claim has the keys of its one part beside its own, or kind `several` and a list of parts."""
    _refuse_unknown(mapping, _CLAIM + _PART, f"claim {mapping.get('id')}")
    for key in ("id", "sentence"):
        if not mapping.get(key):
            raise BadInput(f"claim {mapping.get('id')}: {key} is missing")
    id = str(mapping["id"])
    parts: tuple[Contrast, ...] = ()
    if mapping.get("kind") == Kind.several.name:
        parts = tuple(_contrast(part, id) for part in mapping.get("parts") or ())
        if not parts:
            raise BadInput(f"claim {id}: kind several needs parts")
    elif "kind" in mapping:
        parts = (_contrast({key: mapping[key] for key in _PART if key in mapping}, id),)
    command, needs = (str(mapping[key]) if mapping.get(key) else None for key in ("command", "needs"))
    try:
        shlex.split(command or "")
    except ValueError as error:
        raise BadInput(f"claim {id}: command={command} is not a valid shell command ({error})") from None
    if not parts and not command:
        raise BadInput(f"claim {id} has neither a kind nor the command that would test it")
    return Claim(id, str(mapping["sentence"]), parts, command, needs)


def _contrast(mapping: Mapping[str, Any], claim: str) -> Contrast:
    _refuse_unknown(mapping, _PART, f"claim {claim}")
    kind = _member(Kind, mapping.get("kind"), f"claim {claim}: kind")
    direction = _member(Direction, mapping.get("direction", "higher"), f"claim {claim}: direction")
    if kind is Kind.several:
        raise BadInput(f"claim {claim}: a part cannot be of kind several itself")
    variant, baseline = _cells(mapping.get("contrast"), kind, claim)
    low, high = _range(mapping.get("range"), kind, claim)
    margin, relative = _margin(mapping.get("margin"), claim)
    factor = str(mapping["factor"]) if mapping.get("factor") else None
    if (factor is not None) != (kind in OVER_LEVELS):
        takes = " and ".join(each.name for each in OVER_LEVELS)
        raise BadInput(f"claim {claim}: factor is what the kinds {takes} look over, and this one is {kind.name}")
    metric = OUTCOMES.get(kind) or mapping.get("metric") or ("validation_loss" if kind is Kind.stability else None)
    if not metric:
        raise BadInput(f"claim {claim}: metric is missing")
    than, note = _than(mapping.get("than"), kind, claim), str(mapping.get("note") or "")
    bleu_margin = _bleu_margin(mapping.get("bleu_margin"), str(metric), kind, claim)
    return Contrast(
        kind, str(metric), variant, baseline, direction, margin, relative, low, high, than, note, bleu_margin, factor
    )


OVER_LEVELS = (Kind.trend, Kind.exponent)
RANGED = (Kind.in_range, Kind.exponent)  # of one variant, not of a difference
BY_MEAN = (Kind.directional, Kind.at_least_as_good, Kind.no_difference)
OUTCOMES = {Kind.share_trained: "trained", Kind.share_learned: "learned"}  # kind -> its metric


def _cells(contrast: Any, kind: Kind, claim: str) -> tuple[str, str | None]:
    variant, _, baseline = str(contrast or "").partition(" - ")
    if not variant or (bool(baseline) == (kind in RANGED) and kind is not Kind.trend):  # a trend is of either
        expected = "one variant" if kind in RANGED else "'variant - baseline'"
        raise BadInput(f"claim {claim}: contrast={contrast!r} should be {expected} for kind {kind.name}")
    return variant, baseline or None


def _than(than: Any, kind: Kind, claim: str) -> tuple[str, str] | None:
    variant, _, baseline = str(than or "").partition(" - ")
    if variant and (not baseline or kind not in BY_MEAN):
        raise BadInput(
            f"claim {claim}: than={than!r} should be 'variant - baseline', the difference to exceed, "
            "for a kind that speaks of a mean difference"
        )
    return (variant, baseline) if variant else None


def _range(ends: Any, kind: Kind, claim: str) -> tuple[float | None, float | None]:
    low, high = (None if end is None else float(end) for end in (ends or (None, None)))
    if not (-math.inf if low is None else low) <= (math.inf if high is None else high):
        raise BadInput(f"claim {claim}: range={ends} should be [low, high], two numbers in order")
    if kind in RANGED and low is None and high is None:
        raise BadInput(f"claim {claim}: kind {kind.name} needs range: [low, high], either may be null")
    return low, high


def _bleu_margin(margin: Any, metric: str, kind: Kind, claim: str) -> float | None:
    """Beside the margin of the loss, for a contrast in quality."""
    if metric == QUALITY and kind not in BY_MEAN:
        raise BadInput(f"claim {claim}: quality is for the kinds {', '.join(each.name for each in BY_MEAN)}")
    if margin is None:
        return None
    found, relative = _margin(margin, claim)
    if relative or metric != QUALITY:
        raise BadInput(
            f"claim {claim}: bleu_margin={margin} should be a number of BLEU, of a claim with metric: quality"
        )
    return found


def _margin(margin: Any, claim: str) -> tuple[float | None, bool]:
    """A number in the metric's unit, or `1 %` of the baseline's mean."""
    if margin is None:
        return None, False
    text = str(margin).strip()
    relative = text.endswith("%")
    try:
        value = float(text.removesuffix("%")) / (100 if relative else 1)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise BadInput(
            f"claim {claim}: margin={margin} should be a number of at least 0, in the metric's unit, or '1 %'"
        )
    return value, relative


def _claim_to_plain(claim: Claim) -> dict[str, Any]:
    plain: dict[str, Any] = {"id": claim.id, "sentence": claim.sentence}
    plain |= {key: value for key in ("command", "needs") if (value := getattr(claim, key))}
    if len(claim.parts) == 1:
        plain |= _contrast_to_plain(claim.parts[0])
    elif claim.parts:
        plain |= {"kind": Kind.several.name, "parts": [_contrast_to_plain(part) for part in claim.parts]}
    return plain


def _contrast_to_plain(part: Contrast) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "contrast": part.variant if part.baseline is None else f"{part.variant} - {part.baseline}",
        "metric": part.metric,
        "kind": part.kind.name,
        "direction": part.direction.name,
    }
    if part.note:
        plain["note"] = part.note
    if part.than is not None:
        plain["than"] = " - ".join(part.than)
    if part.margin is not None:
        plain["margin"] = f"{100 * part.margin:g} %" if part.relative else part.margin
    if part.bleu_margin is not None:
        plain["bleu_margin"] = part.bleu_margin
    if part.factor is not None:
        plain["factor"] = part.factor
    if part.low is not None or part.high is not None:
        plain["range"] = [part.low, part.high]
    return plain


def _member(vocabulary: type[Enum], name: Any, what: str) -> Any:
    if name not in vocabulary.__members__:
        raise BadInput(f"{what}={name} is unknown; it may be {', '.join(vocabulary.__members__)}")
    return vocabulary[name]


def _refuse_unknown(mapping: Mapping[str, Any], known: tuple[str, ...] | list[str], what: str) -> None:
    for key in mapping:
        if key not in known:
            raise BadInput(f"{what}: {key} is unknown; it may be {', '.join(known)}")
