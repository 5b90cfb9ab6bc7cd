"""Joint byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909), through Hugging Face `tokenizers`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ablate.data.raw import Pairs
from ablate.vocabulary import END, SPECIAL, START, UNKNOWN

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def train_tokenizer(pairs: Pairs, vocabulary_size: int) -> Tokenizer:
    """Learnt from both sides of `pairs`. It normalises as `clean.normalise` does, and decodes to what it normalised.

    A space is part of the word that follows it, written U+2581. Merges cross apostrophes and hyphens, so that "don't"
    and "j'ai" can be one subword; they never cross from a word to other punctuation. What was not seen is <unk>.
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
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(prepend_scheme="always"),
            pre_tokenizers.Split(Regex("\u2581?\\w+(?:['\u2019-]\\w*)*|\u2581?[^\\w\u2581]+"), behavior="isolated"),
        ]
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=SPECIAL,
        limit_alphabet=vocabulary_size - len(SPECIAL),
        show_progress=False,
    )
    tokenizer.train_from_iterator((text for pair in pairs for text in pair), trainer)
    return tokenizer


def encode(texts: list[str], tokenizer: Tokenizer, start: bool) -> tuple[np.ndarray, np.ndarray]:
    """Token ids of all `texts` in one int32 array, and int64 offsets [len(texts) + 1] of where each begins.

    Each ends in </s>; with `start` each begins with <s>.
    """
    before = [START] if start else []
    tokenizer.encode_special_tokens = True  # "</s>" in a text is text
    rows = [[*before, *encoding.ids, END] for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return np.array([token for row in rows for token in row], dtype=np.int32), offsets
