"""Twins: variants of another size or cost beside copies of them at the baseline's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpora import composed
from records import a_run, a_study, write_records
from short import each_once, sometimes

from ablate.config import BadInput, ModelConfig
from ablate.data.corpus import Corpus
from ablate.data.prepare import prepare
from ablate.model.flops import flops_on
from ablate.plan.composition import Plan, plan
from ablate.plan.matching import inner_parameters
from ablate.records.collect import collect
from ablate.records.read import read_records
from ablate.report.evidence import Evidence, identity
from ablate.report.render import build
from ablate.store.folders import Store
from ablate.study import TWINS, WITHIN

SEEDS = 6


def planned(*words: str) -> Plan:
    return plan(composed, ["data=fixture", *words])


def size(kind: str, found: Plan, cell: str) -> float:
    """What is matched, of a cell's model."""
    config = found.configs[cell]
    return flops_on(config.model, prepare(config.data, print)) if kind == "flops" else inner_parameters(config.model)


def shape(model: ModelConfig) -> tuple[Any, ...]:
    """All that a twin has in common with its variant."""
    return model.d_k, model.heads, model.ffn_ratio, model.layers


@pytest.mark.parametrize("kind", sometimes(TWINS, "parameters"))
def test_twins_have_the_baselines_size_and_change_d_model_alone(kind: str) -> None:
    found = planned("+sweep=ffn_ratio", f"match={kind}")
    aim, ending = size(kind, found, "ratio4"), f",{TWINS[kind]}"
    twins = [name for name in found.configs if name.endswith(ending)]
    assert {name.removesuffix(ending) for name in twins} == set(found.configs) - {"ratio4", *twins}
    for name in twins:
        raw = name.removesuffix(ending)
        assert abs(size(kind, found, name) / aim - 1) <= WITHIN < abs(size(kind, found, raw) / aim - 1)
        assert shape(found.configs[name].model) == shape(found.configs[raw].model)
    assert found.setting == f"fixture-laptop-match={kind}"


@pytest.mark.long
def test_both_may_be_matched_and_each_has_the_twins_that_it_has_alone() -> None:
    both = planned("+sweep=ffn_ratio", "match=[flops,parameters]")
    assert both.setting == "fixture-laptop-match=parameters+flops"
    alone = [planned("+sweep=ffn_ratio", f"match={kind}") for kind in TWINS]
    assert {spec.id for spec in both.runs} == {spec.id for found in alone for spec in found.runs}
    assert both.configs.keys() == alone[0].configs.keys() | alone[1].configs.keys()


def test_twins_that_are_matched_in_two_ways_may_be_the_same() -> None:
    study = {"baseline": "four", "variants": {"four": {"model.ffn_ratio": 4}, "wider": {"model.ffn_ratio": 4.5}}}
    found = plan(with_study(study), ["data=fixture", "preset=smoke", "match=[parameters,flops]"])
    ids = {cell: {spec.id for spec in found.runs if spec.cell == cell} for cell in found.configs}
    assert ids["wider,matched"] == ids["wider,matched_flops"] != ids["wider"]


def test_a_twin_sets_only_what_its_architecture_reads() -> None:
    study = "{name: a, question: q, baseline: t, variants: {t: {model.layers: 2}, l: {model.architecture: lstm}}}"
    found = planned(f"+study={study}", "match=parameters")
    assert list(found.added["twins"]) == ["l,matched"]
    assert set(found.added["twins"]["l,matched"]) == {"model.architecture", "model.d_model"}
    one, other = (inner_parameters(found.configs[name].model) for name in ("t", "l,matched"))
    assert abs(other / one - 1) <= WITHIN


CROSSED: dict[str, dict[Any, dict[str, Any]]] = {  # factors of any kind that twins have to follow
    "heads": {1: {"model.heads": 1}, 8: {"model.heads": 8}},
    "d_k": {8: {"model.head_width": 8}, 64: {"model.head_width": 64}},
    "depth": {1: {"model.layers": 1}, 12: {"model.layers": 12}},
    "width": {64: {"model.d_model": 64}, 256: {"model.d_model": 256}},
    "warmup": {0: {"optim.warmup": 0}, 0.5: {"optim.warmup": 0.5}},
}
TUNES = [(), ("tune=lr", "grid=[0.001,0.002]"), ("tune=[lr,warmup]", "grid={lr:[0.001],warmup:[0]}")]
RATIOS = {"baseline": "four", "variants": {"four": {"model.ffn_ratio": 4}, "one": {"model.ffn_ratio": 1}}}


