"""Scores of translations, by sacreBLEU.  Post 2018, arXiv:1804.08771; Popovic 2015 for chrF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def corpus_scores(beam: Sequence[str], greedy: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Scores from 0 to 100 by their column in results.csv. Sentences may differ in their number of references."""
    from sacrebleu.metrics import BLEU, CHRF

    streams = reference_streams(references)
    return {
        "test_bleu": BLEU().corpus_score(beam, streams).score,
        "test_bleu_greedy": BLEU().corpus_score(greedy, streams).score,
        "test_bleu_lower": BLEU(lowercase=True).corpus_score(beam, streams).score,
        "test_chrf": CHRF().corpus_score(beam, streams).score,
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
