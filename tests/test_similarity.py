"""How similar runs are inside: laws of linear CKA, and what a study writes down of it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from corpora import fixture_plan
from short import some_of
from tiny import TINY, describe, every_choice, tiny_model, tokens

from ablate.config import ModelConfig
from ablate.data.batches import Batch
from ablate.data.corpus import Corpus
from ablate.data.vocabulary import PAD
from ablate.diagnostics.similarity import linear_cka, representations, similarities, unit_gram
from ablate.model.embedding import TiedEmbedding
from ablate.plan.composition import Plan
from ablate.run import representations as kept
from ablate.store.folders import Store
from ablate.store.parts import STACKS
from ablate.store.schema import to_plain
from ablate.training.member import run_member

N = 40
WIDTHS = [(8, 8), (3, 17), (60, 5), (60, 70)]  # narrower and wider than there are tokens
CPU = torch.device("cpu")
each_choice = pytest.mark.parametrize("config", every_choice(), ids=describe)
each_width = pytest.mark.parametrize("widths", WIDTHS, ids=str)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def related(widths: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Two representations that share some of what they hold."""
    common = drawn(N, 4)
    x, y = (common @ drawn(4, d, seed=1 + side) + drawn(N, d, seed=3 + side) for side, d in enumerate(widths))
    return x, y


# --- the measure ----------------------------------------------------------------------------------------------------


@each_width
def test_cka_is_kornblith_and_others_formula(widths: tuple[int, int]) -> None:
    x, y = related(widths)
    a, b = x - x.mean(0), y - y.mean(0)
    expected = (b.T @ a).norm() ** 2 / ((a.T @ a).norm() * (b.T @ b).norm())
    assert linear_cka(x, y) == pytest.approx(float(expected))


@each_width
def test_cka_lies_between_0_and_1_and_is_symmetric(widths: tuple[int, int]) -> None:
    x, y = related(widths)
    assert 0 < linear_cka(x, y) < 1
    assert linear_cka(x, y) == pytest.approx(linear_cka(y, x))


@each_width
@pytest.mark.parametrize("scale", [1e-30, -3.0, 1e30])
def test_cka_ignores_rotation_scale_and_shift(widths: tuple[int, int], scale: float) -> None:
    x, y = related(widths)
    rotation, _ = torch.linalg.qr(drawn(widths[0], widths[0], seed=9))
    moved = scale * (x @ rotation) + scale * 5
    assert linear_cka(x, moved) == pytest.approx(1)
    assert linear_cka(moved, y) == pytest.approx(linear_cka(x, y))


def test_cka_of_what_shares_nothing_is_0() -> None:
    x, y = torch.zeros(4, 1), torch.zeros(4, 1)
    x[:, 0], y[:, 0] = torch.tensor([1.0, 1, -1, -1]), torch.tensor([1.0, -1, 1, -1])
    assert linear_cka(x, y) == 0


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
def test_cka_of_what_is_the_same_for_all_tokens_is_not_a_number(value: float) -> None:
    x, same = drawn(N, 5), torch.full((N, 5), value)
    assert math.isnan(linear_cka(x, same))
    matrix = kept.rounded(similarities([unit_gram(each) for each in (x, same, 2 * x)]))
    assert matrix == [[1.0, None, 1.0], [None, None, None], [1.0, None, 1.0]]


# --- representations ------------------------------------------------------------------------------------------------


@each_choice
def test_every_architecture_has_an_output_for_each_stack(config: ModelConfig) -> None:
    model, source, target = tiny_model(config), tokens(3, 6), tokens(3, 7, seed=1)
    outputs = model.outputs(source, target)
    assert {stack: tuple(output.shape) for stack, output in outputs.items()} == {
        "encoder": (3, 6, config.d_model),
        "decoder": (3, 7, config.d_model),
    }
    before = model(source, target)
    projections = [module for module in model.modules() if isinstance(module, TiedEmbedding)]
    assert [torch.equal(before, each.logits(outputs["decoder"])) for each in projections] == [True]


@each_choice
def test_representations_are_of_the_first_tokens_and_never_of_padding(config: ModelConfig) -> None:
    model, source, target = tiny_model(config), tokens(3, 6), tokens(3, 8, seed=1)
    source[1, 2:] = target[0, 5:] = PAD
    alone = [Batch(source[:1], target[:1, :5]), Batch(source[1:2, :2], target[1:2]), Batch(source[2:], target[2:])]
    found = representations(model, alone, 10)
    together = representations(model, [Batch(source, target)], 10)
    assert {stack: tuple(rows.shape) for stack, rows in found.items()} == dict.fromkeys(STACKS, (10, config.d_model))
    for stack in STACKS:
        torch.testing.assert_close(found[stack], together[stack], rtol=1e-4, atol=1e-4)
    assert {stack: len(rows) for stack, rows in representations(model, alone, 1000).items()} == {
        "encoder": 6 + 2 + 6,
        "decoder": 4 + 7 + 7,
    }