def with_study(study: dict[str, Any]) -> Callable[[list[str]], Any]:
    def compose(overrides: list[str]) -> Any:
        node = composed(overrides)
        node.study = {"name": "sizes", "question": "How large?", **study}
        return node

    return compose


@pytest.mark.parametrize(("factor", "kind"), each_once(CROSSED, TWINS))
def test_twins_have_the_baselines_size_at_every_level_of_every_factor(factor: str, kind: str) -> None:
    study = {**RATIOS, "factors": {factor: CROSSED[factor], "norm": {"post": {"model.norm_placement": "post"}}}}
    tune = [] if factor == "warmup" else ["tune=lr", "grid=[0.001,0.002]"]
    found = plan(with_study(study), ["data=fixture", f"match={kind}", *tune])
    twins = [cell for cell in found.cells if cell.variant == f"one,{TWINS[kind]}"]
    assert len(twins) == len(CROSSED[factor]) * (3 if tune else 1)
    for cell in twins:
        raw = cell.name.replace(f",{TWINS[kind]}", "")
        assert abs(size(kind, found, cell.name) / size(kind, found, str(cell.baseline)) - 1) <= WITHIN
        assert shape(found.configs[cell.name].model) == shape(found.configs[raw].model)


@pytest.mark.parametrize("tune", sometimes(TUNES, TUNES[0]), ids=["plain", "tuned", "tuned in both"])
def test_records_read_back_the_cells_of_twins(tmp_path: Path, tune: tuple[str, ...]) -> None:
    study = {**RATIOS, "factors": {"depth": {1: {"model.layers": 1}, 2: {"model.layers": 2}}}}
    found = plan(with_study(study), ["data=fixture", "preset=smoke", "match=[parameters,flops]", *tune])
    prepare(found.config.data, lambda line: None)
    folder = collect(Store(tmp_path), found, {found.corpus: Corpus.load(found.corpus)})
    data = read_records(folder)
    assert data.cells == found.cells
    assert all(each.agrees for run in data.runs for each in identity(Evidence(data, run)))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a variant that sets the width itself": (
        {"baseline": "wide", "variants": {"wide": {"model.d_model": 256}, "narrow": {"model.d_model": 64}}},
        "a twin changes model.d_model",
    ),
    "a size that no width comes near": (
        {"baseline": "small", "variants": {"small": {"model.ffn_ratio": 1}, "huge": {"model.ffn_ratio": 1000}}},
        "comes nearest",
    ),
    "a variant that is of one size at some levels only": (
        {
            "baseline": "four",
            "variants": {"four": {"model.ffn_ratio": 4}, "other": {"model.ffn_ratio": 4, "model.heads": 1}},
            "factors": {"d_k": {16: {"model.head_width": 16}, 32: {"model.head_width": 32, "model.heads": 4}}},
        },
        "would train some runs twice",
    ),
}


@pytest.mark.parametrize("kind", TWINS)
@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_matched_is_refused_in_a_line(what: str, kind: str) -> None:
    study, said = REFUSED[what]
    with pytest.raises(BadInput, match=said) as caught:
        plan(with_study(study), ["data=fixture", f"match={kind}"])
    assert "\n" not in str(caught.value)


def test_a_smoke_model_is_too_narrow_for_a_close_match_and_gets_the_nearest() -> None:
    found = planned("+sweep=ffn_ratio", "preset=smoke", "match=parameters")
    aim = inner_parameters(found.configs["ratio4"].model)
    for name in found.added["twins"]:
        assert abs(inner_parameters(found.configs[name].model) / aim - 1) < 0.1


# --- twins in a report ----------------------------------------------------------------------------------------------


