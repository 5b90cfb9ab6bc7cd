import math
import shutil
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from corpora import fixture_plan
from forks import ended, fork
from msgspec import structs
from tiny import VOCABULARY, tiny_model, tokens

from ablate.config import (
    CHOICES,
    LEARNED_BELOW,
    LEAST_VALIDATIONS,
    Config,
    Device,
    DiagnosticsConfig,
    EvaluationConfig,
    ModelConfig,
    OptimConfig,
    TrainConfig,
)
from ablate.data.corpus import Corpus
from ablate.data.prepare import fingerprint
from ablate.data.vocabulary import PAD
from ablate.model.token_loss import pair_loss, token_loss
from ablate.store.folders import Store
from ablate.store.ids import evaluation_id
from ablate.store.plain import config_to_plain
from ablate.store.run_folder import RunFolder
from ablate.store.schema import VERSION, Task
from ablate.system.atomic import PART
from ablate.training import meter as metering
from ablate.training.checkpoints import AverageLast10, Best
from ablate.training.member import evenly, run_member, train_member
from ablate.training.meter import Meter, Row
from ablate.training.request import Request
from ablate.training.schedule import SCHEDULES, learning_rate

UPDATES = 1000


# --- the schedule ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_warmup_changes_the_rate_only_while_it_lasts(schedule: str) -> None:
    short, long = (learning_rate(OptimConfig(warmup=w, schedule=schedule), UPDATES) for w in (0.0, 0.2))
    for t in range(1, UPDATES + 1):
        ratio = 1 if t >= 200 else t / 200
        assert long(t) == pytest.approx(ratio * short(t))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_rate_is_never_negative_nor_above_its_peak(schedule: str) -> None:
    rate = learning_rate(OptimConfig(lr=1e-3, schedule=schedule), UPDATES)
    assert all(0 <= rate(t) <= 1e-3 for t in range(1, UPDATES + 1))


def test_linear_ends_at_zero() -> None:
    assert learning_rate(OptimConfig(schedule="linear"), UPDATES)(UPDATES) == 0


@pytest.mark.parametrize(
    ("d_model", "warmup", "updates"), [(512, 4000, 100_000), (128, 400, 1000), (128, 2000, 8000), (512, 1, 100)]
)
def test_inverse_sqrt_is_the_formula_of_the_paper_where_anchor_and_warmup_agree(
    d_model: int, warmup: int, updates: int
) -> None:
    """lrate = d_model^-0.5 min(step^-0.5, step warmup^-1.5).  Vaswani et al. 2017, section 5.3."""
    peak, share = d_model**-0.5 * warmup**-0.5, warmup / updates
    rate = learning_rate(OptimConfig(lr=peak, warmup=share, anchor=share, schedule="inverse_sqrt"), updates)
    for t in {*range(1, min(updates, 1000) + 1), *range(1, updates + 1, 97), warmup, warmup + 1, updates}:
        assert rate(t) == pytest.approx(d_model**-0.5 * min(t**-0.5, t * warmup**-1.5), rel=1e-12)


# --- the loss -------------------------------------------------------------------------------------------------------


def test_pair_losses_sum_to_the_mean_loss() -> None:
    logits = torch.randn(3, 5, VOCABULARY, generator=torch.Generator().manual_seed(0))
    labels = tokens(3, 5)
    labels[2, 2:] = PAD
    total = pair_loss(logits, labels).sum() / (labels != PAD).sum()
    assert total.item() == pytest.approx(token_loss(logits, labels).item(), rel=1e-5)
    assert pair_loss(logits, labels)[2].item() == pytest.approx(
        F.cross_entropy(logits[2, :2], labels[2, :2], reduction="sum").item(), rel=1e-5
    )


# --- the meter ------------------------------------------------------------------------------------------------------


