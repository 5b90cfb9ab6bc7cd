"""What must hold of every tokeniser: text comes back, special tokens are no text, and training is repeatable."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from ablate.config import BadInput, DataConfig
from ablate.data.clean import normalise
from ablate.data.corpus import Corpus
from ablate.data.prepare import prepare
from ablate.data.sources import corpora
from ablate.data.tokenise import LONGEST_TOKEN, TOKENIZERS, encode, train_tokenizer
from ablate.data.vocabulary import END, PAD, SPECIAL, START, UNKNOWN

FIXTURE = DataConfig(loader="fixture", name="fixture", vocabulary_size=300)
PAIRS = [
    (normalise(source), normalise(target))
    for source, target in corpora.tab_separated(corpora.FIXTURE.read_text(encoding="utf-8"))
]
ALPHABET = sorted({letter for pair in PAIRS for text in pair for letter in text})


def trained(kind: str, pairs: corpora.Pairs = PAIRS, size: int = 300) -> Tokenizer:
    tokenizer = train_tokenizer(pairs, replace(FIXTURE, tokenizer=kind, vocabulary_size=size))
    tokenizer.encode_special_tokens = True  # as a corpus sets it
    return tokenizer


TRAINED = {kind: trained(kind) for kind in TOKENIZERS}
every_kind = pytest.mark.parametrize("kind", TOKENIZERS)
texts = st.text(st.characters(codec="utf-8"), max_size=30)


def ids_of(text: str, kind: str) -> list[int]:
    return list(TRAINED[kind].encode(text, add_special_tokens=False).ids)


@every_kind
@given(text=st.text(st.sampled_from(ALPHABET), max_size=40))
def test_tokens_decode_to_the_normalised_text(kind: str, text: str) -> None:
    ids = ids_of(text, kind)
    assert TRAINED[kind].decode(ids) == normalise(text)
    assert UNKNOWN not in ids


@every_kind
@given(text=texts)
@example(text="e\u00ad\u0301")  # an invisible character must not keep a letter from its accent
def test_a_tokeniser_normalises_as_cleaning_does(kind: str, text: str) -> None:
    if not any(unicodedata.category(letter) == "Cn" for letter in text):  # unassigned in one Unicode version or both
        assert ids_of(text, kind) == ids_of(normalise(text), kind)


@every_kind
def test_special_tokens_are_the_first_and_the_vocabulary_has_its_bound(kind: str) -> None:
    assert [PAD, START, END, UNKNOWN] == [0, 1, 2, 3]
    for size in (64, 300):
        tokenizer = trained(kind, size=size)
        assert [tokenizer.token_to_id(token) for token in SPECIAL] == [0, 1, 2, 3]
        vocabulary = tokenizer.get_vocab()
        assert sorted(vocabulary.values()) == list(range(len(vocabulary)))
        assert len(vocabulary) <= size
        assert max(map(len, vocabulary)) <= LONGEST_TOKEN


@every_kind
@given(text=texts, special=st.sampled_from(SPECIAL))
@example(text="", special="</s>")
@example(text="<s>", special="<pad>")
def test_special_tokens_in_a_text_are_text(kind: str, text: str, special: str) -> None:
    tokens, _ = encode([f"{text} {special}"], TRAINED[kind], start=True)
    assert (tokens[0], tokens[-1]) == (START, END)
    assert not {PAD, START, END}.intersection(tokens[1:-1].tolist())


@every_kind
def test_each_unknown_character_is_unknown(kind: str) -> None:
    assert ids_of("жж", kind).count(UNKNOWN) == 2


@every_kind
def test_the_same_text_gives_the_same_vocabulary_in_every_process(kind: str) -> None:
    """Even where more characters are equally frequent than the vocabulary has room for."""
    program = (
        "import hashlib; from ablate.config import DataConfig; from ablate.data.tokenise import train_tokenizer\n"
        "texts = [''.join(map(chr, range(0x4e00 + start, 0x4e00 + start + 30))) for start in range(0, 900, 30)]\n"
        "pairs = [(text, text) for text in texts]\n"
        f"tokenizer = train_tokenizer(pairs, DataConfig(tokenizer={kind!r}))\n"
        f"small = train_tokenizer(pairs, DataConfig(tokenizer={kind!r}, vocabulary_size=99))\n"
        "print(hashlib.sha256((tokenizer.to_str() + small.to_str()).encode()).hexdigest(), small.get_vocab_size())"
    )
    done = {subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout for _ in range(3)}
    assert len(done) == 1
    assert done.pop().split()[1] == b"99"


@every_kind
def test_a_corpus_is_prepared_with_every_tokeniser(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_child: None
) -> None:
    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path))
    corpus = Corpus.load(prepare(replace(FIXTURE, tokenizer=kind), lambda line: None)["fingerprint"])
    for index, sentence in enumerate(corpus.test_sentence):
        assert corpus.tokenizer.decode(corpus.test.pair(index)[0].tolist()) == corpus.sources[sentence]


def test_a_character_is_a_token_and_the_most_frequent_ones_are_known() -> None:
    tokenizer = trained("characters", [("aaa bb", "aa c")], 64)
    assert tokenizer.encode("ab c", add_special_tokens=False).tokens == ["\u2581", "a", "b", "\u2581", "c"]
    vocabulary = [token for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])]
    assert vocabulary == [*SPECIAL, "a", "\u2581", "b", "c"]


@pytest.mark.parametrize("kind", [kind for kind in TOKENIZERS if kind != "bpe"])
def test_bytes_are_those_of_bpe_alone(kind: str) -> None:
    with pytest.raises(BadInput, match=rf"byte_fallback=true.*{kind}.*bpe"):
        DataConfig(tokenizer=kind, byte_fallback=True)


def test_an_unknown_tokeniser_names_the_known_ones() -> None:
    with pytest.raises(BadInput, match=", ".join(TOKENIZERS)):
        DataConfig(tokenizer="words")
