"""Text of every script: what a word is, what is alike, and what a tokeniser makes of it and gives back."""

# ruff: noqa: RUF001

from __future__ import annotations

import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ablate.config import BadInput, DataConfig, check_name
from ablate.data import numbers
from ablate.data.clean import alike, clean, normalise, words
from ablate.data.corpus import Corpus
from ablate.data.make import _of_possible_length
from ablate.data.prepare import prepare
from ablate.data.raw import Pairs
from ablate.data.split import overlaps
from ablate.data.tokenise import LONGEST_TOKEN, encode, train_tokenizer
from ablate.data.unknown import describe_unknown, much, unknown_shares
from ablate.data.vocabulary import SPECIAL, UNKNOWN

# language -> a sentence as it may be typed, and its words
SENTENCES = {
    "Hindi": ("हिन्दी में कि की।", ["हिन्दी", "में", "कि", "की"]),
    "Tamil": ("தமிழ் மொழி, நன்று!", ["தமிழ்", "மொழி", "நன்று"]),
    "Bengali": ("বাংলা ভাষা: ক্ষুধা", ["বাংলা", "ভাষা", "ক্ষুধা"]),
    "Thai": ("ภาษาไทย นี้ดี", ["ภาษาไทย", "นี้ดี"]),
    "Burmese": ("မြန်မာ ဘာသာ။", ["မြန်မာ", "ဘာသာ"]),
    "Arabic": ("العَرَبِيَّةُ، لُغَةٌ", ["العَرَبِيَّةُ", "لُغَةٌ"]),
    "Hebrew": ("שָׁלוֹם, עוֹלָם", ["שָׁלוֹם", "עוֹלָם"]),
    "Persian": ("می\u200cخواهم بروم", ["میخواهم", "بروم"]),
    "Marathi": ("र\u094d\u200dया क्\u200dष", ["र्या", "क्ष"]),
    "Korean": ("한국어 공부해요.", ["한국어", "공부해요"]),
    "Korean in letters": (unicodedata.normalize("NFD", "한국어 공부해요."), ["한국어", "공부해요"]),
    "Vietnamese": ("Tiếng Việt, được!", ["tiếng", "việt", "được"]),
    "Vietnamese in parts": (unicodedata.normalize("NFD", "Tiếng Việt, được!"), ["tiếng", "việt", "được"]),
    "Turkish": ("İstanbul'da", ["i\u0307stanbul", "da"]),
    "Yoruba": ("Ọ̀nà tó dára", ["ọ̀nà", "tó", "dára"]),
    "French": ("J'ai faim ; l’été…", ["j", "ai", "faim", "l", "été"]),
    "Greek": ("Ὀδυσσεύς ΟΔΟΣ", ["ὀδυσσεύσ", "οδοσ"]),
    "German": ("Straße 1½ m²", ["strasse", "1½", "m²"]),
    "emoji": ("❤\ufe0f 👩\u200d💻 ok", ["ok"]),
    "nothing": ("\u0301 \u200d …", []),
}
MINIMAL = {  # two words that differ in marks alone
    "Hindi": ("कि", "की"),
    "Tamil": ("கல்", "கால்"),
    "Bengali": ("কল", "কুল"),
    "Thai": ("ปี", "ปู"),
    "Arabic": ("كَتَبَ", "كُتِبَ"),
    "Hebrew": ("שָׁר", "שַׁר"),
    "Yoruba": ("ọ̀nà", "ọnà"),
}


@pytest.mark.parametrize("language", SENTENCES)
def test_words_keep_their_marks(language: str) -> None:
    text, expected = SENTENCES[language]
    expected = [unicodedata.normalize("NFC", word) for word in expected]
    assert list(words(normalise(text))) == expected
    assert alike(text) == " ".join(expected)


texts = st.text(st.characters(codec="utf-8"), max_size=30)


