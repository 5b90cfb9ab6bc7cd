"""Why a study came out as it did: the section `## Why` of `experiments/<study>/README.md`, which its authors write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from ablate.report.wording import PLAIN, SPECIAL

SECTION = "Why"
MARKS = {"em_open": "*", "em_close": "*", "strong_open": "**", "strong_close": "**", "softbreak": " ", "hardbreak": " "}


def explanation(readme: Path) -> list[str]:
    """Its paragraphs and items of lists, in Markdown; empty without the section.

    Emphasis and code stay. Links are kept as their text, since they lead elsewhere from a report. All else is text, so
    that nothing in the file can change the report around it.
    """
    if not readme.is_file():
        return []
    tokens = MarkdownIt("commonmark", {"html": False}).parse(readme.read_text(encoding="utf-8", errors="replace"))
    return list(blocks(tokens))


def blocks(tokens: Sequence[Token]) -> Iterator[str]:
    inside = False
    for place, token in enumerate(tokens):
        before = tokens[place - 1].type if place else ""
        if before == "heading_open" and tokens[place - 1].tag in ("h1", "h2"):
            inside = token.content.strip() == SECTION
        elif inside and before == "paragraph_open":
            item = place > 1 and tokens[place - 2].type == "list_item_open"
            yield ("- " if item else "") + "".join(inline(token.children or ()))


def inline(tokens: Iterable[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type == "code_inline" and PLAIN.fullmatch(token.content):
            yield f"`{token.content}`"
        elif token.type in ("text", "text_special", "code_inline"):
            yield SPECIAL.sub(r"\\\1", token.content)
        else:
            yield MARKS.get(token.type, "")
