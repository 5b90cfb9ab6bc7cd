"""From Python: runs of corpora in several languages, trained for a moment, from their scores to `translate`."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from corpora import composed
from msgspec import structs

import ablate
from ablate.api import LoadedRun
from ablate.config import Device
from ablate.data.corpus import Corpus
from ablate.data.prepare import prepare
from ablate.data.vocabulary import END
from ablate.evaluation.decoding import translate
from ablate.model.transformer import Transformer
from ablate.plan.composition import Plan, plan
from ablate.records.collect import collect
from ablate.records.read import read_records
from ablate.report.index import ledger
from ablate.report.render import build
from ablate.report.text.opening import headline
from ablate.report.verify import verify
from ablate.run.progress import ending
from ablate.run.until import next_batch
from ablate.store.folders import Store
from ablate.training.member import run_member

ENGLISH = [("I", "you", "we", "they"), ("read", "buy", "see", "want"), ("a book", "a car", "the apple", "tea"),
           ("today", "at night", "in summer")]  # fmt: skip
CHINESE = [("我", "你", "我们", "他们"), ("读", "买", "看见", "想要"), ("一本书", "一辆车", "那个苹果", "茶"),
           ("今天", "晚上", "夏天")]  # fmt: skip


@dataclass(frozen=True)
class Trained:
    plan: Plan
    store: Store
    corpus: Corpus
    folder: Path  # the report's

    @property
    def corpora(self) -> dict[str, Corpus]:
        return {self.plan.corpus: self.corpus}


def trained(root: Path, target: str, *overrides: str) -> Trained:
    """Two variants of one seed on a corpus whose targets have no spaces."""
    text = root / "mytext"
    text.mkdir()
    sources = [" ".join(words) for words in itertools.product(*ENGLISH)]
    targets = ["".join(words) for words in itertools.product(*CHINESE)]
    if target != "zh":
        targets = [f"mot{index}" for index in range(len(sources))]
    for language, sentences in (("en", sources), (target, targets)):
        (text / f"train.{language}").write_text("".join(f"{each}\n" for each in sentences), encoding="utf-8")
    words = ["+sweep=norm_placement", "data=files", f"data.path={text}", f"data.target={target}", "preset=smoke"]
    planned = plan(composed, [*words, "train.updates=8", "seeds=1", *overrides])
    prepare(planned.config.data, lambda line: None)
    store, corpus = Store(root), Corpus.load(planned.corpus)
    store.check_writable()
    for run in store.freeze(planned.runs):
        run_member(store.run(run), Device.cpu)
    collect(store, planned, {planned.corpus: corpus})
    folder = build(root, "norm_placement", planned.setting)
    ledger(root)
    return Trained(planned, store, corpus, folder)


@pytest.fixture(scope="module", autouse=True)
def undrawn() -> Iterator[None]:
    """Reports without figures, which take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ablate.report.render.FIGURES", {})
        yield


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained(tmp_path_factory.mktemp("chinese"), "zh")


