"""Joint byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909), through Hugging Face `tokenizers`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from ablate.config import BYTES
from ablate.data.raw import Pairs
from ablate.data.vocabulary import END, SPECIAL, START, UNKNOWN

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LONGEST_TOKEN = 256  # characters: time grows with the square of what may become one token, such as a line of base64
AT_ONCE = 10_000  # texts that are encoded together, since their encodings take far more memory than their ids


def train_tokenizer(pairs: Pairs, vocabulary_size: int, byte_fallback: bool = False) -> Tokenizer:
    """Learnt from both sides of `pairs`. It normalises as `clean.normalise` does, and decodes to what it normalised.

    A space is part of the word that follows it, written U+2581. Merges cross apostrophes, hyphens and joiners, so that
    "don't" and "j'ai" can be one subword; they never cross from a word to other punctuation, nor make a token of more
    than LONGEST_TOKEN characters. What was not seen is <unk>; with `byte_fallback` it is the bytes of its UTF-8, for
    which the vocabulary ends in 256 tokens.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL[UNKNOWN]))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex("[\u00ad\u200b\ufeff]"), ""),
            normalizers.NFC(),
            normalizers.Replace(Regex("[\\s\u001c-\u001f\u2581]+"), " "),
            normalizers.Strip(),
        ]
    )
    word = f"\\w[\\w\u200c\u200d'\u2019-]{{0,{LONGEST_TOKEN - 2}}}"  # marks are among Oniguruma's \w
    other = f"[^\\w\u2581]{{1,{LONGEST_TOKEN - 1}}}"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(prepend_scheme="always"),
            pre_tokenizers.Split(Regex(f"\u2581?{word}|\u2581?{other}"), behavior="isolated"),
        ]
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    learnt = vocabulary_size - (BYTES if byte_fallback else 0)
    trainer = trainers.BpeTrainer(
        vocab_size=learnt,
        special_tokens=SPECIAL,
        limit_alphabet=learnt - len(SPECIAL),
        show_progress=False,
    )
    tokenizer.train_from_iterator((text for pair in pairs for text in pair), trainer)
    return _with_bytes(tokenizer) if byte_fallback else tokenizer


def _with_bytes(tokenizer: Tokenizer) -> Tokenizer:
    """The same with a token for each byte behind the others. A trainer could only make them special, thus no text."""
    from tokenizers import Tokenizer, decoders

    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), tokenizer.decoder])
    plain = json.loads(tokenizer.to_str())
    vocabulary = plain["model"]["vocab"]
    vocabulary |= {f"<0x{byte:02X}>": len(vocabulary) + byte for byte in range(BYTES)}
    plain["model"]["byte_fallback"] = True
    return Tokenizer.from_str(json.dumps(plain))


def encode(texts: list[str], tokenizer: Tokenizer, start: bool) -> tuple[np.ndarray, np.ndarray]:
    """Token ids of all `texts` in one int32 array, and int64 offsets [len(texts) + 1] of where each begins.

    Each ends in </s>; with `start` each begins with <s>.
    """
    before = [START] if start else []
    tokenizer.encode_special_tokens = True  # "</s>" in a text is text
    tokens, lengths = [np.empty(0, dtype=np.int32)], [0]
    for ids in _encoded(texts, tokenizer):
        rows = [[*before, *row, END] for row in ids]
        tokens.append(np.fromiter(chain.from_iterable(rows), dtype=np.int32))
        lengths += map(len, rows)
    return np.concatenate(tokens), np.cumsum(lengths, dtype=np.int64)


def _encoded(texts: list[str], tokenizer: Tokenizer) -> Iterator[list[list[int]]]:
    """Token ids of the texts, AT_ONCE at a time."""
    for place in range(0, len(texts), AT_ONCE):
        some = tokenizer.encode_batch(texts[place : place + AT_ONCE], add_special_tokens=False)
        yield [encoding.ids for encoding in some]
