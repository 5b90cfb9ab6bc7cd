"""Which test sentences are near the training set: those within one word of a training source, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from records import a_study, some_runs, update_line, write_records

from ablate.analysis.bleu import bleu
from ablate.config import DataConfig
from ablate.data.clean import words
from ablate.data.corpus import Corpus
from ablate.data.near import near_training, within_one_word
from ablate.data.prepare import prepare
from ablate.evaluation.scores import corpus_scores
from ablate.records.read import read_records
from ablate.report.evidence import near_again, sentences_near
from ablate.report.render import build
from ablate.report.text.sentences import near_and_far, nearness, sums_of

texts = st.lists(st.sampled_from("abc"), max_size=5).map(" ".join)


def distance(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """Levenshtein's, in words."""
    row = list(range(len(other) + 1))
    for i, word in enumerate(one, start=1):
        before, row[0] = row[0], i
        for j, each in enumerate(other, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != each))
    return row[-1]


@given(st.lists(texts, max_size=6), st.lists(texts, max_size=6))
@example(["a b c"], ["a b c"])
@example(["a b"], ["b a"])
def test_a_sentence_is_near_just_where_one_edit_of_a_word_makes_another(tests: list[str], training: list[str]) -> None:
    expected = [any(distance(words(one), words(other)) <= 1 for other in training) for one in tests]
    assert within_one_word(tests, training) == expected


def test_case_and_punctuation_are_no_words() -> None:
    assert within_one_word(["We're late!", "Run."], ["we are LATE", "We re, late"]) == [True, False]


def test_a_prepared_corpus_is_held_to_its_own_training_sources(no_child: None) -> None:
    metadata = prepare(DataConfig(loader="fixture", name="fixture", held_out=0.3), lambda line: None)
    corpus = Corpus.load(metadata["fingerprint"], 5)
    training = corpus.training_sources()
    assert len(training) == len(corpus.train)
    assert set(map(words, training)).isdisjoint(map(words, corpus.sources))
    expected = [any(distance(words(one), words(other)) <= 1 for other in training) for one in corpus.sources]
    assert near_training(corpus) == expected
    assert near_again(metadata["fingerprint"], 5) == expected


SENTENCES = ("A man sleeps .", "She reads a book .", "We are late .", "Tom runs fast .")


def recorded(root: Path, near: list[bool | None]) -> Path:
    """Records whose translations are right for the first sentences and wrong for the last, more often so in `post`."""
    study = a_study()
    runs = some_runs(study)
    folder = write_records(root, study, runs, sentences=SENTENCES)
    for number, run in enumerate(runs):
        right = 2 if run["variant"] == "post" else 3
        beam = [text if place < right else "Un chien dort ici ." for place, text in enumerate(SENTENCES)]
        scores = corpus_scores(beam, beam, [[text, "Une autre ."] for text in SENTENCES])
        update_line(folder / "hypotheses.jsonl.gz", number, beam=beam, greedy=beam)
        update_line(folder / "runs.jsonl", number, **scores)
    for number, flag in enumerate(near):
        update_line(folder / "test.jsonl.gz", number, near=flag)
    return folder


def test_bleu_is_told_apart_near_and_far(tmp_path: Path, undrawn: None) -> None:
    data = read_records(recorded(tmp_path, [True, True, False, False]))
    assert nearness(data).startswith("2 of 4 test sources have the words of a training source")
    pre, post = near_and_far(data).splitlines()[2:]
    assert pre.startswith("| `pre` | 100.00 |")
    assert post.startswith("| `post` | 100.00 |")
    assert "| 0.00 | \N{MINUS SIGN}" in post
    text = (build(tmp_path, "toy", data.setting) / "report.md").read_text()
    assert "### Sentences near to and far from the training set" in text
    assert "| BLEU near and far |" in text


@pytest.mark.parametrize("near", [[None] * 4, [True] * 4, [False] * 4])
def test_without_both_kinds_there_is_no_table(near: list[bool | None], tmp_path: Path) -> None:
    assert near_and_far(read_records(recorded(tmp_path, near))) == ""


def test_the_sums_of_all_sentences_make_the_score(tmp_path: Path) -> None:
    data = read_records(recorded(tmp_path, [True, True, False, False]))
    for run in data.runs:
        sums = sums_of(data, data.hypotheses[run["run_id"]]["beam"]).sum(axis=0)
        assert float(bleu(sums)) == pytest.approx(run["test_bleu"])


def test_flags_are_held_to_the_corpus_where_it_is_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = read_records(recorded(tmp_path, [True, True, False, False]))
    assert list(sentences_near(data)) == []  # the corpus is not there
    monkeypatch.setattr("ablate.report.evidence.near_again", lambda *_: [True, False, False, False])
    (found,) = sentences_near(data)
    assert (found.name, found.recorded, found.found) == ("near of test sentence 1", True, False)
