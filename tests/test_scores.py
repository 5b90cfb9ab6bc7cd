"""BLEU under the tokeniser that fits the target language, and test sets on which there is no BLEU."""

from __future__ import annotations

import urllib.error
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablate.config import BadInput, Config, DataConfig, EvaluationConfig, plain_line
from ablate.evaluation import scores
from ablate.evaluation.scores import BLEUS, check_tokenizer, corpus_scores, signatures, unmeasured
from ablate.store.bleu_tokenizers import BY_LANGUAGE, DEFAULT, tokenizer_for
from ablate.store.ids import digest, evaluation_id

SENTENCES = {  # code -> sentences of that language, as its text has spaces or has none
    "zh": ["我父亲今天在家里读一本书。", "老师昨天在商店里买了一张票。"],
    "yue": ["我今日喺屋企睇咗一本書。", "佢哋去咗公園度行街。"],
    "ja": ["父は今日、家で本を読みます。", "先生は昨日、店で切符を買いました。"],
    "th": ["พ่อของฉันอ่านหนังสือที่บ้านวันนี้", "ครูซื้อตั๋วที่ร้านเมื่อวานนี้"],
    "km": ["ឪពុករបស់ខ្ញុំអានសៀវភៅនៅផ្ទះ", "គ្រូទិញសំបុត្រនៅហាង"],
    "lo": ["ພໍ່ຂອງຂ້ອຍອ່ານປຶ້ມຢູ່ເຮືອນ", "ຄູຊື້ປີ້ຢູ່ຮ້ານ"],
    "my": ["ကျွန်တော့်အဖေ အိမ်မှာ စာအုပ်ဖတ်တယ်။", "ဆရာက ဆိုင်မှာ လက်မှတ်ဝယ်တယ်။"],
    "ko": ["아버지는 오늘 집에서 책을 읽는다.", "선생님은 어제 가게에서 표를 샀다."],
    "hi": ["मेरे पिता आज घर पर किताब पढ़ते हैं।", "शिक्षक ने कल दुकान में टिकट खरीदा।"],
    "fr": ["Mon père lit un livre à la maison.", "Le professeur a acheté un billet hier."],
}
TYPED = {  # as people type language codes
    "zh": ["zh", "ZH", "zh-cn", "zh_TW", "zh-Hans", "zh_Hant_HK", "zho", "chi", "cmn", "zho_Hans", "yue_Hant", "lzh"],
    "char": ["ja", "jpn", "JPN", "ja-JP", "jpn_Jpan", "th", "tha_Thai", "km", "khm", "km-KH", "lo", "lao_Laoo", "my",
             "mya", "bur", "mya_Mymr", "my-MM"],
    "13a": ["fr", "en", "de-CH", "ko", "kor_Hang", "hi", "vie", "zza", "zh_Latn", "jpn-Latn", "zh-Latn-pinyin", "tlh",
            "la", "tw", "mt", "lt", "jav", "x", "_"],
}  # fmt: skip


@pytest.mark.parametrize(("tokenizer", "code"), [(name, code) for name, codes in TYPED.items() for code in codes])
def test_a_code_is_understood_as_people_type_it(tokenizer: str, code: str) -> None:
    assert tokenizer_for(code) == tokenizer


@given(
    st.sampled_from([*BY_LANGUAGE, "fr", "ko"]),
    st.lists(st.sampled_from(["cn", "TW", "xx", "419", "Hant", "Jpan", "Thai", "news"]), max_size=2),
    st.sampled_from("-_"),
    st.booleans(),
)
def test_neither_region_nor_script_nor_case_changes_the_language(
    language: str, suffixes: list[str], hyphen: str, upper: bool
) -> None:
    code = hyphen.join([language, *suffixes])
    assert tokenizer_for(code.upper() if upper else code) == BY_LANGUAGE.get(language, DEFAULT)


@pytest.mark.parametrize("language", SENTENCES)
def test_a_perfect_translation_has_a_perfect_score_in_every_language(language: str) -> None:
    perfect, tokenizer = SENTENCES[language], tokenizer_for(language)
    found = corpus_scores(perfect, perfect[::-1], [[sentence] for sentence in perfect], tokenizer)
    assert found["test_bleu"] == found["test_bleu_lower"] == pytest.approx(100)
    assert found["test_bleu_greedy"] < 50
    assert f"tok:{tokenizer}|" in signatures([[sentence] for sentence in perfect], tokenizer)["bleu"]


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=6).map(" ".join), min_size=1, max_size=4))
def test_there_is_no_bleu_just_where_a_perfect_translation_would_have_none(sentences: list[str]) -> None:
    references = [[sentence] for sentence in sentences]
    found, why = corpus_scores(sentences, sentences, references), unmeasured(references)
    possible = max(len(sentence.split()) for sentence in sentences) >= 4
    assert (why == {}) == possible
    for column in BLEUS:
        assert found[column] == (pytest.approx(100) if possible else None)
    assert found["test_chrf"] == pytest.approx(100)


