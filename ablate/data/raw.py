"""The text of a corpus before any cleaning, and the hash that identifies it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

Say = Callable[[str], None]
Pairs = list[tuple[str, str]]  # (source, target)
Splits = dict[str, Pairs]  # {"all": pairs} if there are no official splits, else "train" and any of OFFICIAL

OFFICIAL = ("validation", "test")  # kept as they were published


def content_hash(splits: Splits) -> str:
    """sha256 of the text of every split. It is independent of the file format: whitespace counts as one space."""
    digest = hashlib.sha256()
    for split in ("all", "train", *OFFICIAL):
        if split in splits:
            digest.update(f"{split} {len(splits[split])}\n".encode())
            for pair in splits[split]:
                for text in (" ".join(side.split()).encode() for side in pair):
                    digest.update(b"%d " % len(text) + text)  # the length marks where each text ends
    return digest.hexdigest()
