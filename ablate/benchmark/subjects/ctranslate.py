"""CTranslate2, an engine for translation alone, with a Marian model of the same shape: a limit that can be bought.

It has a worker a core, of one thread each, which is its fastest way to translate many sentences.
"""

from __future__ import annotations

import tempfile
import time
from types import SimpleNamespace
from typing import Any

import ctranslate2
import torch
from ctranslate2.converters.transformers import MarianMTLoader

from ablate.benchmark.subjects.marian import build
from ablate.benchmark.subjects.own import Answer, Asked, Measure, serve
from ablate.benchmark.surroundings import cores
from ablate.data.corpus import Corpus
from ablate.data.vocabulary import END


def prepare(asked: Asked) -> Measure:
    corpus = Corpus.load(asked["corpus"])
    workers = cores()
    translator = converted(asked, corpus.metadata["vocabulary_size"], workers)
    sources = [[f"t{token}" for token in source] for source in corpus.test_sources[: asked["sentences"]]]
    length = asked["length"]

    def run(chosen: list[list[str]]) -> list[Any]:
        return list(
            translator.translate_batch(
                chosen, beam_size=asked["beam"], min_decoding_length=length - 1, max_decoding_length=length - 1,
                max_batch_size=asked["decoded_together"],
            )
        )  # fmt: skip  # lengths are without </s>

    run(sources[:2])

    def measure() -> Answer:
        began = time.perf_counter()
        results = run(sources)
        seconds = time.perf_counter() - began
        found = sorted({len(result.hypotheses[0]) + 1 for result in results})
        return {"seconds": seconds, "sentences": len(results), "lengths": found, "threads": workers}

    return measure


def converted(asked: Asked, vocabulary_size: int, workers: int) -> Any:
    """A translator with random weights. The loader drops the last row of the embedding, since Marian's is `<pad>`."""
    torch.manual_seed(0)
    model = build(asked, vocabulary_size + 1).eval()
    loader = MarianMTLoader()
    spec = loader.get_model_spec(model)
    tokens = [f"t{token}" for token in range(vocabulary_size)]
    loader.set_vocabulary(spec, tokens)
    loader.set_config(spec.config, model, SimpleNamespace(eos_token=tokens[END], unk_token=tokens[3]))
    with tempfile.TemporaryDirectory() as folder:
        spec.validate()
        spec.optimize(quantization=asked["quantization"])
        spec.save(folder)
        return ctranslate2.Translator(folder, device="cpu", inter_threads=workers, intra_threads=1)


if __name__ == "__main__":
    serve(prepare)
