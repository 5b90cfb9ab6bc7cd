"""Prepare a corpus once and keep it in the cache, under a name that stands for the recipe and the source's content."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ablate.config import BadInput, DataConfig, identity
from ablate.data.cache import alone, cache_folder, corpus_folder, sweep, write_sums
from ablate.data.child import run_in_child
from ablate.data.raw import Say
from ablate.data.sources import corpora
from ablate.plugins import sources_used

if TYPE_CHECKING:
    from ablate.data.corpus import Corpus


def on_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


NOT_RECIPE = ("name", "loader", *corpora.OPTIONS)  # the content's hash stands for these


def fingerprint(data: DataConfig, say: Callable[[str], None] = on_stderr) -> str:
    """12 hex digits for the prepared corpus: its source's content and everything that is done to it.

    A corpus whose content nobody knows beforehand is read for it, and fetched where it has to be; in a child process
    where that may take long, so that a signal is answered at once. Raises BadInput.
    """
    if corpora.published(data).known(data) is None and corpora.is_large(data):
        return mark_of(data, run_in_child(f"reading {data.label}", corpora.content, data, say=say))
    return mark_of(data, corpora.content(data, say))


def mark_of(data: DataConfig, content: str) -> str:
    recipe = {key: value for key, value in identity(data).items() if key not in NOT_RECIPE}
    recipe |= {"content": content, "recipe": corpora.published(data).recipe, **sources_used(data=data)}
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]


def prepare(data: DataConfig, say: Callable[[str], None], mark: str | None = None) -> dict[str, Any]:
    """The metadata of the prepared corpus (corpus.json), which is made now unless it lies whole in the cache.

    `mark` is its fingerprint where that is known, which saves reading the text again. It is made in a child process, so
    that a signal is answered at once. Raises BadInput.
    """
    from ablate.data.corpus import Corpus

    mark = mark or fingerprint(data, say)
    corpus = cached(mark)
    if corpus is None:
        try:
            run_in_child(f"preparing {data.label}", make, data, mark, say=say)
        except BaseException:
            sweep(corpus_folder(mark))  # the child may have been killed
            raise
        corpus = Corpus.load(mark)
    return named(corpus.metadata, data)


def cached(mark: str) -> Corpus | None:
    """The prepared corpus of this fingerprint, if it lies whole in the cache."""
    from ablate.data.corpus import Corpus

    try:
        return Corpus.load(mark)
    except BadInput:
        return None


def check_size(metadata: dict[str, Any], batch_tokens: int) -> None:
    """Raise BadInput where the training set of a prepared corpus would not fill one batch of `batch_tokens`."""
    tokens = metadata.get("train_tokens")  # not known of a corpus that was prepared before it was counted
    if tokens is not None and tokens < batch_tokens:
        raise BadInput(
            f"the corpus {metadata['name']} is smaller than a batch: its {metadata['train_pairs']:,} training pairs "
            f"have {tokens:,} target tokens; bring more text, or set train.batch_tokens={batch_tokens} lower"
        )


def named(metadata: dict[str, Any], data: DataConfig) -> dict[str, Any]:
    """Two names may share one prepared corpus; each study sees its own."""
    return {**metadata, "name": data.label}


def make(data: DataConfig, mark: str, say: Say) -> None:
    """Make the corpus of this fingerprint and put it into the cache, unless another process does so first."""
    try:
        folder = corpus_folder(mark)
        with alone(folder, say) as place:
            if cached(mark) is not None:
                return
            if folder.exists():
                aside = folder.with_name(f"{mark}.damaged")
                shutil.rmtree(aside, ignore_errors=True)
                os.rename(folder, aside)
                say(f"the prepared corpus {mark} was damaged: it is set aside as {aside.name}, and made anew")
            raw = corpora.read(data, say)
            content = corpora.content_of(raw, data)
            if mark_of(data, content) != mark:
                raise BadInput(f"the text of {data.label} has changed while it was read: run this again")
            from ablate.data.make import write

            write(place, raw, data, {"fingerprint": mark, "content": content}, say)
            write_sums(place)
            os.rename(place, folder)
    except OSError as error:
        raise BadInput(
            f"could not keep the prepared corpus in {cache_folder()} ({error.strerror or type(error).__name__}): "
            "make room there, or set ABLATE_CACHE to another folder"
        ) from error
