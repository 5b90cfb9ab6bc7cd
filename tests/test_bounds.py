"""What one very long line may do to memory: nothing much, in any set, on any side, in any pass."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_batches import CPU, members, synthetic
from test_training import trained
from tiny import TINY

from ablate import load_run
from ablate.config import Config, TrainConfig
from ablate.data import bounds
from ablate.data.batches import EVALUATED_ROWS, Batches, EvaluationBatches, first_batch
from ablate.data.bounds import consecutive, most_rows
from ablate.data.corpus import Corpus, Pairs
from ablate.diagnostics import diagnose
from ablate.diagnostics.units import dead_units_over
from ablate.evaluation import decoding
from ablate.evaluation.losses import mean_loss
from ablate.model import build
from ablate.model.transformer import Transformer
from ablate.training.loop import TrainState, gradients
from ablate.training.member import initial_state
from ablate.training.probe import Turns

lengths_of_pairs = st.lists(st.tuples(st.integers(1, 2000), st.integers(1, 2000)), max_size=40)
vocabularies = st.sampled_from([64, 5000, 10**6])


# --- the rule -------------------------------------------------------------------------------------------------------


@given(st.integers(1, 10**5), st.integers(1, 10**5), vocabularies)
def test_a_batch_of_more_than_one_row_stays_within_the_bounds(source: int, target: int, vocabulary: int) -> None:
    rows, length = most_rows(source, target, vocabulary), max(source, target)
    sizes = (length, bounds.TOKENS), (length**2, bounds.SQUARES), (target * vocabulary, bounds.LOGITS)
    assert rows == 1 or all(rows * of_a_row <= bound for of_a_row, bound in sizes)
    assert any((rows + 1) * of_a_row > bound for of_a_row, bound in sizes)  # and no smaller than need be


@given(lengths_of_pairs, vocabularies)
def test_consecutive_batches_hold_every_pair_once_in_order_and_as_many_as_may_be(
    lengths: list[tuple[int, int]], vocabulary: int
) -> None:
    array = np.array(lengths).reshape(-1, 2)

    def fits(part: slice) -> bool:
        return part.stop - part.start <= most_rows(*array[part].max(axis=0).tolist(), vocabulary)

    found = list(consecutive(array, lambda source, target: most_rows(source, target, vocabulary)))
    assert [row for part in found for row in range(len(lengths))[part]] == list(range(len(lengths)))
    assert all(fits(part) for part in found)
    assert not any(fits(slice(part.start, part.stop + 1)) for part in found[:-1])


@pytest.mark.parametrize("longest", [25, 90, 181])
def test_what_is_short_is_batched_by_its_number_alone(longest: int) -> None:
    """As it was before there were bounds: 90 subwords is the longest side of Multi30k, with a vocabulary of 500."""
    rng = np.random.default_rng(longest)
    pairs = synthetic([(int(source), int(target)) for source, target in rng.integers(2, longest + 1, (300, 2))])
    order = np.lexsort([pairs.source_lengths, pairs.target_lengths]).tolist()
    found = [rows for rows, _ in EvaluationBatches(pairs, 500, CPU)]
    assert found == [order[start : start + EVALUATED_ROWS] for start in range(0, len(order), EVALUATED_ROWS)]


# --- diagnostics ----------------------------------------------------------------------------------------------------

SHORT = [(2 + number % 7, 2 + number % 11) for number in range(100)]


@pytest.mark.parametrize("long", [(5000, 3), (3, 1024), (5000, 5000)])
def test_the_first_batch_is_the_first_pairs_without_those_too_long_for_it(long: tuple[int, int]) -> None:
    assert members(first_batch(synthetic(SHORT), 8, 64, CPU)) == list(range(8))
    assert members(first_batch(synthetic(SHORT[:3]), 8, 64, CPU)) == [0, 1, 2]
    between = [*SHORT[:5], long, long, *SHORT[5:]]
    assert members(first_batch(synthetic(between), 8, 64, CPU)) == [0, 1, 2, 3, 4, 7, 8, 9]
    assert members(first_batch(synthetic([long, (900, 900), long]), 64, 64, CPU)) == [1]
    assert members(first_batch(synthetic(SHORT), 8, bounds.LOGITS // 20, CPU)) == [0, 1, 2, 3]  # of 2, 3, 4, 5 tokens


# --- every pass -----------------------------------------------------------------------------------------------------

MIXED = [(2 + number % 9, 2 + number % 5) for number in range(30)]
CORPORA = {
    "short": MIXED,
    "a long source": [*MIXED[:10], (60, 4), *MIXED[10:]],
    "a long target": [*MIXED[:10], (4, 60), *MIXED[10:]],
    "a long pair": [(70, 60), *MIXED],
    "long alone": [(50, 60)] * 3,
    "long sources of one word": [(20, 1)] * 40,
}
MODEL = replace(TINY, layers=1, dropout=0.0)
VOCABULARY = 50  # of which a pair's number is one
Pass = Callable[[Transformer, Pairs], None]


def state_of(model: Transformer) -> TrainState:
    state = initial_state(Config(model=MODEL), VOCABULARY, 0, CPU)
    state.model = model.train()
    return state


def validate(model: Transformer, pairs: Pairs) -> None:
    mean_loss(model, EvaluationBatches(pairs, VOCABULARY, CPU))


def look_inside(model: Transformer, pairs: Pairs) -> None:
    diagnose(model, first_batch(pairs, 64, VOCABULARY, CPU))


def count_dead_units(model: Transformer, pairs: Pairs) -> None:
    dead_units_over(model, (batch for _, batch in EvaluationBatches(pairs, VOCABULARY, CPU)))


def train(model: Transformer, pairs: Pairs) -> None:
    batches = Batches(pairs, 30, CPU)
    for update in range(batches.per_epoch):
        gradients(state_of(model), batches.at(update, seed=0))


def probe_cost(model: Transformer, pairs: Pairs) -> None:
    config = Config(model=MODEL, train=TrainConfig(batch_tokens=30))
    Turns(config, [], VOCABULARY, Batches(pairs, 30, CPU), CPU).train_largest()


def translate(model: Transformer, pairs: Pairs) -> None:
    decoding.translate(model, [pairs.pair(row)[0] for row in range(len(pairs))], beam=1)


PASSES: dict[str, Pass] = {each.__name__: each for each in (
    validate, look_inside, count_dead_units, train, probe_cost, translate)}  # fmt: skip


def shapes_in(run: Pass, pairs: Pairs, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """(rows, source length, positions predicted at once) of every time that a decoder is called in a pass."""
    seen = []
    decode = Transformer.decode

    def noted(self, target, memory, source, cache=None):  # type: ignore[no-untyped-def]
        seen.append((*source.shape, target.shape[1]))
        return decode(self, target, memory, source, cache)

    with monkeypatch.context() as patch:
        patch.setattr(Transformer, "decode", noted)
        run(build(MODEL, VOCABULARY), pairs)
    return seen


@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.parametrize("name", PASSES)
def test_no_pass_takes_a_batch_beyond_the_bounds(name: str, corpus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = synthetic(CORPORA[corpus])
    free = shapes_in(PASSES[name], pairs, monkeypatch)
    for bound, value in (("TOKENS", 60), ("SQUARES", 1000), ("LOGITS", 45 * VOCABULARY)):
        monkeypatch.setattr(bounds, bound, value)
    bound = shapes_in(PASSES[name], pairs, monkeypatch)

    def within(shape: tuple[int, int, int]) -> bool:
        rows, source, target = shape
        return rows <= most_rows(source, target, VOCABULARY)  # which is 1 where a row is too long for itself

    assert all(within(shape) for shape in bound)
    if all(within(shape) for shape in free):
        assert bound == free
    else:
        assert name == "look_inside" or len(bound) > len(free)


@pytest.mark.parametrize("corpus", CORPORA)
def test_bounds_change_no_loss_and_no_translation(corpus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, pairs = build(MODEL, VOCABULARY).double(), synthetic(CORPORA[corpus])
    sources = [pairs.pair(row)[0] for row in range(len(pairs))]
    batch = Batches(pairs, 30, CPU).largest()

    def found() -> tuple[torch.Tensor, list[list[int]]]:
        loss, _ = gradients(state_of(model), batch)
        model.eval()
        losses = torch.tensor([loss.item(), mean_loss(model, EvaluationBatches(pairs, VOCABULARY, CPU))])
        return losses, decoding.translate(model, sources, beam=3)

    free = found()
    monkeypatch.setattr(bounds, "TOKENS", 100)
    bound = found()
    torch.testing.assert_close(free[0], bound[0], rtol=1e-5, atol=0)
    assert free[1] == bound[1]


# --- from Python ----------------------------------------------------------------------------------------------------


def test_a_loaded_run_cuts_what_it_translates_as_test_sources_are_cut(tmp_path: Path) -> None:
    folder = trained(tmp_path, "train.updates=1", "data.max_tokens=30", "diagnostics.times=0")
    run = load_run(folder.id, tmp_path)
    [tokens] = run.tokenizer.encode_batch(["the cat " * 100], add_special_tokens=False)
    first = run.tokenizer.decode(tokens.ids[:29])  # and </s>
    assert run.translate([]) == []
    translated = run.translate(["the cat " * 5000, first, "the cat"])
    assert translated[0] == translated[1]
    assert translated[2:] == run.translate(["the cat"])
    [scores] = folder.path.glob("evaluation-*.json")
    corpus = folder.task().corpus
    assert run.translate(Corpus.load(corpus).sources) == json.loads(scores.read_text())["beam"]


# --- memory ---------------------------------------------------------------------------------------------------------

SETS, SIDES = ("train", "val", "test"), ("source", "target", "both")
SPARED = 300 * 2**20  # bytes
MEASURE = """
import resource
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from corpora import composed
from ablate.api import load_run
from ablate.plan.composition import plan
from ablate.data.prepare import prepare
from ablate.store.folders import Store
from ablate.training import machine
from ablate.training.member import run_member

resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30,) * 2)  # a fault is not to take all of the machine's memory
machine.reset_peak_memory = lambda device: None
root, corpus, line = sys.argv[2:]
words = "train.updates=2 train.validations=1 diagnostics.times=1 model.d_model=16 model.heads=2".split()
planned = plan(composed, ["data=files", f"data.path={corpus}", "preset=smoke", *words])
prepare(planned.config.data, print)
store, run = Store(Path(root)), planned.runs[0]
store.freeze([run])
run_member(store.run(run.id), run.config.device)
assert store.run(run.id).done(run), store.run(run.id).failure()
assert len(load_run(run.id, root).translate(["A line.", line])) == 2
print("PEAK", machine.peak_memory(machine.choose_device(run.config.device)))
"""


def peak(folder: Path, where: tuple[str, str] | None, words: int) -> int:
    """Peak resident memory of a process that prepares a corpus, trains, measures, scores and translates, in bytes.

    The corpus has a line of so many words in a set and on a side of it, `where`, if given.
    """
    choose, vocabulary = random.Random(0), [f"{head}{tail}" for head in "bdfgklmn" for tail in ("a", "en", "ir", "ol")]
    (folder / "corpus").mkdir(parents=True)
    for name, pairs in (("train", 300), ("val", 40), ("test", 20)):
        for side, language in (("source", "en"), ("target", "fr")):
            lengths = [choose.randint(3, 9) for _ in range(pairs)]
            if where is not None and name == where[0] and where[1] in (side, "both"):
                lengths[7] = words
            lines = [" ".join(choose.choices(vocabulary, k=length)) for length in lengths]
            (folder / "corpus" / f"{name}.{language}").write_text("\n".join(lines) + "\n")
    arguments = [str(Path(__file__).parent), str(folder), str(folder / "corpus"), "word " * words]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *arguments], capture_output=True, text=True,
        env=os.environ | {"ABLATE_CACHE": str(folder / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return int(done.stdout.rpartition("PEAK")[2])


@cache
def peak_without(folder: Path) -> int:
    return peak(folder, None, 1)


@pytest.fixture(scope="session")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("usual") / "corpus"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory is counted otherwise")
@pytest.mark.long
@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("side", SIDES)
def test_a_line_of_5000_words_takes_hardly_any_memory(name: str, side: str, usual: Path, tmp_path: Path) -> None:
    assert peak(tmp_path / "study", (name, side), 5000) < peak_without(usual) + SPARED