def metered(losses: list[float]) -> tuple[Meter, list[Row]]:
    rows: list[Row] = []
    meter = Meter(rows.extend)
    for update, loss in enumerate(losses, start=1):
        if meter.diverged_at is None:
            meter.add(update, 1e-3, torch.tensor([loss, 1.0, 10.0]))
    meter.flush()
    return meter, rows


def test_a_falling_loss_has_not_diverged() -> None:
    meter, rows = metered([7 - 0.01 * update for update in range(200)])
    assert meter.diverged_at is None
    assert [row[0] for row in rows] == list(range(1, 201))
    assert meter.tokens == 2000


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_has_diverged_at_its_update(bad: float) -> None:
    meter, rows = metered([7.0] * 30 + [bad] + [7.0] * 30)
    assert meter.diverged_at == 31
    assert rows[-1][0] == 31


def test_a_mean_loss_a_nat_above_the_first_has_diverged() -> None:
    over = metering.DIVERGED_OVER
    assert metered([7.0] * 10 + [7.9] * 300)[0].diverged_at is None
    assert metered([7.0] + [8.1] * 300)[0].diverged_at == over  # (7 + 49 * 8.1) / 50 is more than a nat above 7
    assert metered([7.0] * over + [90.0] + [7.0] * over)[0].diverged_at == over + 1  # the mean counts, not one update


def test_a_single_high_loss_is_no_divergence() -> None:
    assert metered([7.0] * 60 + [20.0] + [7.0] * 100)[0].diverged_at is None


# --- which weights are kept -----------------------------------------------------------------------------------------


def offer(checkpoint: Best | AverageLast10, losses: list[float]) -> list[torch.Tensor]:
    model, seen = tiny_model(), []
    for update, loss in enumerate(losses):
        with torch.no_grad():
            model.embedding.table.weight.fill_(float(update))
        seen.append(model.embedding.table.weight.detach().clone())
        checkpoint.offer(model, update, loss)
    return seen


def test_best_keeps_the_lowest_validation_loss() -> None:
    checkpoint = Best()
    seen = offer(checkpoint, [5.0, 3.0, 2.0, 2.0, 4.0])
    assert checkpoint.update == 2
    assert torch.equal(checkpoint.weights()["embedding.table.weight"], seen[2])


def test_average_takes_the_mean_of_the_last_ten() -> None:
    checkpoint = AverageLast10()
    seen = offer(checkpoint, [1.0] * 14)
    assert torch.equal(checkpoint.weights()["embedding.table.weight"], torch.stack(seen[4:]).mean(0))


@pytest.mark.parametrize(("times", "updates"), [(1, 10), (3, 10), (20, 1500), (20, 7), (4, 0)])
def test_pauses_begin_before_the_first_update_and_end_after_the_last(times: int, updates: int) -> None:
    assert {0, updates} <= evenly(times, updates) <= set(range(updates + 1))
    assert len(evenly(times, updates)) == min(times, updates) + 1
    assert evenly(0, updates) == set()


# --- a whole run ----------------------------------------------------------------------------------------------------


def trained(root: Path, *overrides: str, cell: int = 0) -> RunFolder:
    """The first run of a tiny study on the fixture corpus, done."""
    plan = fixture_plan("+sweep=norm_placement", *overrides)
    store = Store(root)
    spec = plan.runs[cell]
    store.freeze([spec])
    folder = store.run(spec.id)
    run_member(folder, spec.config.device)
    assert folder.failure() is None, folder.file("failure.txt").read_text()
    assert folder.done(spec)
    return folder


