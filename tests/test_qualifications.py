"""What a report says beside its answer: dead units, gradients that vanish in one stack, and what all runs have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from records import LAYERS, WIDTH, a_run, a_study, some_runs, write_records

from ablate.records.read import read_records
from ablate.report.figures.depth import vanished_seen
from ablate.report.render import build, regularised
from ablate.report.text.caveats import qualifications

ONE_DEAD = {"encoder.0": 0.1, "decoder.1": 0.62}
MORE_DEAD = {"encoder.0": 0.7, "decoder.1": 0.55}
HALF_DEAD = {"encoder.0": 0.5, "decoder.1": 0.2}


def with_dead(dead: dict[int, dict[str, float]]) -> list[dict[str, Any]]:
    """Runs of which those of `post` with these seeds have these shares of dead units."""
    return [
        run | {"final_dead_units": dead[run["seed"]]} if run["variant"] == "post" and run["seed"] in dead else run
        for run in some_runs(a_study(), 3)
    ]


def test_a_layer_with_more_than_half_of_its_units_dead_is_told_with_the_score(tmp_path: Path, undrawn: None) -> None:
    data = read_records(write_records(tmp_path, a_study(), with_dead({0: ONE_DEAD, 2: MORE_DEAD, 1: HALF_DEAD})))
    (line,) = qualifications(data)
    assert line.startswith("In 2 of 3 finished runs of `post` more than half of the units of a layer are dead: ")
    assert "62 to 70 % in the worst layer, at 4" in line
    assert line.endswith(" BLEU.")
    assert line in (build(tmp_path, "toy", data.setting) / "report.md").read_text()


@pytest.mark.parametrize("dead", [{}, {1: HALF_DEAD}])
def test_half_is_not_more_than_half(dead: dict[int, dict[str, float]], tmp_path: Path) -> None:
    assert qualifications(read_records(write_records(tmp_path, a_study(), with_dead(dead)))) == []


def test_a_run_that_diverged_is_not_among_them(tmp_path: Path) -> None:
    study = a_study()
    runs = [a_run(study, "pre", 0), a_run(study, "post", 0, None, "diverged", final_dead_units=MORE_DEAD)]
    lines = qualifications(read_records(write_records(tmp_path, study, runs)))
    assert not any("dead" in line for line in lines)


def deep(norms: dict[str, dict[str, list[float]]]) -> list[dict[str, Any]]:
    """Runs at depth 3 with these norms of feed-forward gradients at update 0: variant -> stack -> layers."""
    return [
        a_run(STUDY, cell.name, seed)
        | {
            "diagnostics": [
                {
                    "update": 0,
                    "gradient_norm": {
                        f"{stack}.{layer}.feedforward": norm
                        for stack, layers in norms[cell.variant].items()
                        for layer, norm in enumerate(layers)
                    },
                }
            ]
        }
        for cell in STUDY.cells()
        for seed in range(3)
    ]


STUDY = a_study(("add", "none"), factors={"depth": {3: {"model.layers": 3}}})
EVEN, GONE, LEVEL = [1.0, 1.1, 1.2], [0.0, 1e-39, 0.2], [2.0, 0.5, 1.0]
ALONE = (
    "Gradients vanish in the {} alone at `none,depth=3`; in the {} the largest norm is at most 4.0 times the smallest."
)
STACKS = {
    "neither": ({"encoder": EVEN, "decoder": EVEN}, ""),
    "both": ({"encoder": GONE, "decoder": GONE}, ""),
    "the decoder": ({"encoder": LEVEL, "decoder": GONE}, ALONE.format("decoder", "encoder")),
    "the encoder": ({"encoder": GONE, "decoder": LEVEL}, ALONE.format("encoder", "decoder")),
}


@pytest.mark.parametrize("what", STACKS)
def test_gradients_that_vanish_in_one_stack_alone_are_told(what: str, tmp_path: Path) -> None:
    none, expected = STACKS[what]
    runs = deep({"add": {"encoder": EVEN, "decoder": EVEN}, "none": none})
    assert vanished_seen(read_records(write_records(tmp_path, STUDY, runs))) == expected


CONFIG = {
    "model": {"layers": LAYERS, "d_model": WIDTH, "dropout": 0.1},
    "train": {"updates": 400, "label_smoothing": 0.1},
    "optim": {"clip": 1.0},
}
SAID: dict[str, tuple[dict[str, Any], str]] = {
    "all": ({}, "All runs have dropout 0.1, label smoothing 0.1 and gradients clipped at norm 1."),
    "what it varies is left out": (
        {"across": {"model.dropout": [0, 0.1]}}, "All runs have label smoothing 0.1 and gradients clipped at norm 1."
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", SAID)
def test_the_line_of_the_setting_names_what_all_runs_have(what: str, tmp_path: Path, undrawn: None) -> None:
    more, expected = SAID[what]
    study = a_study()
    levels = more.get("across", {})
    crossed = a_study(factors={"dropout": {level: {"model.dropout": level} for level in levels["model.dropout"]}}) \
        if levels else study  # fmt: skip
    data = read_records(write_records(tmp_path, study, some_runs(crossed), config=CONFIG, **more))
    assert regularised(data) == expected
    assert expected in (build(tmp_path, "toy", data.setting) / "report.md").read_text()


def test_old_records_name_nothing(tmp_path: Path) -> None:
    assert regularised(read_records(write_records(tmp_path, a_study(), some_runs(a_study())))) == ""