@pytest.fixture(scope="module")
def one_word(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained(tmp_path_factory.mktemp("word"), "fr", "until=resolved", "max_seeds=5")


def test_a_language_without_spaces_is_scored_by_its_tokeniser_and_that_is_written_down(chinese: Trained) -> None:
    data = read_records(chinese.store.root / "experiments" / "norm_placement" / chinese.plan.setting)
    assert (data.bleu_tokenizer, "tok:zh" in data.manifest["bleu_signature"]) == ("zh", True)
    assert "unmeasured" not in data.manifest
    report = (chinese.folder / "report.md").read_text()
    assert "BLEU's tokeniser is `zh`" in report
    assert "tok:zh" in report
    for spec in chinese.plan.runs:
        scores = chinese.store.run(spec.id).scores(spec.evaluation)
        assert scores is not None
        assert scores.evaluation == {"beam": 5, "length_penalty": 1.0, "bleu_tokenizer": "zh"}
        assert "finished: BLEU" in (ending(chinese.store.run(spec.id), spec) or "")


def test_what_a_report_says_is_recomputed_by_the_same_tokeniser(chinese: Trained, one_word: Trained) -> None:
    for done in (chinese, one_word):
        assert not verify(done.store.root).differences


def test_records_of_another_tokeniser_than_they_say_do_not_hold(chinese: Trained, tmp_path: Path) -> None:
    path = chinese.store.root / "experiments" / "norm_placement" / chinese.plan.setting / "manifest.json"
    whole = path.read_text()
    try:
        for tokenizer, said in (("ja-mecab", "scores cannot be recomputed"), ("nonsense", "is unknown; it may be")):
            path.write_text(whole.replace('"bleu_tokenizer": null', f'"bleu_tokenizer": "{tokenizer}"'))
            faults = [str(each) for each in verify(chinese.store.root, "norm_placement").differences]
            assert any(said in fault for fault in faults), faults
        path.write_text(whole.replace('"bleu_signature"', '"unmeasured": {"test_bleu": "so"},\n "bleu_signature"'))
        faults = [str(each) for each in verify(chinese.store.root, "norm_placement").differences]
        assert any("unmeasured: {'test_bleu': 'so'} is written, {} recomputed" in fault for fault in faults), faults
    finally:
        path.write_text(whole)


def test_a_bleu_that_cannot_be_is_null_from_the_scores_to_the_report(one_word: Trained) -> None:
    for spec in one_word.plan.runs:
        scores = one_word.store.run(spec.id).scores(spec.evaluation)
        assert scores is not None
        assert scores.test_bleu is scores.test_bleu_greedy is scores.test_bleu_lower is None
        assert "no reference of the test set has the 4 tokens" in scores.unmeasured["test_bleu"]
        assert scores.test_chrf is not None
        assert "finished: chrF" in (ending(one_word.store.run(spec.id), spec) or "")
    assert not any("not measured here" in line for line in headline(one_word.folder))  # quality is then the test loss
    frame = ablate.results("norm_placement", one_word.store.root)
    assert frame["test_bleu"].isna().all()
    assert frame["test_loss"].notna().all()


def test_scores_of_an_earlier_version_say_no_more_than_those_of_today(one_word: Trained) -> None:
    folders = [(one_word.store.run(spec.id), spec.evaluation) for spec in one_word.plan.runs]
    today = {folder: score for folder, evaluation in folders if (score := folder.scores(evaluation)) is not None}
    assert len(today) == len(folders)
    try:
        for folder, evaluation in folders:
            stale = structs.replace(today[folder], unmeasured={}, test_bleu=0.0, test_bleu_greedy=0.0)
            folder.write(folder.evaluation_file(evaluation).name, stale)
        records = collect(one_word.store, one_word.plan, one_word.corpora)
        assert all(run["test_bleu"] is None for run in read_records(records).recorded)
        assert "unmeasured" in json.loads((records / "manifest.json").read_text())
    finally:
        for folder, evaluation in folders:
            folder.write(folder.evaluation_file(evaluation).name, today[folder])
        collect(one_word.store, one_word.plan, one_word.corpora)


def test_seeds_until_resolved_end_with_what_can_be_resolved(one_word: Trained) -> None:
    said: list[str] = []
    next_batch(one_word.plan, one_word.store, one_word.corpora, said.append)
    assert "undecided after 1 seeds: norm-3;" in said[0]  # by the test loss, since BLEU measures nothing


@pytest.fixture(scope="module")
def run(chinese: Trained) -> LoadedRun:
    return ablate.load_run(chinese.plan.runs[0].id, chinese.store.root)


SENTENCES = ["I read a book today", "they want tea in summer"]


def test_one_sentence_has_one_translation_and_several_have_as_many(run: LoadedRun) -> None:
    several = run.translate(SENTENCES)
    assert [run.translate(sentence) for sentence in SENTENCES] == several
    for given in (tuple(SENTENCES), iter(SENTENCES), dict.fromkeys(SENTENCES)):
        assert run.translate(given) == several
    assert run.translate(SENTENCES[:1]) == several[:1]
    assert all(isinstance(translation, str) for translation in several)


def test_nothing_has_no_translation(run: LoadedRun) -> None:
    assert run.translate([]) == []
    assert run.translate("") == ""
    assert run.translate([" ", "\u200b", ""]) == ["", "", ""]
    assert run.translate(["", SENTENCES[0], "\t"]) == ["", run.translate(SENTENCES[0]), ""]


@pytest.mark.parametrize("special", ["</s>", "<s>", "<pad>"])
def test_special_tokens_in_a_sentence_are_text(special: str, run: LoadedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []

    def watched(model: Transformer, sources: list[np.ndarray], *how: float) -> list[list[int]]:
        seen.extend(sources)
        return translate(model, sources, *how)

    monkeypatch.setattr("ablate.evaluation.decoding.translate", watched)
    assert isinstance(run.translate(f"I read {special} today"), str)
    (ids,) = seen
    assert ids[-1] == END
    assert run.tokenizer.token_to_id(special) not in ids[:-1]


@pytest.mark.parametrize("mistaken", [None, 3, [3], [None], [SENTENCES], b"I read"])
def test_what_is_no_text_is_refused(mistaken: object, run: LoadedRun) -> None:
    with pytest.raises(TypeError):
        run.translate(mistaken)  # type: ignore[call-overload]
