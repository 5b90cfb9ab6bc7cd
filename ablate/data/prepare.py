"""Prepare a corpus once and keep it in the cache, in a folder named by the hash of its text and its recipe."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

from ablate.config import BadInput, DataConfig, identity
from ablate.data.cache import (
    cached_metadata,
    check_contents,
    corpus_folder,
    exclusive_folder,
    reported,
    sweep,
    write_sums,
)
from ablate.data.child import run_in_child
from ablate.data.raw import Say
from ablate.data.sources import corpora
from ablate.plugins import sources_used

if TYPE_CHECKING:
    from ablate.data.corpus import Corpus

NOT_RECIPE = ("name", "loader", *corpora.OPTIONS)  # the fingerprint has a hash of the text instead


def on_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def fingerprint(data: DataConfig, say: Say = on_stderr) -> str:
    """A hash of the corpus's text and everything that is done to it, in 12 hex digits. Raises BadInput."""
    return fingerprint_of(data, source_hash(data, say))


def source_hash(data: DataConfig, say: Say = on_stderr) -> str:
    """The hash of a corpus's text as it is published. Raises BadInput.

    If it is not known beforehand, the text is read, and fetched if necessary. A large text is read in a child process,
    so that a signal ends that at once.
    """
    if corpora.published(data).known(data) is None and corpora.is_large(data):
        return str(run_in_child(f"reading {data.label}", corpora.content, data, say=say))
    return corpora.content(data, say)


def fingerprint_of(data: DataConfig, content: str) -> str:
    """The fingerprint of the corpus that this recipe makes from the text with the hash `content`."""
    recipe = {key: value for key, value in identity(data).items() if key not in NOT_RECIPE}
    if data.held_out is not None:
        del recipe["test_sentences"]  # it chooses from the pool, which is the same for every choice
    recipe |= {"content": content, "recipe": corpora.published(data).recipe, **sources_used(data=data)}
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]


def prepare(data: DataConfig, say: Say, known: str | None = None) -> dict[str, Any]:
    """Prepare the corpus unless it is in the cache, and return its metadata (corpus.json and the test set's sizes).

    `known` is its fingerprint if the caller has it, which saves reading the text again. A child process prepares it, so
    that a signal ends that at once. Raises BadInput.
    """
    from ablate.data.corpus import Corpus

    mark = known or fingerprint(data, say)
    corpus = cached(mark)
    if corpus is None:
        try:
            run_in_child(f"preparing {data.label}", make, data, mark, say=say)
        except BaseException:
            sweep(corpus_folder(mark))  # the child may have been killed
            raise
        corpus = Corpus.load(mark)
    # corpora under two names may share a folder, and studies with test sets of two sizes
    return {**corpus.tested_on(data.test_sentences).metadata, "name": data.label}


def cached(mark: str) -> Corpus | None:
    """The prepared corpus of this fingerprint; None if it is not in the cache, or damaged."""
    from ablate.data.corpus import Corpus

    try:
        return Corpus.load(mark)
    except BadInput:
        return None


def check_size(metadata: dict[str, Any], batch_tokens: int) -> None:
    """Raise BadInput if the training set of a prepared corpus would not fill one batch of `batch_tokens`."""
    tokens = metadata["train_tokens"]
    if tokens < batch_tokens:
        raise BadInput(
            f"the corpus {metadata['name']} is smaller than a batch: its {metadata['train_pairs']:,} training pairs "
            f"have {tokens:,} target tokens; bring more text, or set train.batch_tokens={batch_tokens} lower"
        )


def make(data: DataConfig, mark: str, say: Say) -> None:
    """Prepare the corpus with this fingerprint and move it into the cache, unless another process does so first."""
    from ablate.data.make import write

    folder = corpus_folder(mark)
    with reported("the prepared corpus"), exclusive_folder(folder, say) as place:
        if cached(mark) is not None:
            return
        raw = corpora.read(data, say)
        content = corpora.content_of(raw, data)
        if fingerprint_of(data, content) != mark:
            raise BadInput(f"the text of {data.label} has changed while it was read: run this again")
        metadata = write(place, raw, data, {"fingerprint": mark, "content": content}, say)
        write_sums(place)
        if folder.exists():
            _set_aside(mark, metadata, say)
        os.rename(place, folder)


def _set_aside(mark: str, metadata: dict[str, Any], say: Say) -> None:
    """Rename a damaged corpus to make room for a new one with these metadata. Raises BadInput if they differ."""
    folder = corpus_folder(mark)
    check_contents(cached_metadata(mark) or {}, metadata, f"{folder}, which is damaged,", "train all its runs again")
    aside = folder.with_name(f"{mark}.damaged")
    shutil.rmtree(aside, ignore_errors=True)
    os.rename(folder, aside)
    say(f"the prepared corpus {mark} was damaged: it is renamed to {aside.name}, and prepared again")
