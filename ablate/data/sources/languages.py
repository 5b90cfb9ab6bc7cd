"""Names of languages in columns and files: ISO 639 codes of two and three letters, names in English and their own."""

from __future__ import annotations

import re

_NAMES = """
af afr afrikaans
am amh amharic
ar ara arabic
az aze azerbaijani
be bel belarusian
bg bul bulgarian
bn ben bengali bangla
bs bos bosnian
ca cat catalan català
cs ces cze czech čeština
cy cym wel welsh cymraeg
da dan danish dansk
de deu ger german deutsch
el ell gre greek
en eng english
eo epo esperanto
es spa spanish español castellano
et est estonian eesti
eu eus baq basque euskara
fa fas per persian farsi
fi fin finnish suomi
fr fra fre french français francais
ga gle irish gaeilge
gl glg galician galego
gu guj gujarati
ha hau hausa
he heb hebrew
hi hin hindi
hr hrv croatian hrvatski
hu hun hungarian magyar
hy hye arm armenian
id ind indonesian
ig ibo igbo
is isl ice icelandic íslenska
it ita italian italiano
ja jpn japanese 日本語
ka kat geo georgian
kk kaz kazakh
km khm khmer
kn kan kannada
ko kor korean 한국어
la lat latin
lt lit lithuanian
lv lav latvian
mk mkd mac macedonian
ml mal malayalam
mr mar marathi
ms msa may malay
mt mlt maltese
my mya bur burmese
ne nep nepali
nl nld dut dutch nederlands
no nor norwegian norsk
pa pan punjabi
pl pol polish polski
ps pus pashto
pt por portuguese português
ro ron rum romanian română
ru rus russian русский
si sin sinhala
sk slk slo slovak
sl slv slovenian slovene
so som somali
sq sqi alb albanian
sr srp serbian
sv swe swedish svenska
sw swa swh swahili
ta tam tamil
te tel telugu
th tha thai
tl tgl tagalog
tr tur turkish türkçe
uk ukr ukrainian українська
ur urd urdu
uz uzb uzbek
vi vie vietnamese
xh xho xhosa
yo yor yoruba
zh zho chi cmn chinese mandarin 中文
zu zul zulu
"""
CODES = {name: line.split()[0] for line in _NAMES.split("\n") if line for name in line.split()}


def words_in(name: str) -> list[str]:
    """The runs of letters in the last part of a column's dotted name: "pair.sentence_1" has the one word "sentence"."""
    return re.findall(r"[^\W\d_]+", name.rpartition(".")[2].casefold())


def language_in(name: str) -> str | None:
    """The two-letter code of the only language that a name mentions: en for "English", "eng_Latn" and "text-en"."""
    found = {CODES[word] for word in words_in(name) if word in CODES}
    return found.pop() if len(found) == 1 else None
