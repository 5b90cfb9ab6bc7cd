"""Tables of sentence pairs: csv, tsv, jsonl and parquet, with or without gzip, through Hugging Face `datasets`.

csv and tsv begin with a row of column names. csv quotes as spreadsheets do; in tsv a quotation mark is a letter.
"""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.config import BadInput, DataConfig
from ablate.data.cache import cache_folder
from ablate.data.columns import pairs_of, shown
from ablate.data.raw import Pairs
from ablate.data.text import read_bytes, read_text

if TYPE_CHECKING:
    from datasets import Dataset


def read_table(path: Path, data: DataConfig) -> Pairs:
    """The pairs in the columns that `data` names, a row a pair. Whatever is wrong with the file is BadInput."""
    kind = format_of(path)
    assert kind is not None
    prepare = FORMATS[kind]
    content, options = prepare(path)
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="table-") as folder:
            # unpacked and under a name of ours, for its own name may be anything
            plain = Path(folder) / "table"
            plain.write_bytes(content)
            return pairs_of(_load(plain, path, kind, options, Path(folder)), data, str(path))
    except OSError as error:
        raise BadInput(
            f"could not unpack {path.name} in {cache_folder()} ({error.strerror or type(error).__name__}): "
            "make room there, or set ABLATE_CACHE to another folder"
        ) from error


def format_of(path: Path) -> str | None:
    """Which of FORMATS a file is, by its name; None where it is none."""
    ending = Path(path.name.removesuffix(".gz")).suffix.removeprefix(".")
    return ending if ending in FORMATS else None


def _load(plain: Path, path: Path, kind: str, options: dict[str, Any], folder: Path) -> Dataset:
    import logging

    import datasets

    datasets.disable_progress_bars()
    logger = logging.getLogger("datasets")
    before = logger.level
    logger.setLevel(logging.CRITICAL)  # what it has to say comes in the exception
    try:
        return datasets.load_dataset(
            BUILDERS.get(kind, kind),
            data_files={"train": [str(plain)]},
            split="train",
            cache_dir=str(folder),
            keep_in_memory=True,
            **options,
        )
    except Exception as error:  # of pandas, pyarrow and datasets, down to plain Exception
        if "corresponds to no data" in str(error):
            raise BadInput(f"{path} is empty") from error
        raise BadInput(f"{path} cannot be read as {kind}: {_reason(error, plain, kind)}") from error
    finally:
        logger.setLevel(before)


def _reason(error: BaseException, plain: Path, kind: str) -> str:
    if kind == "jsonl":
        for number, line in enumerate(plain.read_text(encoding="utf-8").split("\n"), start=1):
            try:
                row = json.loads(line) if line.strip() else {}
            except ValueError as broken:
                return f"line {number:,} is not JSON ({broken})"
            if not isinstance(row, dict):
                return f"line {number:,} is no object of columns"
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:300].replace(str(plain), "the file")


# What a file of each format holds, unpacked and checked, and how `datasets` is to read it.


def _delimited(path: Path, **dialect: Any) -> tuple[bytes, dict[str, Any]]:
    from datasets import Features, Value

    text = read_text(path)
    rows = csv.reader(io.StringIO(text, newline=""), strict=True, **dialect)
    try:
        names = next(rows)
        if len(set(names)) < len(names) or not all(names):
            raise BadInput(f"{path} must begin with a row of column names, each once; it begins with {shown(names)}")
        for row in rows:
            if row and len(row) != len(names):  # pandas would shift columns, or make some up
                raise BadInput(
                    f"{path} has {len(row)} columns in line {rows.line_num:,} and {len(names)} in its first row"
                )
    except csv.Error as error:
        raise BadInput(f"{path} cannot be read at line {rows.line_num:,}: {error}") from None
    # every column is text as it stands: "NA" is a word and "007" no number
    text_columns = Features({name: Value("string") for name in names})
    as_it_stands = {"keep_default_na": False, "na_filter": False, "sep": dialect["delimiter"]}
    return text.encode(), {"features": text_columns, **as_it_stands, "quoting": dialect["quoting"]}


def _csv(path: Path) -> tuple[bytes, dict[str, Any]]:
    return _delimited(path, delimiter=",", quoting=csv.QUOTE_MINIMAL)


def _tsv(path: Path) -> tuple[bytes, dict[str, Any]]:
    return _delimited(path, delimiter="\t", quoting=csv.QUOTE_NONE)


def _jsonl(path: Path) -> tuple[bytes, dict[str, Any]]:
    return read_text(path).encode(), {}


def _parquet(path: Path) -> tuple[bytes, dict[str, Any]]:
    content = read_bytes(path)
    if not content:
        raise BadInput(f"{path} is empty")
    return content, {}


FORMATS: dict[str, Callable[[Path], tuple[bytes, dict[str, Any]]]] = {
    "csv": _csv,
    "tsv": _tsv,
    "jsonl": _jsonl,
    "parquet": _parquet,
}
BUILDERS = {"tsv": "csv", "jsonl": "json"}  # the reader of `datasets`, where it is not called like the format
