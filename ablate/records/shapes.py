"""What records are made of: JSON of numbers that exist and text that can be written, each value of its own type.

A shape is a type; a set of words; a tuple of shapes, any of which will do; [shape], a list of it; or {key: shape}, an
object whose keys have these shapes where it has them, with `str` as the key of all others.
"""

from __future__ import annotations

import json
import shlex
from typing import Any, NoReturn

from ablate.config import BadInput, plain_line

LARGEST = 1e39  # above every number that float32 has
LARGEST_WHOLE = 2**63 - 1  # what a column of whole numbers holds


def parse(text: str, where: str) -> Any:
    """The JSON value in this text. Raises BadInput that begins with `where`."""
    try:
        value = json.loads(text, parse_float=bounded, parse_int=whole, parse_constant=refuse)
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair is no text
        return value
    except RecursionError:
        raise BadInput(f"{where} is damaged: it nests too deeply") from None
    except ValueError as error:
        raise BadInput(f"{where} is damaged: {plain_line(str(error))}") from None


def bounded(text: str) -> float:
    number = float(text)
    return number if abs(number) <= LARGEST else refuse(text)


def whole(text: str) -> int:
    number = int(text) if len(text) < 30 else refuse(text)
    return number if abs(number) <= LARGEST_WHOLE else refuse(text)


def refuse(text: str) -> NoReturn:
    raise ValueError(f"{text[:30]} is a number that no record has")


def check(value: Any, shape: Any, where: str) -> None:
    """Raise BadInput that begins with `where` and names the key whose value is not of this shape."""
    key = misshapen(value, shape)
    if key is not None:
        raise BadInput(f"{where} is damaged: {f'its {key}' if key else 'it'} is not what a record has there")


def misshapen(value: Any, shape: Any) -> str | None:
    """The dotted key of the first value that is of another shape, empty for the value itself; None where all fit."""
    if isinstance(shape, tuple):
        tried = [misshapen(value, each) for each in shape]
        return None if None in tried else tried[0]
    if isinstance(shape, list):
        if not isinstance(value, list):
            return ""
        return next((key for each in value if (key := misshapen(each, shape[0])) is not None), None)
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return ""
        for key, item in value.items():
            inner = misshapen(item, shape.get(key, shape.get(str, object)))
            if inner is not None:
                return f"{key}.{inner}".rstrip(".")
        return None
    if isinstance(shape, frozenset):
        return None if isinstance(value, str) and value in shape else ""
    fits = isinstance(value, shape) and (shape in (bool, object) or not isinstance(value, bool))
    return None if fits else ""


def check_command(command: str, where: str) -> None:
    """Raise BadInput for a command that no shell would take."""
    try:
        shlex.split(command)
    except ValueError as error:
        raise BadInput(f"{where} is damaged: its command is none for a shell ({error})") from None


def check_cost(cost: Any, where: str) -> None:
    """Raise BadInput where a probe's times are not one for each round, and above nothing."""
    lacking = {"threads", "device", "device_name"} - cost["provenance"].keys()
    for cell in cost["cells"].values():
        seconds, tokens = cell.get("seconds", ()), cell.get("tokens", ())
        if lacking or not seconds or len(seconds) != len(tokens) or min(seconds) <= 0 or "memory" not in cell:
            raise BadInput(f"{where} is damaged: the times of its rounds do not fit together")


def check_curve(curve: Any, where: str) -> None:
    validation = curve["validation"]
    if len(validation.get("update", ())) != len(validation.get("loss", ())) or validation.keys() != {"update", "loss"}:
        raise BadInput(f"{where} is damaged: run {curve['run_id']} has other updates than losses")


def check_test(sentence: Any, where: str) -> None:
    if not sentence["references"]:
        raise BadInput(f"{where} is damaged: a sentence has no reference")


NONE = type(None)
NUMBER = (int, float)
PERHAPS = (int, float, NONE)
COUNT = (int, NONE)
PLAIN = (str, int, float, bool, NONE)
BY_PART = ({str: PERHAPS}, NONE)

MANIFEST = {
    "study": {},
    "setting": str,
    "preset": str,
    "command": str,
    "corpus": {
        **dict.fromkeys(("name", "source", "target", "fingerprint", "credit"), str),
        **dict.fromkeys(("train_pairs", "validation_pairs", "test_sentences", "vocabulary_size"), int),
        "unigram_cross_entropy": NUMBER,
        "unknown": ({str: {str: NUMBER}}, NONE),
    },
    "seeds": int,
    "config": {
        "model": {"layers": int, "d_model": int, "heads": int},
        "train": {"updates": int, "batch_tokens": int},
        "optim": {"lr": NUMBER, "warmup": NUMBER},
        "data": {"target": str},
        "evaluation": {"bleu_tokenizer": (str, NONE)},
    },
    "plan": [[(str, int)]],
    "twins": ({str: {str: PLAIN}}, NONE),
    "across": {str: [PLAIN]},
    "grid": [NUMBER],
    "max_seeds": COUNT,
    "bleu_signature": (str, NONE),
    "chrf_signature": (str, NONE),
    "unmeasured": {str: str},
}
LAYERS = {
    "run_id": str,
    "parameter_counts": ({str: int}, NONE),
    "diagnostics": ([{"update": int, str: BY_PART}], NONE),
    "final_dead_units": BY_PART,
}
RUN = {
    **LAYERS,
    "status": frozenset({"finished", "diverged", "failed"}),
    **dict.fromkeys(("diverged_at", "best_update", "updates"), COUNT),
    "config": {"model": {"layers": int, "d_model": int}, "evaluation": {str: PLAIN}},
    "provenance": ({str: PLAIN}, NONE),
    "plugins": [{**dict.fromkeys(("key", "name", "file", "sha256"), str), "reads": [str]}],
}
COST = {
    "cells": {str: {"seconds": [NUMBER], "tokens": [NUMBER], "memory": COUNT}},
    "rounds": int,
    "updates_a_round": int,
    "others": PERHAPS,
    "provenance": {str: PLAIN},
}
CURVE = {"run_id": str, "update": [int], "loss": [PERHAPS], "validation": {"update": [int], "loss": [PERHAPS]}}
TEST = {"source": str, "references": [str]}
HYPOTHESES = {"run_id": str, "beam": [str], "greedy": [str], "loss": [PERHAPS], "tokens": [int]}
COLUMN = {"str": str, "Int64": COUNT, "float64": PERHAPS}  # of results.csv, by the type in the table there