@pytest.fixture(scope="module")
def pre(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that was trained alone; to be read only."""
    return trained(tmp_path_factory.mktemp("pre"))


@pytest.fixture(scope="module")
def post(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The other variant at the same seed."""
    return trained(tmp_path_factory.mktemp("post"), cell=2)


def losses(folder: RunFolder) -> list[str]:
    """Update, loss, rate, norm and tokens of each update; seconds left out."""
    return [line.rpartition(",")[0] for line in folder.lines("curve.csv")]


def test_the_same_seed_in_two_empty_stores_gives_the_same_run(pre: RunFolder, tmp_path: Path) -> None:
    first, second = pre, trained(tmp_path)
    assert losses(first) == losses(second)
    weights = [torch.load(folder.file("weights.pt"), weights_only=True) for folder in (first, second)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    ours, theirs = (folder.scores(evaluation_id(Config(), folder.id)) for folder in (first, second))
    assert ours is not None
    assert theirs is not None
    clocks = {"seconds": 0, "decoding_seconds": 0}
    assert structs.replace(ours, **clocks) == structs.replace(theirs, **clocks)


def test_a_run_does_not_depend_on_what_its_process_did_before(post: RunFolder, tmp_path: Path) -> None:
    trained(tmp_path, "train.updates=5", cell=0)
    torch.manual_seed(1234)
    torch.rand(100)
    assert losses(trained(tmp_path, cell=2)) == losses(post)


def test_diagnostics_change_no_loss(pre: RunFolder, tmp_path: Path) -> None:
    without = trained(tmp_path, "diagnostics.times=0")
    assert pre.id == without.id
    assert losses(pre) == losses(without)
    assert pre.lines("diagnostics.jsonl")
    assert not without.lines("diagnostics.jsonl")


def test_variants_of_a_seed_see_the_same_batches_in_the_same_order(
    pre: RunFolder, post: RunFolder, tmp_path: Path
) -> None:
    def tokens_seen(folder: RunFolder) -> list[str]:
        return [line.split(",")[4] for line in folder.lines("curve.csv")]

    other_seed = trained(tmp_path, cell=1)
    assert tokens_seen(pre) == tokens_seen(post)
    assert tokens_seen(pre) != tokens_seen(other_seed)


def test_a_result_says_what_later_analysis_needs(pre: RunFolder) -> None:
    result, scores = pre.result(), pre.scores(evaluation_id(Config(), pre.id))
    assert result is not None
    assert scores is not None
    parts = {
        f"{stack}.{sublayer}"
        for stack, subs in (
            ("encoder.0", ("self_attention", "feedforward")),
            ("decoder.0", ("self_attention", "cross_attention", "feedforward")),
        )
        for sublayer in subs
    }
    assert [measured["update"] for measured in result.diagnostics] == [0, 30, 60]
    for measured in result.diagnostics:
        assert parts | {"embedding"} <= set(measured["gradient_norm"])
        assert (
            set(measured["attention_entropy"])
            == set(measured["score_variance"])
            == {p for p in parts if "attention" in p}
        )
        assert set(measured["dead_units"]) == set(measured["negative_preactivations"]) == {"encoder.0", "decoder.0"}
        assert all(0 <= share <= 1 for share in measured["dead_units"].values())
        assert all(value > 0 for value in measured["gradient_norm"].values())
    assert sum(result.parameter_counts.values()) == result.parameters
    assert result.flops_per_token > 6 * result.parameter_counts["encoder.0.feedforward"]
    assert result.peak_memory > 2**20
    assert result.provenance["threads"] == 1
    assert len(scores.beam) == len(scores.greedy)
    assert sum(scores.loss) / sum(scores.tokens) == pytest.approx(scores.test_loss, abs=1e-3)


def test_a_run_of_zero_updates_is_finished_and_not_decoded(tmp_path: Path) -> None:
    folder = trained(tmp_path, "train.updates=0")
    result = folder.result()
    assert result is not None
    assert (result.status, result.learned, result.scorable) == ("finished", None, False)
    assert [measured["update"] for measured in result.diagnostics] == [0]
    assert not list(folder.path.glob("evaluation-*.json"))


def test_a_run_that_diverges_is_a_result_and_gets_no_score(tmp_path: Path) -> None:
    folder = trained(tmp_path, "optim.lr=1e30", "optim.warmup=0", "optim.clip=1e30")
    result = folder.result()
    assert result is not None
    assert (result.status, result.learned, result.scorable) == ("diverged", 0, False)
    assert 1 <= result.diverged_at <= 60
    assert result.validation_loss is None
    assert not list(folder.path.glob("evaluation-*.json"))


def test_a_run_that_was_not_looked_into_is_done_again_where_that_is_wanted(tmp_path: Path) -> None:
    without = trained(tmp_path, "diagnostics.times=0")
    before = losses(without)
    wanted = fixture_plan("+sweep=norm_placement").runs[0]
    assert not without.done(wanted)
    again = trained(tmp_path)
    assert losses(again) == before
    assert again.done(wanted)


def test_a_run_that_two_commands_ask_for_is_trained_once(tmp_path: Path) -> None:
    spec = fixture_plan("+sweep=norm_placement").runs[0]
    store = Store(tmp_path)
    store.freeze([spec])
    workers = [fork(work, store.run(spec.id).path) for _ in range(2)]
    assert [*map(ended, workers)] == [0, 0]
    assert len(store.run(spec.id).lines("curve.csv")) == 1 + spec.config.train.updates
    assert store.run(spec.id).failure() is None


def test_a_run_is_the_same_alone_and_beside_another(pre: RunFolder, tmp_path: Path) -> None:
    specs = fixture_plan("+sweep=norm_placement").runs[:2]
    store = Store(tmp_path)
    store.freeze(specs)
    workers = [fork(work, store.run(spec.id).path) for spec in specs]
    assert [*map(ended, workers)] == [0, 0]
    assert losses(store.run(specs[0].id)) == losses(pre)


def work(folder: Path) -> None:
    run_member(RunFolder(folder), Device.cpu)


Left = tuple[list[str], list[str], list[float]]
KNOBS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [  # section, what it holds before, what is changed in it
    ("optim", {}, {"lr": 2e-3}),
    ("optim", {}, {"warmup": 0.5}),
    ("optim", {}, {"schedule": "inverse_sqrt"}),
    ("optim", {"schedule": "inverse_sqrt"}, {"anchor": 0.5}),
    ("optim", {}, {"kind": "sgd"}),
    ("optim", {}, {"beta1": 0.5}),
    ("optim", {}, {"beta2": 0.5}),
    ("optim", {}, {"epsilon": 1e-2}),
    ("optim", {}, {"weight_decay": 0.1}),
    ("optim", {}, {"clip": 0.01}),
    ("train", {}, {"updates": 9}),
    ("train", {}, {"batch_tokens": 150}),
    ("train", {}, {"label_smoothing": 0.0}),
    ("train", {"validations": 4}, {"validations": 2}),
    ("train", {}, {"checkpoint": "average_last_10"}),
    ("train", {}, {"objective": "distillation", "teacher": "teacher"}),
    ("train", {"objective": "distillation", "teacher": "teacher"}, {"teacher_share": 0.1}),
    ("train", {"objective": "distillation", "teacher": "teacher"}, {"temperature": 3.0}),
]


def test_every_field_of_training_is_tried() -> None:
    for name, section in (("optim", OptimConfig), ("train", TrainConfig)):
        tried = {key for where, _, change in KNOBS if where == name for key in change}
        only = {item.name for item in fields(section) if len(CHOICES.get(f"{name}.{item.name}", "several")) == 1}
        assert tried == {item.name for item in fields(section)} - only


@pytest.mark.parametrize(("section", "before", "change"), KNOBS, ids=str)
def test_no_knob_of_training_is_dead(
    section: str, before: dict[str, Any], change: dict[str, Any], smallest: Config, left: Left, tmp_path: Path
) -> None:
    base = replace(smallest, **{section: replace(getattr(smallest, section), **before)})
    changed = replace(base, **{section: replace(getattr(base, section), **change)})
    left = left if base == smallest else left_by(base, tmp_path / "base")
    assert left_by(changed, tmp_path / "changed") != left


def test_what_is_no_knob_changes_no_training(smallest: Config, left: Left, tmp_path: Path) -> None:
    elsewhere = replace(smallest, seeds=9, workers=1, evaluation=EvaluationConfig(beam=2))
    assert left_by(elsewhere, tmp_path) == left


@pytest.fixture(scope="module")
def smallest() -> Config:
    return replace(
        fixture_plan("data.validation_pairs=5").config,
        model=ModelConfig(d_model=8, heads=2, layers=1, ffn_ratio=1.0),
        optim=OptimConfig(),
        train=TrainConfig(updates=8, batch_tokens=120, validations=LEAST_VALIDATIONS),
        diagnostics=DiagnosticsConfig(times=0),
    )


@pytest.fixture(scope="module")
def left(smallest: Config, tmp_path_factory: pytest.TempPathFactory) -> Left:
    """By the smallest run."""
    return left_by(smallest, tmp_path_factory.mktemp("smallest"))


def left_by(config: Config, path: Path) -> Left:
    """What training leaves: its curve, its validations, the weights that were kept."""
    corpus = Corpus.load(fingerprint(config.data))
    if config.train.teacher:
        taught = replace(config.train, objective="teacher_forcing", teacher=None, updates=4)
        left_by(replace(config, train=taught, model=replace(config.model, d_model=12)), path.with_name("teacher"))
    task = Task(
        version=VERSION,
        seed=0,
        corpus=corpus.metadata["fingerprint"],
        config=config_to_plain(config),
        parents=["teacher"] if config.train.teacher else [],
    )
    folder = RunFolder(path)
    shutil.rmtree(path, ignore_errors=True)
    folder.write("run.json", task)
    train_member(folder, task, config, corpus, torch.device("cpu"), Request())
    weights = torch.load(folder.file("weights.pt"), weights_only=True)
    return losses(folder), folder.lines("validation.csv"), [each.double().sum().item() for each in weights.values()]


def test_learned_is_held_against_the_unigram_distribution(tmp_path: Path) -> None:
    result = trained(tmp_path, "train.updates=1").result()
    assert result is not None
    assert result.learned == 0
    assert 0.9 < LEARNED_BELOW < 1


@pytest.mark.parametrize("harm", ["gone", "cut short", "flipped"])
def test_weights_that_are_not_whole_are_never_loaded(tmp_path: Path, harm: str) -> None:
    torch.save({"weight": torch.arange(4096.0)}, tmp_path / "weights.pt")
    folder = RunFolder(tmp_path)
    assert folder.weights_are_whole()
    content = bytearray(folder.file("weights.pt").read_bytes())
    content[len(content) // 2] ^= 1
    if harm == "gone":
        folder.file("weights.pt").unlink()
    else:
        folder.file("weights.pt").write_bytes(content[: len(content) // 2] if harm == "cut short" else content)
    assert not folder.weights_are_whole()


def test_a_fault_ends_in_the_runs_folder(tmp_path: Path) -> None:
    plan = fixture_plan("+sweep=norm_placement")
    store, spec = Store(tmp_path), plan.runs[0]
    store.freeze([spec])
    folder = store.run(spec.id)
    task = folder.task()
    assert task is not None
    folder.write("run.json", structs.replace(task, corpus="0" * 12))
    run_member(folder, spec.config.device)
    assert folder.result() is None
    assert "corpus" in str(folder.failure())


def test_bf16_trains_too(tmp_path: Path) -> None:
    result = trained(tmp_path, "precision=bf16").result()
    assert result is not None
    assert result.status == "finished"
    assert replace(Config()).precision.name == "fp32"


def test_what_a_dead_worker_left_in_the_making_is_swept_by_the_next(tmp_path: Path) -> None:
    spec = fixture_plan("+sweep=norm_placement").runs[0]
    store, folder = Store(tmp_path), Store(tmp_path).run(spec.id)
    store.freeze([spec])
    folder.file(f".result.json.dead{PART}").write_text("{")
    run_member(folder, spec.config.device)
    assert folder.done(spec)
    assert not list(folder.path.glob(f".*{PART}"))
