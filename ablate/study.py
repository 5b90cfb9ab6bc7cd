"""A study: one question, the variants that answer it, the claims that they test, and the runs that all this takes.

Pure: a mapping goes in (a file of `conf/sweep/`, or a manifest that a study left behind), frozen values come out.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import Enum
from typing import Any

from ablate.config import BadInput, Config

MEANING = 1  # raised when the same configuration would train differently than before


class Kind(Enum):
    """How a claim is judged (the verdict rules are in `ablate.analysis.verdicts`)."""

    directional = "directional"  # the difference has the claimed sign
    at_least_as_good = "at_least_as_good"  # it is not worse than the margin
    no_difference = "no_difference"  # it is smaller than the margin either way
    share_learned = "share_learned"  # one arm's runs learn more often
    in_range = "in_range"  # a counted or measured value lies in a range
    several = "several"  # all of several parts


class Direction(Enum):
    """The sign that a claim predicts for `variant - baseline`."""

    higher = "higher"
    lower = "lower"


@dataclass(frozen=True)
class Contrast:
    """One judgement: of variant - baseline, or of `variant` alone where there is no `baseline`."""

    kind: Kind
    metric: str
    variant: str
    baseline: str | None = None
    direction: Direction = Direction.higher
    margin: float | None = None  # in the metric's unit; None: the default of ablate.analysis.verdicts
    low: float | None = None  # the range of Kind.in_range, either end open
    high: float | None = None


@dataclass(frozen=True)
class Claim:
    """A sentence that people say. No parts: this study does not test it, `command` says what would."""

    id: str
    sentence: str
    parts: tuple[Contrast, ...]
    command: str | None = None


@dataclass(frozen=True)
class Cell:
    """One arm of a study: a variant at one level of every factor, held against the cell that `baseline` names."""

    name: str
    variant: str
    factors: dict[str, Any]
    overrides: dict[str, Any]
    baseline: str | None


@dataclass(frozen=True)
class Study:
    name: str
    question: str
    baseline: str
    variants: dict[str, dict[str, Any]]  # name -> overrides of configuration keys
    factors: dict[str, dict[Any, dict[str, Any]]]  # name -> level -> overrides
    metric: str
    claims: tuple[Claim, ...]
    sizes: dict[str, dict[str, Any]]  # preset -> overrides that hold for every cell

    def cells(self) -> list[Cell]:
        """Every variant at every level of every factor, the baseline first."""
        names = [self.baseline, *(name for name in self.variants if name != self.baseline)]
        cells = []
        for levels in itertools.product(*(factor.items() for factor in self.factors.values())):
            factors = {name: level for name, (level, _) in zip(self.factors, levels)}
            coordinates = "".join(f",{name}={level}" for name, level in factors.items())
            for name in names:
                overrides = dict(self.variants[name])
                for _, at_level in levels:
                    overrides |= at_level
                baseline = None if name == self.baseline else self.baseline + coordinates
                cells.append(Cell(name + coordinates, name, factors, overrides, baseline))
        return cells

    def varied(self) -> set[str]:
        """The configuration keys that the study sets itself."""
        mappings = [*self.variants.values(), *(level for factor in self.factors.values() for level in factor.values())]
        return {key for overrides in mappings for key in overrides}


@dataclass(frozen=True)
class RunSpec:
    """One run: everything that determines it, and where it stands in its study."""

    id: str
    study: str
    setting: str
    cell: str
    seed: int
    config: Config
    corpus: str  # fingerprint of the prepared corpus


def run_id(config: Config, seed: int, corpus: str) -> str:
    """Hash of everything that determines a run's training, and of nothing else."""
    determinants = {
        "meaning": MEANING,
        "seed": seed,
        "corpus": corpus,
        "precision": config.precision,
        "model": asdict(config.model),
        "optim": asdict(config.optim),
        "train": asdict(config.train),
    }
    return digest(determinants)


def evaluation_id(config: Config) -> str:
    """Hash of what determines the scores of a trained model."""
    return digest(asdict(config.evaluation))