@given(texts)
@example("ǰ\u0323")  # whose lower case is written in parts
@example("\u0390 \u1fb7")
def test_words_are_the_same_however_letters_are_composed(text: str) -> None:
    assert len({words(normalise(unicodedata.normalize(form, text))) for form in ("NFC", "NFD")}) == 1
    assert all(unicodedata.is_normalized("NFC", word) for word in words(text))


@given(st.text(st.characters(codec="ascii")))
def test_words_of_plain_text_are_the_same_beside_text_of_any_script(text: str) -> None:
    assert words(f"{text} हिन्दी") == (*words(text), "हिन्दी")


@pytest.mark.parametrize("language", MINIMAL)
def test_sentences_that_differ_in_marks_are_not_alike(language: str) -> None:
    one, other = MINIMAL[language]
    assert words(one) != words(other)
    splits = {"train": [("a", one)], "validation": [("b", other)], "test": [("a", f"{one}!")]}
    counts = overlaps(splits)
    assert counts["validation in train"]["targets"] == 0
    assert counts["test in train"]["pairs"] == 1


@pytest.mark.parametrize("language", MINIMAL)
def test_marks_do_not_add_to_the_number_of_words(language: str) -> None:
    one, other = MINIMAL[language]
    raw = [(f"number {number}", f"{one} {other}") for number in range(3)]
    kept, dropped = clean(raw, DataConfig(loader="files", max_words=2, min_words=2))
    assert len(kept) == 3
    assert not any(dropped.values())


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("name", ["हिन्दी", "ไทย", "việt", "ọ̀nà.v2", "שָׁלוֹם"])
def test_a_corpus_may_be_called_in_its_own_language(name: str, form: str) -> None:
    check_name("data.name", unicodedata.normalize(form, name))


@pytest.mark.parametrize("name", ["\u0301a", "a\u202eb", "a\u200bb", "a/b", "..", ""])
def test_a_name_that_is_none_is_still_refused(name: str) -> None:
    with pytest.raises(BadInput):
        check_name("data.name", name)


# Tokens

LETTERS = [(normalise(text), normalise(text)) for text, _ in SENTENCES.values()] * 3
PLAIN = train_tokenizer(LETTERS, DataConfig(vocabulary_size=1000))
SPELT = train_tokenizer(LETTERS, DataConfig(vocabulary_size=600, byte_fallback=True))
for each in (PLAIN, SPELT):
    each.encode_special_tokens = True  # as a corpus sets it


@pytest.mark.parametrize(
    "language", [language for language in SENTENCES if language not in ("German", "emoji", "nothing")]
)
def test_a_word_of_any_script_can_be_one_token(language: str) -> None:
    for word in normalise(SENTENCES[language][0]).split():
        bare = word.strip(".,;:!?…।။،")
        if bare:
            assert len(PLAIN.pre_tokenizer.pre_tokenize_str(bare)) == 1, word
            assert PLAIN.decode(PLAIN.encode(word, add_special_tokens=False).ids) == word


def assigned(text: str) -> bool:
    """Whether Python and the tokeniser normalise it alike, whose versions of Unicode may differ."""
    return not any(unicodedata.category(letter) == "Cn" for letter in text)


@given(texts.filter(assigned))
@example("<0x41> </s> <unk>")
@example("漢字 \U0001f600\u0301")
@example("\u00e9\u2581 \ufffd")
@settings(max_examples=500)
def test_with_byte_fallback_any_text_comes_back(text: str) -> None:
    ids = SPELT.encode(text, add_special_tokens=False).ids
    assert SPELT.decode(ids) == normalise(text)
    assert min(ids, default=len(SPECIAL)) >= len(SPECIAL)


def test_bytes_are_part_of_the_vocabulary() -> None:
    assert [SPELT.token_to_id(token) for token in SPECIAL] == [0, 1, 2, 3]
    size = SPELT.get_vocab_size()
    assert size <= 600
    assert [SPELT.token_to_id(f"<0x{byte:02X}>") for byte in range(256)] == list(range(size - 256, size))
    small = train_tokenizer(LETTERS, DataConfig(vocabulary_size=320, byte_fallback=True))
    assert small.get_vocab_size() == 320


