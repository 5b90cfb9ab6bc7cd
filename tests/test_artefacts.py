"""Three artefacts: corpora, trainings with parents, evaluations; and the forms in which they lie on disk."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from corpora import composed
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from omegaconf import OmegaConf
from tiny import tiny_model, tokens

from ablate.config import BadInput, TrainConfig
from ablate.data.batches import Batch
from ablate.data.prepare import prepare
from ablate.model.seeding import Streams
from ablate.plan.composition import Plan, plan
from ablate.run.launching import waves
from ablate.store.folders import Store, in_order
from ablate.store.ids import training_id
from ablate.store.schema import VERSION, Damaged, EvaluationResult, Stored, Task, TrainingResult, sealed, unsealed
from ablate.training.member import run_member
from ablate.training.objectives import OBJECTIVES

SMOKE = ["preset=smoke", "data=fixture", "train.updates=8", "train.validations=2", "diagnostics.times=0"]
DISTILLED: dict[str, Any] = {
    "name": "distillation",
    "question": "Does a student learn more from a teacher?",
    "baseline": "student",
    "variants": {
        "taught": {"model.d_model": 16, "train.objective": "distillation", "train.teacher": "teacher"},
        "student": {"model.d_model": 16},
        "teacher": {},
    },
    "metric": "test_loss",
}


def planned(study: dict[str, Any], *overrides: str) -> Plan:
    return plan(lambda given: OmegaConf.merge(composed(given), {"study": study}), [*SMOKE, *overrides])


def done(made: Plan, root: Path) -> Store:
    store = Store(root)
    for recipe, mark in made.corpora.items():
        prepare(recipe, lambda line: None, mark)
    for run in store.freeze(made.runs):
        run_member(store.run(run), made.config.device)
        assert store.run(run).failure() is None, store.run(run).file("failure.txt").read_text()
    return store


# --- evaluations ----------------------------------------------------------------------------------------------------


def test_cells_that_differ_in_evaluation_share_their_trainings(tmp_path: Path) -> None:
    made = plan(composed, ["+sweep=decoding", *SMOKE, "seeds=1"])
    assert len({spec.id for spec in made.runs}) == 1
    assert len({spec.evaluation for spec in made.runs}) == len(made.cells)
    store = done(made, tmp_path)
    assert len(list(tmp_path.glob("runs/*/weights.pt"))) == 1
    found = {spec.cell: store.run(spec.id).scores(spec.evaluation) for spec in made.runs}
    assert all(score is not None for score in found.values())
    greedy, wide = found["beam1"], found["beam10"]
    assert greedy is not None
    assert wide is not None
    assert greedy.beam == greedy.greedy == wide.greedy != wide.beam
    assert greedy.loss == wide.loss
    assert store.freeze(made.runs) == []


def test_a_later_evaluation_trains_nothing(tmp_path: Path) -> None:
    store = done(planned({**DISTILLED, "variants": {"student": {}}}, "seeds=1"), tmp_path)
    (weights,) = tmp_path.glob("runs/*/weights.pt")
    before = weights.stat().st_mtime_ns
    another = planned({**DISTILLED, "variants": {"student": {}}}, "seeds=1", "evaluation.beam=2")
    assert not store.done(another.runs[0])
    done(another, tmp_path)
    assert store.done(another.runs[0])
    assert weights.stat().st_mtime_ns == before


def test_scores_of_weights_that_were_replaced_are_gone(tmp_path: Path) -> None:
    one = {**DISTILLED, "variants": {"student": {}}}
    store = done(planned(one, "seeds=1"), tmp_path)
    (spec,) = planned(one, "seeds=1").runs
    stale = store.run(spec.id).evaluation_file(spec.evaluation)
    before = stale.stat().st_mtime_ns
    done(planned(one, "seeds=1", "diagnostics.times=2"), tmp_path)  # which trains again, to look inside
    assert stale.stat().st_mtime_ns != before


# --- parents --------------------------------------------------------------------------------------------------------


def test_a_student_is_trained_after_its_teacher_of_the_same_seed(tmp_path: Path) -> None:
    made = planned(DISTILLED, "seeds=2")
    ids = {(spec.cell, spec.seed): spec.id for spec in made.runs}
    for spec in made.runs:
        assert spec.parents == ((ids["teacher", spec.seed],) if spec.cell == "taught" else ())
    todo = Store(tmp_path).freeze(made.runs)
    for seed in (0, 1):
        assert todo.index(ids["teacher", seed]) < todo.index(ids["taught", seed])
    first, second = waves(made, todo)
    assert {*second} == {ids["taught", 0], ids["taught", 1]}
    assert {*first, *second} == {*todo}
    store = done(made, tmp_path)
    assert all(map(store.done, made.runs))


def test_a_student_whose_teacher_is_not_trained_fails_and_says_so(tmp_path: Path) -> None:
    made, store = planned(DISTILLED, "seeds=1"), Store(tmp_path)
    prepare(made.config.data, lambda line: None)
    store.freeze(made.runs)
    (taught,) = (spec for spec in made.runs if spec.cell == "taught")
    run_member(store.run(taught.id), made.config.device)
    assert "its teacher" in (store.run(taught.id).failure() or "")
    assert "is not trained" in (store.run(taught.id).failure() or "")


def test_a_teacher_whose_weights_are_gone_is_trained_again_only_if_a_student_needs_it(tmp_path: Path) -> None:
    made = planned(DISTILLED, "seeds=1")
    store = done(made, tmp_path)
    specs = {spec.cell: spec for spec in made.runs}
    store.run(specs["teacher"].id).file("weights.pt").unlink()
    assert store.freeze(made.runs) == []
    store.run(specs["taught"].id).file("result.json").unlink()
    assert store.freeze(made.runs) == [specs["teacher"].id, specs["taught"].id]


@pytest.mark.parametrize(("variants", "complaint"), [
    ({"a": {"train.objective": "distillation", "train.teacher": "nobody"}}, "nobody .*is not a variant.*: a"),
    ({"a": {"train.objective": "distillation", "train.teacher": "a"}}, "a learns from a"),
    ({"a": {"train.objective": "distillation", "train.teacher": "b"},
      "b": {"train.objective": "distillation", "train.teacher": "a", "model.layers": 2}}, "learns from"),
    ({"a": {"train.teacher": "a"}}, "train.teacher, which train.objective=teacher_forcing does not read"),
    ({"a": {"train.objective": "distillation"}}, "needs a train.teacher"),
    ({"a": {"train.temperature": 2}}, "train.temperature, which train.objective=teacher_forcing does not read"),
])  # fmt: skip
def test_a_false_teacher_is_refused(variants: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        planned({**DISTILLED, "baseline": "a", "variants": variants})


def test_an_id_has_its_parents_and_not_their_names() -> None:
    made = planned(DISTILLED, "seeds=1")
    spec = next(spec for spec in made.runs if spec.cell == "taught")
    renamed = {**DISTILLED, "variants": {**DISTILLED["variants"], "elder": {}}}
    renamed["variants"]["taught"] = {**DISTILLED["variants"]["taught"], "train.teacher": "elder"}
    del renamed["variants"]["teacher"]
    again = next(each for each in planned(renamed, "seeds=1").runs if each.cell == "taught")
    assert (again.id, again.parents) == (spec.id, spec.parents)
    assert training_id(spec.config, 0, spec.corpus, ["another"]) != spec.id


def test_parents_come_first_whatever_the_order_of_cells() -> None:
    made = planned(DISTILLED, "seeds=2")
    for runs in (made.runs, made.runs[::-1]):
        order = in_order(runs)
        assert sorted(order) == sorted({spec.id for spec in runs})
        assert all(order.index(parent) < order.index(spec.id) for spec in runs for parent in spec.parents)


def test_distillation_without_a_share_is_teacher_forcing_and_from_itself_it_has_nothing_to_learn() -> None:
    model = tiny_model().eval()  # so that no dropout is drawn
    batch, streams = Batch(tokens(3, 5), tokens(3, 7, seed=1)), Streams(0)

    def loss(name: str, **keys: Any) -> torch.Tensor:
        config = TrainConfig(**({"objective": name, "teacher": "x"} if name == "distillation" else {}), **keys)
        return OBJECTIVES[name](config, [model] if name == "distillation" else [])(model, batch, 0, streams)[0]

    torch.testing.assert_close(loss("distillation", teacher_share=0.0), loss("teacher_forcing"))
    torch.testing.assert_close(
        loss("distillation", teacher_share=1.0, temperature=2.0), torch.tensor(0.0), atol=1e-6, rtol=0
    )


# --- forms on disk --------------------------------------------------------------------------------------------------

REAL = st.floats(allow_nan=True, allow_infinity=True, width=64)


@given(best=REAL, end=st.none() | REAL, parts=st.dictionaries(st.text(max_size=5), REAL, max_size=3))
def test_numbers_that_are_not_finite_come_back(best: float, end: float | None, parts: dict[str, float]) -> None:
    written = structs.replace(RESULT, best_validation_loss=best, validation_loss=end, final_dead_units=parts)
    text = sealed(written)
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    read = unsealed(text, TrainingResult)
    assert repr(read.best_validation_loss) == repr(float(best))
    assert repr(read.validation_loss) == repr(end if end is None else float(end))
    assert {part: repr(value) for part, value in (read.final_dead_units or {}).items()} == {
        part: repr(value) for part, value in parts.items()
    }
    assert sealed(read) == text


RESULT = TrainingResult(
    version=VERSION, status="diverged", scorable=False, learned=0, diverged_at=3, updates=8, best_update=0,
    best_validation_loss=math.inf, validation_loss=None, parameters=1, parameter_counts={"embedding": 1},
    flops_per_token=1.0, peak_memory=None, tokens_per_second=None, batch_real_share=1.0, micro_batches=1,
    diagnostics=[{"update": 0, "gradient_norm": {"embedding": math.nan}}], final_dead_units=None, seconds=1.0,
    provenance={},
)  # fmt: skip


def test_a_diverged_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = plan(composed, [*SMOKE, "seeds=1", "optim.lr=1e30", "optim.warmup=0", "optim.clip=1e30"])
    store = done(made, tmp_path)
    result = store.run(made.runs[0].id).result()
    assert result is not None
    assert result.status == "diverged"
    assert sealed(result) == store.run(made.runs[0].id).file("result.json").read_text()


@pytest.mark.parametrize("kind", [Task, TrainingResult, EvaluationResult])
@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", "[" * 100_000, '{"version": 99}', '{"seed": "x"}', "\xff"]
)
def test_a_file_of_no_run_is_one_clear_line(kind: type[Stored], text: str) -> None:
    with pytest.raises(Damaged) as raised:
        unsealed(text.encode("latin-1"), kind)
    assert len(str(raised.value).splitlines()) == 1


def test_an_unknown_version_is_named() -> None:
    with pytest.raises(ValueError, match=f"version {VERSION + 1}.*up to {VERSION}"):
        structs.replace(RESULT, version=VERSION + 1)


def test_a_flipped_digit_is_seen() -> None:
    text = sealed(RESULT)
    with pytest.raises(Damaged, match="hash"):
        unsealed(text.replace('"updates": 8', '"updates": 9'), TrainingResult)
