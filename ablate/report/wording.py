"""Format numbers and text for reports: as many digits as the uncertainty allows, and no text read as markup."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import regex

from ablate.analysis.metrics import Metric
from ablate.analysis.statistics import Effect, Interval
from ablate.analysis.verdicts import Reading
from ablate.config import WORD

SPECIAL = re.compile(r"([\\`*\[\]{}<>|&~#$!@]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")  # _ within a word is plain text
PLAIN = regex.compile(rf"[{WORD}.,=+/ -]*[{WORD}.=+-]")  # text that needs no escaping in code spans and table cells
ABSENT = "—"
MINUS = "\N{MINUS SIGN}"


def escape(text: object) -> str:
    """Markdown that shows this text on one line, also in a table."""
    return SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def name(text: object) -> str:
    """A variant's name as code, so that `none` is not read as a word; as escaped text if it cannot be code."""
    return f"`{text}`" if PLAIN.fullmatch(str(text)) else escape(text)


def code_block(text: str) -> str:
    """An indented block, which no text can close."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A Markdown table of cells that are Markdown already; the columns in `right` are flush right."""
    rule = ["---:" if index in right else "---" for index in range(len(header))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *rows))


def number(value: float, decimals: int, signed: bool = False) -> str:
    if not math.isfinite(value):
        return ABSENT
    text = f"{value:+,.{decimals}f}" if signed else f"{value:,.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def decimals_for(mean: float, half_width: float, most: int) -> int:
    """Decimals that show two figures of the half-width, `most` of them at the most unless nothing would be left."""
    scale = half_width if math.isfinite(half_width) and half_width > 0 else abs(mean) / 10
    if not scale > 0:
        return min(most, 1)
    wanted = max(0, 1 - math.floor(math.log10(scale)))
    small = 0 < abs(mean) < 10**-most
    return min(wanted, 8) if small else min(wanted, most) if half_width > 0 else most


def estimate(found: Interval | Effect, measure: Metric, signed: bool = False) -> str:
    """42.3 [41.9, 42.7]; without the interval if it is unknown or has no width; a dash if the mean is unknown."""
    mean, low, high = found.mean, found.low, found.high
    if low == high:
        return number(mean, measure.digits, signed)
    decimals = decimals_for(mean, (high - low) / 2, measure.digits)
    text = number(mean, decimals, signed)
    if not (math.isfinite(low) and math.isfinite(high)):
        return text
    inside = bounded(found, measure, signed)
    return f"{text} [{number(inside.low, decimals, signed)}, {number(inside.high, decimals, signed)}]"


Found = TypeVar("Found", bound=Interval | Effect)
RANGES = {"BLEU": (0, 100), "chrF": (0, 100), "share": (0, 1), "nats/token": (0, math.inf)}  # of numbers, by their unit


def bounded(found: Found, measure: Metric, signed: bool = False) -> Found:
    """The interval without numbers that do not exist: the t interval of scores near zero reaches below zero."""
    low, high = RANGES.get(measure.unit, (-math.inf, math.inf))
    low, high = (low - high, high - low) if signed else (low, high)
    return replace(found, low=max(found.low, low), high=min(found.high, high))


def short(value: float | None, unit: str = "") -> str:
    """1.23 M and the like: three figures."""
    if value is None:
        return ABSENT
    for size, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * 0.9995:
            return f"{value / size:#.3g}".rstrip(".") + f" {prefix}{unit}"
    return f"{value:.3g} {unit}".rstrip()


def listed(words: Sequence[object]) -> str:
    return ", ".join(str(word) for word in words)


def spoken(words: Sequence[object]) -> str:
    """a, b and c."""
    *first, last = [str(word) for word in words]
    return f"{', '.join(first)} and {last}" if first else last


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def with_unit(measure: Metric) -> str:
    """The label, and the unit unless the label says it."""
    return measure.label if measure.unit in measure.label else f"{measure.label} ({measure.unit})"


def in_units(measure: Metric) -> str:
    """The unit after a number, and the label unless the unit is in it."""
    return measure.label if measure.unit in measure.label else f"{measure.unit} of {measure.label}"


PHRASES = {  # a reading of a variant and its baseline in words
    Reading.better: "{variants} {be} better than {baseline}",
    Reading.worse: "{variants} {be} worse than {baseline}",
    Reading.higher: "{variants} {be} higher than {baseline}",
    Reading.lower: "{variants} {be} lower than {baseline}",
    Reading.negligible: "{variants} {differ} from {baseline} by less than the margin",
    Reading.unresolved: "{variants} cannot yet be told apart from {baseline}",
    Reading.earlier: "{variants} {be} compared with {baseline} under earlier rules only",
}
