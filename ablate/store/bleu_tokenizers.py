"""The tokeniser with which sacreBLEU scores a language."""

from __future__ import annotations

import re

DEFAULT = "13a"  # splits at spaces and punctuation, as WMT's mteval-v13a.pl does


def tokenizer_for(language: str) -> str:
    """sacreBLEU's tokeniser for a target language: by character where words are written without spaces.

    `language` is an ISO 639-1, 639-2 or 639-3 code, or the English name, in any case and with or without a script or a
    region (`zh`, `zh-CN`, `zho_Hans`, `chi`). Text in Latin letters (`zh_Latn`) has spaces in any language.
    """
    first, *suffixes = re.split("[-_]", language.lower())
    return DEFAULT if "latn" in suffixes else BY_LANGUAGE.get(first, DEFAULT)


UNSPACED = {  # tokeniser -> languages; cn and jp are countries, which people write for their languages
    # All languages of the macrolanguage zho are written in Han characters. `zh` also splits off punctuation and
    # leaves words in other scripts whole, as WMT scores Chinese.
    "zh": "zh zho chi cn chinese cmn mandarin yue cantonese cdo cjy cnp cpx csp czh czo gan hak hsn lzh mnp nan wuu",
    "char": "ja jpn jp japanese th tha thai km khm khmer lo lao my mya bur burmese",
}
BY_LANGUAGE = {language: tokenizer for tokenizer, languages in UNSPACED.items() for language in languages.split()}