def test_a_vocabulary_that_bytes_fill_is_bad_input() -> None:
    DataConfig(vocabulary_size=320, byte_fallback=True)
    with pytest.raises(BadInput, match=r"vocabulary_size=319 .* at least 320"):
        DataConfig(vocabulary_size=319, byte_fallback=True)


lengths = st.sampled_from([1, LONGEST_TOKEN - 1, LONGEST_TOKEN, LONGEST_TOKEN + 1, 3 * LONGEST_TOKEN + 7])
pieces = st.lists(st.tuples(st.sampled_from("aé漢์।-'\u200d ._1"), lengths), min_size=1, max_size=4)


@given(pieces)
@settings(max_examples=50)
def test_no_token_is_longer_than_its_bound_and_the_text_comes_back(parts: list[tuple[str, int]]) -> None:
    text = normalise("".join(letter * count for letter, count in parts))
    tokenizer = train_tokenizer([(text, text)] * 2, DataConfig(vocabulary_size=2000))
    assert max(map(len, tokenizer.get_vocab())) <= LONGEST_TOKEN
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.decode(ids) == text
    for max_tokens in (2, 3, 5):
        kept, dropped = _of_possible_length([(text, text)], max_tokens)
        assert len(kept) + dropped == 1
        assert not dropped or len(ids) + 1 > max_tokens  # nothing is dropped that could have been kept


def test_a_line_without_end_is_no_part_of_the_tokenisers_training() -> None:
    pairs = [("a b", "c d")] * 9
    longest = 128 * LONGEST_TOKEN
    kept, dropped = _of_possible_length([*pairs, ("x" * longest, "y"), ("x", "y" * (longest + 1))], 128)
    assert (len(kept), dropped) == (10, 1)


def test_encoding_many_texts_is_encoding_each() -> None:
    texts = [pair[0] for pair in LETTERS] * 400  # more than are encoded together
    tokens, offsets = encode(texts, PLAIN, start=True)
    assert len(offsets) == len(texts) + 1
    for index in (0, 1, 9_999, 10_000, len(texts) - 1):
        alone, _ = encode([texts[index]], PLAIN, start=True)
        assert np.array_equal(tokens[offsets[index] : offsets[index + 1]], alone)


# Whole corpora


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_child: None) -> Path:
    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path / "cache"))
    return tmp_path


def files(folder: Path, pairs: Pairs, **changed: object) -> DataConfig:
    for language, side in (("en", 0), ("xx", 1)):
        (folder / f"mine.{language}").write_text("".join(f"{pair[side]}\n" for pair in pairs), encoding="utf-8")
    data = DataConfig(loader="files", path=str(folder / "mine"), target="xx", validation_pairs=None)
    return replace(data, **changed)  # type: ignore[arg-type]


def test_a_corpus_of_minimal_pairs_is_sound(folder: Path) -> None:
    vowels, consonants = "ािीुूेैोौं", "कखगचजट"
    pairs = [
        (f"word {number} stands here", f"{one}{first} {other}{second} है")
        for number, (one, other, first, second) in enumerate(
            (one, other, first, second)
            for one in consonants
            for other in consonants
            for first in vowels
            for second in vowels
        )
    ]
    metadata = prepare(files(folder, pairs), print)
    assert metadata["train_pairs"] == len(pairs) * 8 // 10
    assert not any(metadata["dropped"].values())


def rare(count: int) -> Pairs:
    """Sentences of 2,000 letters, most of them rare."""
    draw = np.random.default_rng(0)
    rows = np.minimum(draw.zipf(1.3, (count, 12)), 2000)
    return [(f"number {n} stands", "".join(chr(0x4E00 + letter) for letter in row)) for n, row in enumerate(rows)]


