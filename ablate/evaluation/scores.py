"""Scores of translations, by sacreBLEU.  Post 2018, arXiv:1804.08771; Popovic 2015 for chrF."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ablate.config import BadInput
from ablate.store.bleu_tokenizers import DEFAULT

BLEUS = ("test_bleu", "test_bleu_greedy", "test_bleu_lower")
PATIENCE = 10.0  # seconds before a server that sends sacreBLEU a tokeniser's model times out


def corpus_scores(
    beam: Sequence[str], greedy: Sequence[str], references: Sequence[Sequence[str]], tokenizer: str = DEFAULT
) -> dict[str, float | None]:
    """Scores from 0 to 100 by their column in results.csv; None where the test set allows no score (`unmeasured`).

    `beam`, `greedy` and `references` have an entry for each sentence; sentences may have different numbers of
    references. `tokenizer` is sacreBLEU's name of BLEU's tokeniser. Raises TypeError for a text in place of a list of
    sentences, ValueError for lists of different lengths.
    """
    return Scorer(references, tokenizer)(beam, greedy)


class Scorer:
    """`corpus_scores` for one test set. References are processed once, because that takes as long as several scores."""

    def __init__(self, references: Sequence[Sequence[str]], tokenizer: str = DEFAULT) -> None:
        from sacrebleu.metrics import BLEU, CHRF

        streams = reference_streams(references)
        self.sentences = len(references)
        self.bleu = BLEU(references=streams, tokenize=tokenizer)
        self.lower = BLEU(references=streams, tokenize=tokenizer, lowercase=True)
        self.chrf = CHRF(references=streams)
        self.unmeasured = unmeasured(references, tokenizer)

    def __call__(self, beam: Sequence[str], greedy: Sequence[str]) -> dict[str, float | None]:
        for translations in (beam, greedy):
            refuse_text(translations)
            if len(translations) != self.sentences:
                raise ValueError(f"{len(translations)} translations of {self.sentences} sentences")
        scores = {
            "test_bleu": self.bleu.corpus_score(beam, None).score,
            "test_bleu_greedy": self.bleu.corpus_score(greedy, None).score,
            "test_bleu_lower": self.lower.corpus_score(beam, None).score,
            "test_chrf": self.chrf.corpus_score(beam, None).score,
        }
        return {**scores, **dict.fromkeys(self.unmeasured)}

    def signatures(self) -> dict[str, str]:
        """sacreBLEU's signatures of BLEU and chrF, which say how they are computed."""
        return {name: str(metric.get_signature()) for name, metric in (("bleu", self.bleu), ("chrf", self.chrf))}


def statistics(translations: Sequence[str], references: Sequence[Sequence[str]], tokenizer: str) -> list[list[int]]:
    """The statistics of each sentence whose sums make BLEU, in the order of `ablate.analysis.bleu`."""
    from sacrebleu.metrics import BLEU

    bleu = BLEU(tokenize=tokenizer, effective_order=True)  # which concerns the scores of sentences, not used here
    found = map(bleu.sentence_score, translations, references)
    return [[score.sys_len, score.ref_len, *score.counts, *score.totals] for score in found]


def unmeasured(references: Sequence[Sequence[str]], tokenizer: str = DEFAULT) -> dict[str, str]:
    """Column -> why the test set allows no such score; empty if it allows all scores.

    BLEU multiplies the precisions of 1- to 4-grams, so it is 0 for every translation if no reference has four tokens.
    """
    from sacrebleu.metrics import BLEU

    bleu = BLEU(tokenize=tokenizer)
    order = bleu.max_ngram_order
    if any(len(bleu.tokenizer(text.rstrip()).split()) >= order for of in references for text in of):
        return {}
    why = f"no reference of the test set has the {order} tokens that BLEU needs (tokeniser {tokenizer})"
    return dict.fromkeys(BLEUS, why)


def signatures(references: Sequence[Sequence[str]], tokenizer: str = DEFAULT) -> dict[str, str]:
    """sacreBLEU's signatures for a test set."""
    return Scorer(references, tokenizer).signatures()


def reference_streams(references: Sequence[Sequence[str]]) -> Any:
    """sacreBLEU's layout: list n holds reference n of each sentence, or None for a sentence with fewer references.

    Raises TypeError if the references of a sentence are a text instead of a list.
    """
    for value in (references, *references):
        refuse_text(value)
    most = max(len(of) for of in references)
    return [[of[n] if n < len(of) else None for of in references] for n in range(most)]


def refuse_text(sentences: Sequence[Any]) -> None:
    """Raise TypeError for a single text, whose letters would be scored as sentences."""
    if isinstance(sentences, str):
        raise TypeError(f"a list of sentences is needed, not one text: {sentences[:40]!r}")


def check_tokenizer(name: str) -> None:
    """Raise BadInput if sacreBLEU has no tokeniser of this name, or the tokeniser's package or model is missing.

    A model that is not there is fetched now, so that no run is trained which cannot be scored.
    """
    from sacrebleu.metrics import BLEU
    from sacrebleu.tokenizers.tokenizer_spm import SPM_MODELS
    from sacrebleu.utils import SACREBLEU_DIR

    key = f"evaluation.bleu_tokenizer={name}"
    if name not in BLEU.TOKENIZERS:
        raise BadInput(f"{key} is unknown; it may be {', '.join(BLEU.TOKENIZERS)}, or null")
    try:
        with quiet():
            BLEU(tokenize=name)
    except (Exception, SystemExit) as error:  # missing packages, network errors; sacreBLEU exits at SSL errors
        where = f"; sacreBLEU fetches its model once, into {SACREBLEU_DIR}/models" if name in SPM_MODELS else ""
        why = "the server's certificate is refused" if isinstance(error, SystemExit) else error
        raise BadInput(f"{key} cannot be used here: {why}{where}") from None


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress sacreBLEU's log, and time out where a server does not answer."""
    log, timeout = logging.getLogger("sacrebleu"), socket.getdefaulttimeout()
    log.disabled = True
    socket.setdefaulttimeout(PATIENCE)
    try:
        yield
    finally:
        log.disabled = False
        socket.setdefaulttimeout(timeout)
