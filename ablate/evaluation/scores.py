"""Scores of translations, by sacreBLEU.  Post 2018, arXiv:1804.08771; Popovic 2015 for chrF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def corpus_scores(beam: Sequence[str], greedy: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Scores from 0 to 100 by their column in results.csv. Sentences may differ in their number of references."""
    return Scorer(references)(beam, greedy)


class Scorer:
    """`corpus_scores` against one test set, whose references are read once: that takes as long as a few runs do."""

    def __init__(self, references: Sequence[Sequence[str]]) -> None:
        from sacrebleu.metrics import BLEU, CHRF

        streams = reference_streams(references)
        self.bleu, self.lower = BLEU(references=streams), BLEU(references=streams, lowercase=True)
        self.chrf = CHRF(references=streams)

    def __call__(self, beam: Sequence[str], greedy: Sequence[str]) -> dict[str, float]:
        return {
            "test_bleu": self.bleu.corpus_score(beam, None).score,
            "test_bleu_greedy": self.bleu.corpus_score(greedy, None).score,
            "test_bleu_lower": self.lower.corpus_score(beam, None).score,
            "test_chrf": self.chrf.corpus_score(beam, None).score,
        }


def signatures(references: Sequence[Sequence[str]]) -> dict[str, str]:
    """How BLEU and chrF were computed, in sacreBLEU's own words."""
    from sacrebleu.metrics import BLEU, CHRF

    found, streams = {}, reference_streams(references)
    for name, metric in (("bleu", BLEU()), ("chrf", CHRF())):
        metric.corpus_score([of[0] for of in references], streams)
        found[name] = str(metric.get_signature())
    return found


def reference_streams(references: Sequence[Sequence[str]]) -> Any:
    """sacreBLEU's layout: the n-th list holds each sentence's n-th reference, None where it has fewer."""
    most = max(len(of) for of in references)
    return [[of[n] if n < len(of) else None for of in references] for n in range(most)]