def test_unknown_text_is_counted_said_and_mended_by_bytes(folder: Path) -> None:
    said: list[str] = []
    data = files(folder, rare(500), vocabulary_size=400)
    metadata = prepare(data, said.append)
    corpus = Corpus.load(metadata["fingerprint"])
    for split, pairs in (("train", corpus.train), ("validation", corpus.validation), ("test", corpus.test)):
        text = np.concatenate([pairs.pair(index)[1][1:-1] for index in range(len(pairs))])
        assert metadata["unknown"][split]["target"] == pytest.approx((text == UNKNOWN).mean(), abs=1e-6)
    assert metadata["unknown"]["train"]["target"] > 0.02
    (line,) = [line for line in said if "<unk>" in line]
    assert all(
        part in line for part in ("warning", "data.vocabulary_size", "data.byte_fallback=true", "training target")
    )

    said.clear()
    spelt = prepare(replace(data, byte_fallback=True), said.append)
    assert spelt["fingerprint"] != metadata["fingerprint"]
    assert not any(share for sides in spelt["unknown"].values() for share in sides.values())
    assert not [line for line in said if "<unk>" in line]
    corpus = Corpus.load(spelt["fingerprint"])
    for index in range(len(corpus.test)):
        assert corpus.tokenizer.decode(corpus.test.pair(index)[1]) == corpus.references[index][0]


def test_shares_are_of_the_text_and_little_is_told_without_a_remedy() -> None:
    arrays = {
        f"{split}_{side}": np.array([1, 9, 9, 9, 2]) for split in ("train", "validation", "test") for side in SIDES
    }
    assert describe_unknown(unknown_shares(arrays)) == ""
    arrays["test_target"] = np.array([1, UNKNOWN, 9, 9, 9, 2])
    shares = unknown_shares(arrays)
    assert describe_unknown(shares) == "test target 25 %"
    assert much(shares)
    assert not much({"test": {"target": 0.004}})
    assert describe_unknown({"test": {"target": 0.004}}) == "test target 0.4 %"


SIDES = ("source", "target")


def test_a_corpus_with_a_giant_line_in_every_set_is_prepared(folder: Path) -> None:
    giant = "x" * 300_000
    for name, count in (("train", 40), ("val", 4), ("test", 4)):
        pairs = [(f"{name} {number} stands", f"{name} {number} steht") for number in range(count)] + [(giant, giant)]
        for language, side in (("en", 0), ("xx", 1)):
            (folder / f"{name}.{language}").write_text("".join(f"{pair[side]}\n" for pair in pairs))
    data = DataConfig(loader="files", path=str(folder), target="xx", max_tokens=50)
    metadata = prepare(data, print)
    assert metadata["train_pairs"] == 40
    assert metadata["too_long"]["train_dropped"] == 1
    assert metadata["too_long"]["test_cut"] == 1
    assert len(Corpus.load(metadata["fingerprint"]).test) == 5


def test_nothing_but_giant_lines_is_bad_input(folder: Path) -> None:
    pairs = [(f"{number} " + "x" * 20_000, f"{number} " + "y" * 20_000) for number in range(30)]
    with pytest.raises(BadInput, match="every training pair is longer"):
        prepare(files(folder, pairs, max_tokens=50), print)


def test_the_sets_of_an_encoded_corpus_are_counted_apart() -> None:
    splits = {"train": [("a b", "c d")], "validation": [("漢", "c")], "test": [("a", "漢字")]}
    tokenizer = train_tokenizer(splits["train"] * 3, DataConfig(vocabulary_size=100))
    arrays, _ = numbers.numbers(splits, tokenizer, 128)
    shares = unknown_shares(arrays)
    assert shares["train"] == {"source": 0.0, "target": 0.0}
    assert shares["validation"]["source"] > 0
    assert shares["validation"]["target"] == 0
    assert shares["test"]["target"] > 0