def test_one_long_reference_is_enough_and_its_tokeniser_decides_what_is_long() -> None:
    assert unmeasured([["un chien", "le chien de la voisine"], ["oui"]]) == {}
    assert "13a" in unmeasured([["我们今天在家"]])["test_bleu"]
    assert unmeasured([["我们今天在家"]], "zh") == {}
    assert unmeasured([["我们"]], "zh").keys() == set(BLEUS)


@pytest.mark.parametrize("mistaken", [
    ("a text", ["b"], [["c"]]), (["a"], "a text", [["c"]]), (["a"], ["b"], "a text"), (["a"], ["b"], ["a text"]),
])  # fmt: skip
def test_a_text_where_a_list_belongs_is_refused_and_not_scored_by_letters(mistaken: tuple) -> None:
    with pytest.raises(TypeError, match="list of sentences"):
        corpus_scores(*mistaken)


def test_each_sentence_needs_its_translation() -> None:
    with pytest.raises(ValueError, match="1 translations of 2 sentences"):
        corpus_scores(["a"], ["a", "b"], [["a"], ["b"]])


def config(target: str = "fr", tokenizer: str | None = None) -> Config:
    return replace(Config(), data=DataConfig(target=target), evaluation=EvaluationConfig(bleu_tokenizer=tokenizer))


def evaluated_as(configuration: Config) -> str:
    return evaluation_id(configuration, "a training")


LATER = ("bleu_tokenizer", "loss_sentences")  # keys that the first ids did not have


def test_scores_by_the_usual_tokeniser_have_an_id_in_which_it_is_not() -> None:
    before = {key: value for key, value in asdict(EvaluationConfig()).items() if key not in LATER}
    expected = digest({"training": "a training", **before})
    assert evaluated_as(config("fr")) == evaluated_as(config("ko")) == expected
    assert evaluated_as(config("zh", DEFAULT)) == expected


def test_another_tokeniser_is_another_evaluation_however_it_was_chosen() -> None:
    ids = {evaluated_as(config("fr", tokenizer)) for tokenizer in (None, "zh", "char", "intl", "none", "flores200")}
    assert len(ids) == 6
    assert evaluated_as(config("zh_Hans")) == evaluated_as(config("zh", "zh")) == evaluated_as(config("fr", "zh"))
    assert evaluated_as(config("th")) == evaluated_as(config("ja")) == evaluated_as(config("fr", "char"))


def test_an_unknown_tokeniser_is_told_which_there_are() -> None:
    with pytest.raises(BadInput, match=r"evaluation.bleu_tokenizer=13b is unknown; it may be .*13a.*flores200.*null"):
        check_tokenizer("13b")


@pytest.mark.parametrize("name", ["none", "13a", "zh", "char", "intl"])
def test_what_needs_nothing_more_can_be_used(name: str) -> None:
    check_tokenizer(name)


@pytest.mark.parametrize("name", ["ja-mecab", "ko-mecab", "spm", "flores200"])
@pytest.mark.parametrize("error", [
    ImportError("\n\nPlease install the package:\n\n  pip install it"), RuntimeError("no dictionary"), SystemExit(1),
    urllib.error.URLError("Name or service not known"), TimeoutError("timed out"), PermissionError("read only"),
])  # fmt: skip
def test_a_tokeniser_that_lacks_something_is_refused_in_a_line(
    name: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking() -> None:
        raise error

    monkeypatch.setattr("sacrebleu.metrics.bleu._get_tokenizer", lambda name: lacking)
    with pytest.raises(BadInput, match=f"evaluation.bleu_tokenizer={name} cannot be used here: ") as refused:
        check_tokenizer(name)
    assert ("models" in str(refused.value)) == (name in ("spm", "flores200"))
    assert "\n" not in plain_line(str(refused.value))


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    patience = []
    monkeypatch.setattr(
        "sacrebleu.metrics.bleu._get_tokenizer", lambda name: patience.append(socket.getdefaulttimeout()) or str
    )
    with pytest.raises(BadInput):  # a str is no tokeniser
        check_tokenizer("flores200")
    assert patience == [scores.PATIENCE]
    assert socket.getdefaulttimeout() is None
