"""Beam search.  The scoring is that of Wu et al. 2016, arXiv:1609.08144, without its constant: log p / length^alpha."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ablate.data.bounds import consecutive, most_rows
from ablate.data.vocabulary import END, PAD, START
from ablate.model.architecture import Architecture

ROWS = 512  # most hypotheses decoded at a time
AT_A_TIME = 32  # rows of logits
GROUP = 32  # columns of logits of which the largest is found first
IMPOSSIBLE = -1e9  # below any log-probability, but finite, so that arithmetic never gives NaN


@torch.inference_mode()
def translate(
    model: Architecture, sources: Sequence[np.ndarray], beam: int, length_penalty: float = 1.0
) -> list[list[int]]:
    """The best hypothesis of each source as token ids without <s> and </s>. A beam of 1 is greedy decoding.

    Sources of similar lengths are decoded together, so that little of a batch is padding. A hypothesis is at most about
    twice as long as its source (`longest`), so the size of a batch's sources bounds its cache of keys and values.
    """
    model.eval()
    device = next(model.parameters()).device
    order = sorted(range(len(sources)), key=lambda index: len(sources[index]))
    lengths = np.array([(len(sources[index]), 1) for index in order])  # one target token is decoded at a time
    hypotheses: list[list[int]] = [[] for _ in sources]

    def most(source: int, target: int) -> int:
        return min(ROWS, most_rows(source, target, model.vocabulary_size)) // beam

    for chunk in (order[each] for each in consecutive(lengths, most)):
        source = pad([sources[index] for index in chunk]).to(device)
        for index, hypothesis in zip(chunk, beam_search(model, source, beam, length_penalty)):
            hypotheses[index] = hypothesis
    return hypotheses


def longest(source: Tensor) -> Tensor:
    """Most tokens of a hypothesis, </s> included: twice those of its source plus ten.  [B, S] -> [B]"""
    return 2 * (source != PAD).sum(1) + 10


def beam_search(model: Architecture, source: Tensor, beam: int, length_penalty: float) -> list[list[int]]:
    """Best hypotheses of a padded batch [B, S].

    A sentence is done when `beam` of its hypotheses have ended, or at the greatest length; if none has ended by then,
    the likeliest unfinished one is returned. In the shapes below, A counts sentences that are not done, K the beam.
    """
    device, limit = source.device, longest(source)
    active = torch.arange(len(source), device=device)  # [A]: row of each sentence in the batch
    state = model.start(source)
    state.select(active.repeat_interleave(beam))
    tokens = torch.full((len(active) * beam, 1), START, device=device)  # [A * K, t + 1]
    scores = torch.full((len(active), beam), IMPOSSIBLE, device=device)  # [A, K]: log p of unfinished hypotheses
    scores[:, 0] = 0  # all hypotheses start the same, so only one may branch
    ended = torch.zeros_like(limit)
    best_score = torch.full(limit.shape, -torch.inf, device=device)
    best: list[list[int]] = [[] for _ in limit]

    def keep(places: Tensor, hypotheses: Tensor) -> None:
        """Store rows of tokens as the best hypotheses of the active sentences with these numbers."""
        for sentence, hypothesis in zip(active[places].tolist(), hypotheses.tolist()):
            best[sentence] = hypothesis

    for length in range(1, int(limit.max()) + 1):
        logits = model.step(state, tokens[:, -1]).float()
        shift = scores.flatten() - log_sum_exp(logits)  # [A * K]: from logits to log p of hypotheses
        logits[:, PAD] = logits[:, START] = IMPOSSIBLE
        # Each parent ends in one way, so at least `beam` of twice as many candidates have not ended.
        of_parent, choices = largest(logits, min(2 * beam, logits.shape[1]))
        candidates = (shift[:, None] + of_parent).view(len(active), -1)
        likeliest, flat = candidates.topk(min(2 * beam, candidates.shape[1]), dim=1)
        parent, token = flat // choices.shape[1], choices.view(len(active), -1).gather(1, flat)
        ends = token == END

        ending = ends[:, :beam] & (likeliest[:, :beam] > IMPOSSIBLE / 2)
        score, which = torch.where(ending, likeliest[:, :beam] / length**length_penalty, -torch.inf).max(dim=1)
        better = (score > best_score[active]).nonzero().flatten()
        keep(better, tokens[better * beam + parent[better, which[better]], 1:])
        best_score[active] = torch.maximum(best_score[active], score)
        ended[active] += ending.sum(1)

        scores, live = likeliest.masked_fill(ends, 2 * IMPOSSIBLE).topk(beam, dim=1)
        parent, token = parent.gather(1, live), token.gather(1, live)
        at_limit = limit[active] == length
        cut = (at_limit & (best_score[active] == -torch.inf)).nonzero().flatten()
        keep(cut, torch.cat([tokens[cut * beam + parent[cut, 0], 1:], token[cut, :1]], dim=1))
        going = (~at_limit & (ended[active] < beam)).nonzero().flatten()
        if not len(going):
            break
        chosen = (going[:, None] * beam + parent[going]).flatten()
        tokens = torch.cat([tokens[chosen], token[going].flatten()[:, None]], dim=1)
        state.select(chosen)
        scores, active = scores[going], active[going]
    return best


def log_sum_exp(x: Tensor) -> Tensor:
    """Over the columns, a few rows at a time, so that what lies between stays in the cache.  [N, V] -> [N]"""
    return torch.cat([rows.logsumexp(-1) for rows in x.split(AT_A_TIME)])


def largest(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest numbers of each row and their columns, as `x.topk(k)`, whose time grows with the whole of x.

    Columns c with the same c % groups are a group. The k largest numbers lie in the k groups whose maxima are largest,
    or in the columns that are left over.  [N, V] -> [N, k]
    """
    groups = x.shape[1] // GROUP
    if groups <= k:
        return x.topk(k, dim=1)
    grouped = x[:, : groups * GROUP].unflatten(1, (GROUP, groups))
    best = grouped.amax(1).topk(k, dim=1, sorted=False).indices  # [N, k]
    columns = (torch.arange(GROUP, device=x.device)[:, None] * groups + best[:, None, :]).flatten(1)
    rest = torch.arange(groups * GROUP, x.shape[1], device=x.device).expand(len(x), -1)
    columns = torch.cat([columns, rest], dim=1)
    found, places = x.gather(1, columns).topk(k, dim=1)
    return found, columns.gather(1, places)


def pad(sequences: list[np.ndarray]) -> Tensor:
    """Token ids of unequal lengths as one tensor [B, longest]."""
    padded = np.full((len(sequences), max(map(len, sequences))), PAD, dtype=np.int64)
    for row, sequence in enumerate(sequences):
        padded[row, : len(sequence)] = sequence
    return torch.from_numpy(padded)
