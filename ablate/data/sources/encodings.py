"""Text files, unpacked, decoded and split into lines. Raises BadInput for any file that cannot be read.

Text is in UTF-8, or in another Unicode encoding with a byte-order mark. It may be packed with gzip, bzip2 or xz.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path

from ablate.config import BadInput

UNPACK: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {  # ending -> the first bytes, the function that unpacks
    ".gz": (b"\x1f\x8b", gzip.decompress),
    ".bz2": (b"BZh", bz2.decompress),
    ".xz": (b"\xfd7zXZ\x00", lzma.decompress),
}
OTHERS = {  # first bytes of files that are not text, and what to do with them
    b"PK\x03\x04": "is a zip archive or an Excel workbook; unpack it, or save the sheet as CSV UTF-8",
    b"\xd0\xcf\x11\xe0": "is an Excel workbook; save the sheet as CSV UTF-8",
    b"\x28\xb5\x2f\xfd": "is packed with zstd; unpack it with zstd -d",
    b"7z\xbc\xaf": "is packed with 7-Zip; unpack it with 7z x",
}
MARKS = (  # byte-order marks; UTF-32 comes first, because its mark begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_lines(path: Path) -> list[str]:
    """The lines of a text file."""
    return lines_of(read_text(path))


def lines_of(text: str) -> list[str]:
    """Split text into lines at line feeds, with or without a carriage return before them.

    A text without line feeds is split at carriage returns, as on old Macs. No other character ends a line.
    """
    lines = (text if "\n" in text else text.replace("\r", "\n")).split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def read_text(path: Path) -> str:
    """The whole text of a file, without the byte-order mark."""
    content = read_bytes(path)
    for start, remedy in OTHERS.items():
        if content.startswith(start):
            raise BadInput(f"{path} {remedy}")
    encoding = next((name for mark, name in MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise BadInput(_undecodable(path, content, encoding.upper(), error.start)) from None
    if text.count("\x00") * 3 > len(text):
        raise BadInput(
            f"{path} looks like UTF-16 without a byte-order mark; save it as UTF-8, for instance with "
            "iconv -f UTF-16LE -t UTF-8 OLD > NEW"
        )
    if not text.strip():
        raise BadInput(f"{path} is empty")
    return text


def read_bytes(path: Path) -> bytes:
    """A file's content, unpacked if its first bytes or its name show that it is packed."""
    try:
        content = path.read_bytes()
        for ending, (start, unpack) in UNPACK.items():
            if content.startswith(start) or path.suffix == ending:
                return unpack(content)
        return content
    except (gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
        raise BadInput(_unpackable(path, error)) from None
    except OSError as error:  # errors of bz2 have no errno
        reason = _unpackable(path, error) if error.errno is None else f"{path} cannot be read ({error.strerror})"
        raise BadInput(reason) from None


def without_packing(name: str) -> str:
    """A file's name without the ending of its compression."""
    return name.removesuffix(Path(name).suffix) if Path(name).suffix in UNPACK else name


def _unpackable(path: Path, error: Exception) -> str:
    kind = {".bz2": "bzip2", ".xz": "xz"}.get(path.suffix, "gzip")
    return (
        f"{path} is not a whole {kind} file ({error}); pack it again, or remove the ending {path.suffix} from its name"
    )


def _undecodable(path: Path, content: bytes, encoding: str, place: int) -> str:
    line = content.count(b"\n", 0, place) + 1
    packed = " (of the unpacked text)" if path.suffix in UNPACK else ""
    return (
        f"{path} is not {encoding}: byte 0x{content[place]:02x} at offset {place:,}, in line {line:,}{packed}; save it "
        "as UTF-8, for instance with iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW where it is Western European text from "
        "Windows"
    )
