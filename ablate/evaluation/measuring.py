"""A trained model on the test set."""

from __future__ import annotations

import math
import time

import torch

from ablate.config import BadInput, Config
from ablate.data.batches import EvaluationBatches
from ablate.data.cache import check_contents
from ablate.data.corpus import Corpus
from ablate.evaluation.decoding import translate
from ablate.evaluation.losses import pair_losses
from ablate.evaluation.scores import Scorer
from ablate.model import build
from ablate.model.architecture import Architecture
from ablate.store.ids import bleu_tokenizer, scoring
from ablate.store.run_folder import RunFolder
from ablate.store.schema import VERSION, EvaluationResult


def evaluate(model: Architecture, config: Config, corpus: Corpus, device: torch.device) -> EvaluationResult:
    """Translations of the test set, their scores, and the loss of every reference of the loss set."""
    began = time.perf_counter()
    evaluation = config.evaluation
    best = corpus.tokenizer.decode_batch(
        translate(model, corpus.test_sources, evaluation.beam, evaluation.length_penalty)
    )
    decoding_seconds = time.perf_counter() - began
    greedy = corpus.tokenizer.decode_batch(translate(model, corpus.test_sources, 1, evaluation.length_penalty))
    losses, tokens = pair_losses(model, EvaluationBatches(corpus.loss_set.pairs, model.vocabulary_size, device))
    scorer = Scorer(corpus.references, bleu_tokenizer(config))
    return EvaluationResult(
        version=VERSION,
        **scorer(best, greedy),
        test_loss=sum(losses) / sum(tokens),
        test_bits_per_byte=sum(losses) / math.log(2) / corpus.loss_set.bytes,
        decoding_seconds=decoding_seconds,
        unmeasured=scorer.unmeasured,
        signatures=scorer.signatures(),
        evaluation=scoring(config),
        seconds=time.perf_counter() - began,
        beam=best,
        greedy=greedy,
        loss=[round(loss, 4) for loss in losses],
        tokens=tokens,
    )


def load_model(folder: RunFolder, config: Config, corpus: Corpus, device: torch.device) -> Architecture:
    """The trained model of a run, in evaluation mode. Raises BadInput."""
    if not folder.weights_are_whole():
        raise BadInput(
            f"{folder.file('weights.pt')} is damaged or missing: delete its folder, and the study trains run "
            f"{folder.id} again"
        )
    if (result := folder.result()) is not None:
        known = {"sha256": result.provenance.get("corpus_sha256"), "tokenizers": result.provenance.get("tokenizers")}
        check_contents(known, corpus.metadata, f"run {folder.id}", f"delete {folder.path}")
    model = build(config.model, corpus.metadata["vocabulary_size"]).to(device)
    model.load_state_dict(torch.load(folder.file("weights.pt"), map_location=device, weights_only=True))
    return model.eval()
