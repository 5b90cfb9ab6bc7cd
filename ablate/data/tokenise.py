"""Tokenisers, through Hugging Face `tokenizers`: how text becomes token ids. `TOKENIZERS` lists them.

All of them normalise as `clean.normalise` does and decode to the normalised text. A space is written U+2581 and belongs
to the word that follows it; the first word of a sentence has one too.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from ablate.config import BYTES, DataConfig
from ablate.data.raw import Pairs
from ablate.data.vocabulary import END, SPECIAL, START, UNKNOWN
from ablate.plugins import extend

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LONGEST_TOKEN = 256  # characters; without a bound, training on a line of base64 takes time quadratic in its length
BATCH = 10_000  # texts that are encoded at once: an Encoding takes far more memory than its ids
SPACE = "\u2581"


def train_tokenizer(pairs: Pairs, data: DataConfig) -> Tokenizer:
    """The tokeniser that `data` asks for, learnt from both sides of `pairs`, which are normalised.

    No token is longer than LONGEST_TOKEN characters, and the vocabulary begins with SPECIAL. A character outside the
    vocabulary is <unk>.
    """
    return TOKENIZERS[data.tokenizer](pairs, data)


def byte_pairs(pairs: Pairs, data: DataConfig) -> Tokenizer:
    """Byte-pair encoding with one vocabulary for both languages.  Sennrich et al. 2016, arXiv:1508.07909.

    Merges cross apostrophes, hyphens and joiners, so that "don't" and "j'ai" can be one subword. They never cross from
    a word to other punctuation. With `data.byte_fallback`, a character outside the vocabulary is spelt in the bytes of
    its UTF-8, for which the vocabulary ends in 256 tokens.
    """
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    tokenizer = _with_spaces(Tokenizer(models.BPE(unk_token=SPECIAL[UNKNOWN])))
    word = f"\\w[\\w\u200c\u200d'\u2019-]{{0,{LONGEST_TOKEN - 2}}}"  # Oniguruma's \w includes combining marks
    other = f"[^\\w{SPACE}]{{1,{LONGEST_TOKEN - 1}}}"
    split = pre_tokenizers.Split(Regex(f"{SPACE}?{word}|{SPACE}?{other}"), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([tokenizer.pre_tokenizer, split])
    learnt = data.vocabulary_size - (BYTES if data.byte_fallback else 0)
    counts, most = _character_counts(pairs), learnt - len(SPECIAL)
    trainer = trainers.BpeTrainer(
        vocab_size=learnt,
        special_tokens=SPECIAL,
        limit_alphabet=most,
        # the trainer would break ties at the limit at random, so that each process learns another vocabulary
        initial_alphabet=_most_frequent(counts, most) if len(counts) > most else [],
        show_progress=False,
    )
    tokenizer.train_from_iterator(chain.from_iterable(pairs), trainer)
    return _with_bytes(tokenizer) if data.byte_fallback else tokenizer


def characters(pairs: Pairs, data: DataConfig) -> Tokenizer:
    """Every character is a token; the vocabulary is the most frequent ones."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    known = [*SPECIAL, *_most_frequent(_character_counts(pairs), data.vocabulary_size - len(SPECIAL))]
    vocabulary = {token: index for index, token in enumerate(known)}
    tokenizer = _with_spaces(Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL[UNKNOWN])))
    tokenizer.add_special_tokens(SPECIAL)
    split = pre_tokenizers.Split(Regex("(?m:.)"), behavior="isolated")  # in Oniguruma, m lets . match a newline
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([tokenizer.pre_tokenizer, split])
    return tokenizer


def encode(texts: list[str], tokenizer: Tokenizer, start: bool) -> tuple[np.ndarray, np.ndarray]:
    """Token ids of all `texts` in one int32 array, and int64 offsets [len(texts) + 1] of where each begins.

    Each text ends in </s>; with `start` each begins with <s>.
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
    """Token ids of the texts, BATCH texts at a time."""
    for place in range(0, len(texts), BATCH):
        encodings = tokenizer.encode_batch(texts[place : place + BATCH], add_special_tokens=False)
        yield [encoding.ids for encoding in encodings]


def _with_spaces(tokenizer: Tokenizer) -> Tokenizer:
    """The same with the normaliser, the pre-tokeniser and the decoder that all tokenisers share."""
    from tokenizers import Regex, decoders, normalizers, pre_tokenizers

    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex("[\u00ad\u200b\ufeff]"), ""),
            normalizers.NFC(),
            normalizers.Replace(Regex(f"[\\s\u001c-\u001f{SPACE}]+"), " "),
            normalizers.Strip(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    return tokenizer


def _with_bytes(tokenizer: Tokenizer) -> Tokenizer:
    """The same with a token for each byte at the end. A trainer could only add them as special tokens."""
    from tokenizers import Tokenizer, decoders

    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), tokenizer.decoder])
    plain = json.loads(tokenizer.to_str())
    vocabulary = plain["model"]["vocab"]
    vocabulary |= {f"<0x{byte:02X}>": len(vocabulary) + byte for byte in range(BYTES)}
    plain["model"]["byte_fallback"] = True
    return Tokenizer.from_str(json.dumps(plain))


def _character_counts(pairs: Pairs) -> Counter[str]:
    """How often each character occurs in normalised text, with SPACE before each word."""
    counts: Counter[str] = Counter()
    for text in chain.from_iterable(pairs):
        counts.update(f"{SPACE}{text}".replace(" ", SPACE))
    return counts


def _most_frequent(counts: Counter[str], size: int) -> list[str]:
    """The `size` most frequent characters; of equally frequent ones those of lower code points."""
    return sorted(counts, key=lambda character: (-counts[character], character))[:size]


TOKENIZERS: dict[str, Callable[[Pairs, DataConfig], Tokenizer]] = {"bpe": byte_pairs, "characters": characters}

extend("data.tokenizer", TOKENIZERS)