def test_models_of_any_architecture_and_width_are_compared() -> None:
    batch = [Batch(tokens(4, 9), tokens(4, 9, seed=1))]
    configs = [TINY, replace(TINY, architecture="lstm"), replace(TINY, d_model=32)]
    for stack in STACKS:
        found = [representations(tiny_model(config), batch, 30)[stack] for config in configs]
        matrix = similarities([unit_gram(each) for each in found])
        assert torch.equal(matrix, matrix.T)
        assert ((matrix > 0) & (matrix < 1 - 1e-3) | torch.eye(3, dtype=torch.bool)).all()


# --- a study --------------------------------------------------------------------------------------------------------


@pytest.fixture
def study(tmp_path: Path) -> tuple[Store, Plan, Corpus]:
    plan = fixture_plan("+sweep=norm_placement", "train.updates=4", "train.validations=1", "diagnostics.times=0")
    store = Store(tmp_path)
    store.freeze(plan.runs)
    for spec in plan.runs:
        run_member(store.run(spec.id), plan.config.device)
    return store, plan, Corpus.load(plan.corpus)


def file_of(store: Store, plan: Plan) -> Path:
    return store.root / "experiments" / plan.study.name / plan.setting / kept.NAME


def names(value: dict[str, Any]) -> list[tuple[str, int]]:
    return [(variant, seed) for variant, seed, _ in value["runs"]]


def test_a_study_writes_down_how_similar_its_runs_are(
    study: tuple[Store, Plan, Corpus], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, plan, corpus = study
    value = to_plain(kept.measure(store, plan, corpus, CPU))
    assert json.loads(file_of(store, plan).read_text()) == json.loads(json.dumps(value))
    assert value["runs"] == [(spec.cell, spec.seed, spec.id) for spec in plan.runs]
    assert 0 < value["tokens"] <= kept.TOKENS
    for stack in STACKS:
        matrix = torch.tensor(value[stack])
        assert torch.equal(matrix, matrix.T)
        assert torch.equal(matrix.diag(), torch.ones(len(plan.runs)))
        assert ((matrix >= 0) & (matrix <= 1)).all()

    before = file_of(store, plan).stat()
    monkeypatch.setattr(kept, "load_model", None)  # nothing is measured again
    assert to_plain(kept.measure(store, plan, corpus, CPU)) == value
    store.run(plan.runs[0].id).file("weights.pt").unlink()
    assert to_plain(kept.measure(store, plan, corpus, CPU)) == value
    assert file_of(store, plan).stat().st_mtime_ns == before.st_mtime_ns


def test_runs_that_cannot_be_compared_are_left_out(study: tuple[Store, Plan, Corpus]) -> None:
    store, plan, corpus = study
    damaged, other, *rest = plan.runs
    store.run(damaged.id).file("weights.pt").write_bytes(b"PK")
    plan = replace(plan, runs=[damaged, replace(other, corpus="another"), *rest])
    assert names(to_plain(kept.measure(store, plan, corpus, CPU))) == [(spec.cell, spec.seed) for spec in rest]
    fewer = replace(plan, runs=rest[:1])
    expected = names({"runs": [[rest[0].cell, rest[0].seed, ""]]})
    assert names(to_plain(kept.measure(store, fewer, corpus, CPU))) == expected
    assert to_plain(kept.measure(store, replace(plan, runs=[damaged]), corpus, CPU)) == {}
    assert not file_of(store, plan).exists()


DAMAGED = ["", "[]", "{}", '{"runs": [], "tokens": 3, "encoder": 1, "decoder": 2}', "\0"]


@pytest.mark.parametrize("content", some_of(DAMAGED))
def test_a_damaged_file_is_written_again(study: tuple[Store, Plan, Corpus], content: str) -> None:
    store, plan, corpus = study
    value = to_plain(kept.measure(store, plan, corpus, CPU))
    file_of(store, plan).write_text(content)
    assert to_plain(kept.measure(store, plan, corpus, CPU)) == value
    assert json.loads(file_of(store, plan).read_text()) == json.loads(json.dumps(value))


def test_a_failure_costs_a_line_and_nothing_else(
    study: tuple[Store, Plan, Corpus], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*arguments: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTry less.")

    store, plan, corpus = study
    monkeypatch.setattr(kept, "load_model", no_memory)
    said: list[str] = []
    kept.compare(plan, store, corpus, CPU, said.append)
    (line,) = said
    assert line.endswith("CUDA out of memory.")
    assert not file_of(store, plan).exists()


@pytest.mark.parametrize("ending", ["train.updates=0", "optim.lr=1e30"])
def test_runs_without_trained_weights_are_left_out(ending: str, tmp_path: Path) -> None:
    plan = fixture_plan(ending, "optim.warmup=0", "optim.clip=1e30", "diagnostics.times=0", "seeds=1")
    store = Store(tmp_path)
    store.freeze(plan.runs)
    run_member(store.run(plan.runs[0].id), plan.config.device)
    result = store.run(plan.runs[0].id).result()
    assert result is not None
    assert not result.scorable
    assert to_plain(kept.measure(store, plan, Corpus.load(plan.corpus), CPU)) == {}
    assert not file_of(store, plan).exists()