def digest(value: Any) -> str:
    """Twelve hexadecimal digits that stand for a value made of plain types and Enums."""
    text = json.dumps(value, sort_keys=True, default=lambda member: member.name)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def study_from(mapping: Mapping[str, Any] | None) -> Study:
    """Read the `study:` part of a sweep file. None is the study of the baseline alone. Raises BadInput."""
    if mapping is None:
        return Study(
            "baseline",
            "How well does the default Transformer translate?",
            "baseline",
            {"baseline": {}},
            {},
            "test_bleu",
            (),
            {},
        )
    known = [item.name for item in fields(Study)]
    _refuse_unknown(mapping, known, "study")
    for key in ("name", "question", "baseline", "variants"):
        if not mapping.get(key):
            raise BadInput(f"study.{key} is missing; a study says {', '.join(known)}")
    variants = {str(name): dict(overrides or {}) for name, overrides in mapping["variants"].items()}
    baseline = str(mapping["baseline"])
    if baseline not in variants:
        raise BadInput(f"study.baseline={baseline} is not one of its variants: {', '.join(variants)}")
    factors = {
        str(name): {level: dict(overrides) for level, overrides in levels.items()}
        for name, levels in (mapping.get("factors") or {}).items()
    }
    claims = tuple(_claim(claim) for claim in mapping.get("claims") or ())
    sizes = {preset: dict(overrides) for preset, overrides in (mapping.get("sizes") or {}).items()}
    study = Study(
        str(mapping["name"]),
        str(mapping["question"]),
        baseline,
        variants,
        factors,
        str(mapping.get("metric", "test_bleu")),
        claims,
        sizes,
    )
    cells = {cell.name for cell in study.cells()}
    for claim in claims:
        for part in claim.parts:
            for name in (part.variant, part.baseline):
                if name is not None and name not in cells:
                    choices = ", ".join(sorted(cells))
                    raise BadInput(f"claim {claim.id} speaks of {name}, which is no variant of this study: {choices}")
    return study


def study_to_plain(study: Study) -> dict[str, Any]:
    """What `study_from` reads back, of plain types only."""
    return {
        "name": study.name,
        "question": study.question,
        "baseline": study.baseline,
        "variants": study.variants,
        "factors": study.factors,
        "metric": study.metric,
        "claims": [_claim_to_plain(claim) for claim in study.claims],
        "sizes": study.sizes,
    }


_CLAIM = ("id", "sentence", "command", "parts")
_PART = ("contrast", "metric", "kind", "direction", "margin", "range")


def _claim(mapping: Mapping[str, Any]) -> Claim:
    """A claim has its one part's keys beside its own, or kind `several` and a list of parts."""
    _refuse_unknown(mapping, _CLAIM + _PART, f"claim {mapping.get('id')}")
    for key in ("id", "sentence"):
        if not mapping.get(key):
            raise BadInput(f"claim {mapping.get('id')}: {key} is missing")
    if mapping.get("kind") == Kind.several.name:
        parts = tuple(_contrast(part, str(mapping["id"])) for part in mapping.get("parts") or ())
        if not parts:
            raise BadInput(f"claim {mapping['id']}: kind several needs parts")
    elif "kind" in mapping:
        parts = (_contrast({key: mapping[key] for key in _PART if key in mapping}, str(mapping["id"])),)
    else:
        parts = ()
    command = mapping.get("command")
    if not parts and not command:
        raise BadInput(f"claim {mapping['id']} has neither a kind nor the command that would test it")
    return Claim(str(mapping["id"]), str(mapping["sentence"]), parts, command)


def _contrast(mapping: Mapping[str, Any], claim: str) -> Contrast:
    _refuse_unknown(mapping, _PART, f"claim {claim}")
    kind = _member(Kind, mapping.get("kind"), f"claim {claim}: kind")
    direction = _member(Direction, mapping.get("direction", "higher"), f"claim {claim}: direction")
    variant, _, baseline = str(mapping.get("contrast", "")).partition(" - ")
    if not variant or bool(baseline) == (kind is Kind.in_range):
        expected = "one variant" if kind is Kind.in_range else "'variant - baseline'"
        raise BadInput(f"claim {claim}: contrast={mapping.get('contrast')!r} should be {expected} for kind {kind.name}")
    low, high = mapping.get("range", (None, None))
    if kind is Kind.in_range and low is None and high is None:
        raise BadInput(f"claim {claim}: kind in_range needs range: [low, high], either may be null")
    metric = "learned" if kind is Kind.share_learned else mapping.get("metric")
    if not metric:
        raise BadInput(f"claim {claim}: metric is missing")
    return Contrast(kind, str(metric), variant, baseline or None, direction, mapping.get("margin"), low, high)


def _claim_to_plain(claim: Claim) -> dict[str, Any]:
    plain: dict[str, Any] = {"id": claim.id, "sentence": claim.sentence}
    if claim.command:
        plain["command"] = claim.command
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
    if part.margin is not None:
        plain["margin"] = part.margin
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
