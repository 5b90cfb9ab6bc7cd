"""ablate from Python: the results of finished studies, and trained models."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

from ablate.config import BadInput, Config, plain_line

if TYPE_CHECKING:
    import pandas as pd
    from tokenizers import Tokenizer

    from ablate.model.architecture import Architecture


def results(study: str, root: str | Path = ".") -> pd.DataFrame:
    """Every run of a study in every setting, a row each, with the columns of results.csv.

    Records that cannot be read are left out with a warning. Raises BadInput where none can be read.
    """
    import pandas as pd

    from ablate.records.read import read_records, settings

    known = settings(Path(root))
    if study not in known:
        raise BadInput(f"there are no records of {study}; there are of {', '.join(known) or 'no study'}")
    frames, faults = [], []
    for setting in known[study]:
        try:
            frames.append(read_records(Path(root) / "experiments" / study / setting).frame)
        except BadInput as error:
            faults.append(plain_line(str(error)))
    if not frames:
        raise BadInput(f"no records of {study} can be read: {'; '.join(faults)}")
    for fault in faults:
        warnings.warn(f"left out: {fault}", stacklevel=2)
    return pd.concat(frames, ignore_index=True)


@dataclass(frozen=True)
class LoadedRun:
    """A trained model with its tokeniser and configuration."""

    model: Architecture
    tokenizer: Tokenizer
    config: Config

    @overload
    def translate(self, sentences: str) -> str: ...  # type: ignore[overload-overlap]

    @overload
    def translate(self, sentences: Iterable[str]) -> list[str]: ...

    def translate(self, sentences: str | Iterable[str]) -> str | list[str]:
        """Translate one sentence, or each of several, by the beam search of the configuration.

        A sentence of more than `config.data.max_tokens` tokens is cut to that length, as in the test set. An empty
        sentence stays empty. Names of special tokens, such as `</s>`, are read as text. Raises TypeError for anything
        but text.
        """
        from itertools import pairwise

        from ablate.data.numbers import cut
        from ablate.data.tokenise import encode
        from ablate.evaluation.decoding import translate

        if isinstance(sentences, str):
            return self.translate([sentences])[0]
        texts = list(sentences)
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("translate takes a str, or several of them")
        tokens, offsets = cut(*encode(texts, self.tokenizer, start=False), self.config.data.max_tokens)
        encoded = [tokens[start:end] for start, end in pairwise(offsets)]  # each ends in </s>
        sources = [ids for ids in encoded if len(ids) > 1]
        evaluation = self.config.evaluation
        outputs = translate(self.model, sources, evaluation.beam, evaluation.length_penalty)
        found = iter(self.tokenizer.decode_batch(outputs))
        return [next(found) if len(ids) > 1 else "" for ids in encoded]


def load_run(run_id: str, root: str | Path = ".", plugins: Iterable[str | Path] = ()) -> LoadedRun:
    """The trained model of a run, on the CPU, from `runs/` and the corpus cache. Raises BadInput.

    Plugins that the run uses are imported from where they were when it was planned. If they have moved, `plugins` names
    their files. A file whose source has changed is refused.
    """
    import torch

    from ablate.data.corpus import Corpus
    from ablate.evaluation.measuring import load_model
    from ablate.store.folders import Store
    from ablate.store.plain import config_from_plain
    from ablate.store.plugin_files import load, load_described

    folder = Store(Path(root)).run(run_id)
    task = folder.task()
    if task is None or folder.result() is None:
        raise BadInput(f"there is no trained run {run_id} in {folder.path.parent}")
    load(plugins)
    load_described(task.plugins)
    config = config_from_plain(task.config)
    corpus = Corpus.load(task.corpus, config.data.test_sentences)
    return LoadedRun(load_model(folder, config, corpus, torch.device("cpu")), corpus.tokenizer, config)