def with_twins(
    root: Path, raw: float, twins: dict[str, float], changes: dict[str, Any] | None = None, noise: float = 0.0
) -> str:
    """The report of a study whose variant scores so much above the baseline, and its twins of each kind so much.

    `changes` are those of the records of twins.
    """
    rng = np.random.default_rng(0)
    study, overrides = a_study(("a", "b")), {"model.ffn_ratio": 2, "model.d_model": 96}
    names = {f"b,{TWINS[kind]}": gain for kind, gain in twins.items()}
    whole = study.twinned(dict.fromkeys(names, overrides), {})
    runs = [
        a_run(whole, cell.name, seed, 40 + {"a": 0.0, "b": raw, **names}[cell.name] + 0.01 * (seed % 3)
              + noise * rng.normal())
        | ((changes or {}) if cell.name in names else {})
        for cell in whole.cells()
        for seed in range(SEEDS)
    ]  # fmt: skip
    write_records(root, study, runs, twins=dict.fromkeys(names, overrides))
    return (build(root, "toy", "synthetic-laptop") / "report.md").read_text()


WORDS = {"parameters": "parameters", "flops": "FLOPs"}


@pytest.mark.parametrize(
    ("raw", "twin", "noise", "said"),
    [
        (3.0, -3.0, 0.0, "depends on whether {} are matched: `b`"),
        (3.0, 2.0, 0.0, "No effect changes its sign when {} are matched"),
        (1.0, 0.0, 1.0, "when {} are matched, but this is unresolved: `b`"),
    ],
)
@pytest.mark.parametrize("kind", TWINS)
@pytest.mark.usefixtures("undrawn")
def test_an_effect_whose_sign_depends_on_what_is_matched_is_flagged(
    tmp_path: Path, kind: str, raw: float, twin: float, noise: float, said: str
) -> None:
    text = with_twins(tmp_path, raw, {kind: twin}, noise=noise)
    assert said.format(WORDS[kind]) in text
    section = text.partition("### Twins of the baseline's ")[2].partition("\n## ")[0]
    assert {"parameters": "parameters (", "flops": " M FLOPs a target token"}[kind] in section
    equal = {"parameters": "number of parameters, within 3 %,", "flops": "FLOPs a target token, within 3 %."}
    assert equal[kind] in text


@pytest.mark.parametrize(("parameters", "flops"), [(3.0, -3.0), (3.0, 2.0)])
@pytest.mark.usefixtures("undrawn")
def test_a_sign_that_depends_on_which_of_the_two_is_matched_is_flagged(
    tmp_path: Path, parameters: float, flops: float
) -> None:
    text = with_twins(tmp_path, 0.0, {"parameters": parameters, "flops": flops})
    assert text.count("### Twins of the baseline's") == 2
    flagged = "The sign of the effect depends on what is matched, parameters or FLOPs: `b`"
    assert (flagged in text) is (parameters * flops < 0)


@pytest.mark.usefixtures("undrawn")
def test_twins_of_each_kind_are_a_table_of_their_own_so_that_they_change_nobodys_p(tmp_path: Path) -> None:
    with_twins(tmp_path, 0.1, {"parameters": 0.05, "flops": 0.05}, noise=0.1)
    found = read_records(tmp_path / "experiments" / "toy" / "synthetic-laptop").comparisons
    assert [each.variant for each in found] == ["b", "b,matched", "b,matched_flops"]
    assert all(each.p_holm == each.effect.p < 1 for each in found)


SMALL = {"embedding": 9, "encoder.0.feedforward": 8}
OFF: dict[str, tuple[str, dict[str, Any], bool]] = {  # what is matched, the twins' records, whether these say how much
    "parameters of another size": ("parameters", {"parameter_counts": SMALL}, True),
    "parameters unknown": ("parameters", {"parameter_counts": {}}, False),
    "FLOPs of another size": ("flops", {"flops_per_token": 9.0e6}, True),
    "FLOPs unknown": ("flops", {"flops_per_token": None}, False),
}


@pytest.mark.parametrize("what", OFF)
@pytest.mark.usefixtures("undrawn")
def test_a_report_says_that_sizes_are_equal_only_where_they_were_recorded_so(tmp_path: Path, what: str) -> None:
    kind, changes, known = OFF[what]
    text = with_twins(tmp_path, 3.0, {kind: -3.0}, changes)
    assert "within 3 %" not in text
    assert "depends on whether" not in text
    assert "| not matched |" in text
    assert ("**Not matched**" in text) is known
    assert ("do not say how many" in text) is not known
