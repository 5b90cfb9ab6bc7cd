"""A pool of held-out sentences: another test set from it trains nothing again, and no id stands for two corpora."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from corpora import fixture_plan
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from ablate.config import BadInput, Config, DataConfig, Device, EvaluationConfig
from ablate.data.cache import SUMS, corpus_folder, sha256
from ablate.data.clean import clean, words
from ablate.data.corpus import Corpus
from ablate.data.prepare import NOT_RECIPE, fingerprint, fingerprint_of, prepare
from ablate.data.sources import corpora
from ablate.data.split import LARGEST_MADE, split
from ablate.data.tokenise import encode
from ablate.data.vocabulary import END, START
from ablate.evaluation.measuring import load_model
from ablate.plan.composition import Plan
from ablate.records.collect import check_test_set, collect
from ablate.records.history import check_corpus, check_prepared
from ablate.records.read import read_records
from ablate.report.evidence import recompute, sentences_near
from ablate.report.text.sentences import seeds_and_sentences
from ablate.report.verify import scored_as
from ablate.store.folders import Store
from ablate.store.ids import evaluation_id, training_id
from ablate.store.plain import config_from_plain, config_to_plain
from ablate.store.record_schema import POOL, Manifest
from ablate.store.schema import to_plain
from ablate.tracking.translations import translations
from ablate.training.member import run_member

FIXTURE = DataConfig(loader="fixture", name="fixture")
RAW = corpora.tab_separated(corpora.FIXTURE.read_text(encoding="utf-8"))
HELD_OUT = replace(FIXTURE, held_out=0.3)
SIZES = (None, 1, 2, 5, 1000)


def silent(line: str) -> None:
    pass


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_child: None) -> Path:
    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


# Splitting

phrases = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=2).map(" ".join)
bipartite = st.lists(st.tuples(phrases, phrases), min_size=10, max_size=80, unique=True)
shares = st.sampled_from([0.05, 0.1, 0.3, 0.5])
limits = st.integers(1, 30) | st.none()


@given(pairs=bipartite, share=shares, sizes=st.tuples(limits, limits))
@settings(max_examples=200)
def test_the_pool_shares_no_sentence_and_does_not_depend_on_the_test_set(
    pairs: corpora.Pairs, share: float, sizes: tuple[int | None, int | None]
) -> None:
    made = []
    for size in sizes:
        try:
            made.append(split(pairs, replace(FIXTURE, held_out=share, test_sentences=size)))
        except BadInput:
            made.append({})
    assert made[0] == made[1]
    if not (splits := made[0]):
        return
    assert sorted(pair for members in splits.values() for pair in members) == sorted(pairs)
    assert len(splits["test"]) <= round(share * len(pairs))
    for side in (0, 1):
        seen = [{words(pair[side]) for pair in members} for members in splits.values()]
        assert not any(one & other for one, other in combinations(seen, 2))


@given(pairs=bipartite)
def test_the_pool_begins_with_the_test_set_that_there_is_without_it(pairs: corpora.Pairs) -> None:
    try:
        plain = split(pairs, replace(FIXTURE, test_sentences=LARGEST_MADE))
        pooled = split(pairs, replace(FIXTURE, held_out=0.5))
    except BadInput:
        return
    assert pooled["test"][: len(plain["test"])] == plain["test"]
    assert pooled["validation"] == plain["validation"]
    assert set(pooled["train"]) <= set(plain["train"])


def test_a_pool_is_as_large_as_its_share() -> None:
    pairs = [(f"source {number}", f"target {number}") for number in range(1000)]
    for share in (0.01, 0.1, 0.25):
        assert len(split(pairs, replace(FIXTURE, held_out=share))["test"]) == round(1000 * share)


def test_a_corpus_with_an_official_test_set_has_no_pool(tmp_path: Path) -> None:
    for name, count in (("train", 60), ("test", 5)):
        for side in ("en", "fr"):
            lines = (f"{side} {name} {number}" for number in range(count))
            (tmp_path / f"{name}.{side}").write_text("\n".join(lines), encoding="utf-8")
    data = DataConfig(loader="files", path=str(tmp_path), held_out=0.1)
    with pytest.raises(BadInput, match=r"data\.held_out=0\.1: .* official test set,.* data\.held_out=null"):
        prepare(data, silent)
    assert prepare(replace(data, held_out=None), silent)["test_sentences"] == 5


@pytest.mark.parametrize("share", [0.0, -0.1, 0.6, float("nan")])
def test_a_share_out_of_range_is_bad_input(share: float) -> None:
    with pytest.raises(BadInput, match=r"data\.held_out"):
        replace(FIXTURE, held_out=share)


# Identity


@pytest.mark.parametrize("share", [None, 0.1])
def test_the_size_of_the_test_set_is_part_of_one_identity_and_never_of_two(share: float | None) -> None:
    configs = [Config(data=replace(FIXTURE, held_out=share, test_sentences=size)) for size in (100, 200)]
    marks, evaluations = (
        {fingerprint(config.data) for config in configs},
        {evaluation_id(config, "a training") for config in configs},
    )
    assert (len(marks), len(evaluations)) == ((2, 1) if share is None else (1, 2))


def test_the_share_is_part_of_the_fingerprint() -> None:
    assert len({fingerprint(replace(FIXTURE, held_out=share)) for share in (None, 0.1, 0.2)}) == 3


def test_fingerprints_of_committed_records_are_those_of_their_recipes() -> None:
    manifests = sorted(Path(__file__).parents[1].glob("experiments/*/*/manifest.json"))
    assert manifests
    for path in manifests:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        data = DataConfig(**manifest["config"]["data"])
        content = manifest["corpus"].get("content") or corpora.published(data).known(data)
        assert content is not None
        assert fingerprint_of(data, content) == manifest["corpus"]["fingerprint"]


# The prepared corpus


@pytest.mark.parametrize("data", [FIXTURE, HELD_OUT], ids=["test set", "pool"])
def test_a_test_set_is_the_beginning_of_the_pool(data: DataConfig) -> None:
    mark = prepare(data, silent)["fingerprint"]
    whole = Corpus.load(mark)
    assert (whole.sources, whole.references) == (whole.pool.sources, whole.pool.references)
    for size in range(1, len(whole.sources) + 2):
        corpus = Corpus.load(mark, size)
        assert corpus.pool.sources == whole.sources
        assert corpus.sources == whole.sources[:size]
        assert corpus.references == whole.references[:size]
        assert len(corpus.test_sources) == len(corpus.sources)
        flat = [reference for references in corpus.references for reference in references]
        assert len(corpus.test) == len(corpus.test_sentence) == len(flat)
        for index in range(len(corpus.test)):
            source, target = corpus.test.pair(index)
            assert np.array_equal(source, corpus.test_sources[corpus.test_sentence[index]])
            assert (source[-1], target[0], target[-1]) == (END, START, END)
            assert np.array_equal(target, encode([flat[index]], corpus.tokenizer, start=True)[0])
        metadata = corpus.metadata
        assert metadata["test_sentences"] == len(corpus.sources)
        assert metadata["test_references"] == len(flat)
        assert metadata["test_bytes"] == len("".join(flat).encode())
        assert metadata["train_pairs"] == whole.metadata["train_pairs"]


def test_every_clean_pair_is_in_one_of_the_sets() -> None:
    metadata = prepare(HELD_OUT, silent)
    corpus = Corpus.load(metadata["fingerprint"])
    assert len(corpus.train) + len(corpus.validation) + len(corpus.pool.pairs) == len(clean(RAW, HELD_OUT)[0])
    assert metadata["unknown"].keys() == {"train", "validation", "pool"}
    assert sorted(path.name for path in corpus_folder(metadata["fingerprint"]).iterdir()) == [
        *(SUMS, "arrays.npz", "corpus.json", "pool.jsonl", "tokenizer.json")
    ]


def test_one_prepared_corpus_serves_every_size_of_test_set(cache: Path) -> None:
    said: list[str] = []
    sizes = {}
    for size in SIZES:
        metadata = prepare(replace(HELD_OUT, test_sentences=size), said.append)
        sizes[size] = metadata["test_sentences"]
    assert len(list((cache / "corpora").iterdir())) == 1
    assert sum("preparing" in line for line in said) == 1
    assert sizes == {size: min(size or 10**9, sizes[None]) for size in SIZES}
    assert sizes[None] > 5


def test_a_larger_test_set_trains_nothing_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    plans = [fixture_plan("data.held_out=0.3", f"data.test_sentences={size}", "seeds=1") for size in (2, 5)]
    assert [plan.runs[0].id for plan in plans] == [plans[0].runs[0].id] * 2
    folder = store.run(plans[0].runs[0].id)
    trained = []
    for plan in plans:
        assert store.freeze(plan.runs) == [folder.id]
        run_member(folder, Device.cpu)
        assert folder.done(plan.runs[0]), folder.lines("failure.txt")
        trained.append(folder.file("weights.pt").stat().st_mtime_ns)
    assert trained[0] == trained[1]
    scores = [score for plan in plans if (score := folder.scores(plan.runs[0].evaluation)) is not None]
    assert [len(score.beam) for score in scores] == [2, 5]
    assert [score.evaluation["test_sentences"] for score in scores] == [2, 5]
    assert scores[1].beam[:2] == scores[0].beam
    shown = translations(plans[1].corpus, scores[1])
    assert sorted(row[2] for row in shown) == sorted(scores[1].beam)


# The loss


@pytest.mark.parametrize("data", [FIXTURE, HELD_OUT], ids=["test set", "pool"])
def test_the_loss_set_begins_with_the_test_set_and_is_never_smaller(data: DataConfig) -> None:
    mark = prepare(data, silent)["fingerprint"]
    whole = Corpus.load(mark)
    for size in range(1, len(whole.sources) + 1):
        for wanted in (None, 1, size, size + 1, 10**9):
            corpus = Corpus.load(mark, size, wanted)
            assert corpus.sources == whole.sources[:size]
            assert corpus.loss_set.sources == whole.sources[: max(size, wanted or 0)]
            assert corpus.pool.sources == whole.sources


def config_with(share: float | None, **evaluation: Any) -> Config:
    return replace(Config(data=replace(FIXTURE, held_out=share)), evaluation=EvaluationConfig(**evaluation))


@pytest.mark.parametrize("share", [None, 0.1])
def test_the_size_of_the_loss_set_moves_the_ids_of_evaluations_that_have_a_pool_and_of_no_training(
    share: float | None,
) -> None:
    configs = [config_with(share, loss_sentences=size) for size in (None, 100, 200)]
    assert len({evaluation_id(config, "a training") for config in configs}) == (1 if share is None else 3)
    assert len({training_id(config, 0, fingerprint(config.data)) for config in configs}) == 1


@pytest.mark.parametrize("share", [None, 0.1])
def test_a_record_from_before_the_loss_set_keeps_its_id(share: float | None) -> None:
    plain = config_to_plain(config_with(share, loss_sentences=None))
    expected = evaluation_id(config_from_plain(plain), "a training")
    del plain["evaluation"]["loss_sentences"]
    assert config_from_plain(plain).evaluation.loss_sentences is None
    assert evaluation_id(config_from_plain(plain), "a training") == expected


@pytest.mark.long
def test_the_loss_is_taken_over_the_pool_and_records_hold_what_it_takes(tmp_path: Path) -> None:
    root = tmp_path / "root"
    store = Store(root)
    words = ("+sweep=norm_placement", "data.held_out=0.3", "data.test_sentences=3", "seeds=2")
    losses: dict[int | None, list[list[float]]] = {}
    for size in (None, 6, 10**9):
        plan = fixture_plan(*words, f"evaluation.loss_sentences={'null' if size is None else size}", "first_seed=0")
        store.freeze(plan.runs)
        for spec in plan.runs:
            run_member(store.run(spec.id), Device.cpu)
        corpus = Corpus.load(plan.corpus, 3, size)
        folder = collect(store, replace(plan, setting="fixture-smoke"), {plan.corpus: corpus})
        data = read_records(folder)
        assert [each["source"] for each in data.test] == list(corpus.sources)
        assert [each["source"] for each in (*data.test, *data.rest)] == list(corpus.loss_set.sources)
        for run in data.runs:
            assert [each for each in recompute(data, run) if not each.agrees] == []
            wrong = recompute(data, run | {"test_bits_per_byte": 1.1 * run["test_bits_per_byte"]})
            assert [each.name for each in wrong if not each.agrees] == ["test_bits_per_byte"]
        assert list(sentences_near(data)) == []
        assert all(each["near"] in (True, False) for each in data.test)
        entries = [data.hypotheses[run["evaluation_id"]] for run in data.runs]
        losses[size] = [entry["loss"] for entry in entries]
        assert {len(entry["loss"]) for entry in entries} == {len(corpus.loss_set.pairs)}
        assert (folder / POOL).exists() == (size is not None)
        shares = seeds_and_sentences(data)
        assert f"| {len(corpus.loss_set.sources)} sentences |" in shares
    whole, test = losses[10**9], losses[None]
    assert len(whole[0]) > len(losses[6][0]) > len(test[0])
    for run in range(len(whole)):
        assert whole[run][: len(test[run])] == pytest.approx(test[run], abs=2e-3)


def test_variants_are_scored_on_the_same_sentences() -> None:
    with pytest.raises(BadInput, match=r"varies evaluation\.loss_sentences: variants are scored on the same"):
        fixture_plan("+sweep=norm_placement", "across={evaluation.loss_sentences:[10,20]}")
    mark = prepare(HELD_OUT, silent)["fingerprint"]
    with pytest.raises(BadInput, match="different test sentences"):
        check_test_set({"a": Corpus.load(mark, 2, 3), "b": Corpus.load(mark, 2, 4)})


@pytest.mark.parametrize("share", [None, 0.1])
def test_verification_holds_scores_together_that_are_of_one_test_set(share: float | None) -> None:
    data: Any = SimpleNamespace(bleu_tokenizer="13a")
    runs = [{"run_id": "x", "config": {"data": {"test_sentences": size, "held_out": share}}} for size in (3, 9, 9)]
    assert len({scored_as(data, run) for run in runs}) == (1 if share is None else 2)


# One id, one corpus


def recorded(root: Path, plan: Plan, corpus: dict[str, Any], data: DataConfig) -> None:
    folder = root / "experiments" / plan.study.name / plan.setting
    folder.mkdir(parents=True)
    kept = {key: value for key, value in vars(data).items() if key != "path"}
    manifest = Manifest(
        study={"name": plan.study.name}, setting=plan.setting, preset="smoke", command="", corpus=corpus, seeds=1,
        config={"data": kept}, plan=[],
    )  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(to_plain(manifest)), encoding="utf-8")


def without(metadata: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if key not in keys}


CHANGED: dict[str, Any] = {  # keys of the recipe, and values that they do not have in the plan
    "min_words": 2, "max_words": 9, "source_words": 900, "target_words": 900, "max_tokens": 100, "train_pairs": 999,
    "validation_pairs": 63, "test_sentences": 31, "held_out": 0.2, "tokenizer": "characters", "vocabulary_size": 499,
}  # fmt: skip


@pytest.mark.parametrize("removed", [(), ("content",)], ids=["with content", "of early versions"])
@pytest.mark.parametrize("key", CHANGED)
def test_records_of_another_recipe_are_accepted_and_of_another_text_are_not(
    key: str, removed: tuple[str, ...], tmp_path: Path
) -> None:
    plan = fixture_plan()
    before = replace(plan.config.data, **{key: CHANGED[key]})
    metadata = without(prepare(before, silent), *removed)
    assert metadata["fingerprint"] != plan.corpus
    recorded(tmp_path / "same", plan, metadata, before)
    check_corpus(Store(tmp_path / "same"), plan)
    other = {**metadata, "fingerprint": "0" * 12, **({} if removed else {"content": "0" * 64})}
    recorded(tmp_path / "other", plan, other, before)
    with pytest.raises(BadInput, match=r"data\.name="):
        check_corpus(Store(tmp_path / "other"), plan)


def test_every_key_of_the_recipe_was_changed() -> None:
    with_others = {"source", "target", "byte_fallback"}  # which can only be changed together with another key
    assert CHANGED.keys() | with_others == vars(FIXTURE).keys() - {*NOT_RECIPE}


def test_records_of_another_vocabulary_are_refused(tmp_path: Path) -> None:
    plan = fixture_plan()
    metadata = prepare(plan.config.data, silent)
    other = {"sha256": "f" * 64, "tokenizers": "0.0.1"}
    for name, corpus in (("same", metadata), ("early", without(metadata, *other)), ("other", {**metadata, **other})):
        recorded(tmp_path / name, plan, corpus, plan.config.data)
    check_prepared(Store(tmp_path / "same"), plan, plan.corpus, metadata)
    check_prepared(Store(tmp_path / "early"), plan, plan.corpus, metadata)
    with pytest.raises(BadInput) as caught:
        check_prepared(Store(tmp_path / "other"), plan, plan.corpus, metadata)
    named = (*other.values(), metadata["sha256"], metadata["tokenizers"], "experiments/baseline/fixture-smoke")
    assert all(part in str(caught.value) for part in named), caught.value


def test_a_run_of_another_vocabulary_is_neither_compared_nor_loaded(tmp_path: Path) -> None:
    store, plan = Store(tmp_path), fixture_plan("seeds=1", "train.updates=1")
    metadata = prepare(plan.config.data, silent)
    folder = store.run(plan.runs[0].id)
    store.freeze(plan.runs)
    run_member(folder, Device.cpu)
    result = folder.result()
    assert result is not None
    assert result.provenance["corpus_sha256"] == metadata["sha256"]
    uses = (
        lambda: check_prepared(store, plan, plan.corpus, metadata),
        lambda: load_model(folder, plan.config, Corpus.load(plan.corpus), torch.device("cpu")),
    )
    for known in (metadata["sha256"], None):  # early versions did not keep it
        folder.write("result.json", structs.replace(result, provenance={**result.provenance, "corpus_sha256": known}))
        for use in uses:
            use()
    folder.write("result.json", structs.replace(result, provenance={**result.provenance, "corpus_sha256": "f" * 64}))
    for use in uses:
        with pytest.raises(BadInput, match=rf"run {folder.id} used another preparation.*f{{64}}"):
            use()


def test_a_damaged_corpus_is_not_replaced_by_one_with_another_vocabulary() -> None:
    folder = corpus_folder(prepare(FIXTURE, silent)["fingerprint"])
    known = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
    (folder / "corpus.json").write_text(json.dumps({**known, "sha256": "f" * 64, "tokenizers": "0.0.1"}))
    (folder / SUMS).write_text(f"{sha256(folder / 'corpus.json')}  corpus.json\n{'0' * 64}  arrays.npz\n")
    for _ in range(2):  # it stays as it is, so it is refused again
        with pytest.raises(BadInput, match=r"damaged.*0\.0\.1.*f{64}"):
            prepare(FIXTURE, silent)


def test_the_hash_of_a_corpus_is_that_of_what_models_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = set()
    for name, data in (("a", HELD_OUT), ("b", replace(HELD_OUT, name="b", test_sentences=3))):
        monkeypatch.setenv("ABLATE_CACHE", str(tmp_path / name))
        hashes.add(prepare(data, silent)["sha256"])
    assert len(hashes) == 1
    changes: list[dict[str, Any]] = [
        {"vocabulary_size": 200}, {"held_out": 0.2}, {"tokenizer": "characters"}, {"train_pairs": 9},
    ]  # fmt: skip
    hashes |= {prepare(replace(HELD_OUT, **change), silent)["sha256"] for change in changes}
    assert len(hashes) == 1 + len(changes)
