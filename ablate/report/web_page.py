"""The same report as one HTML file. HTML in the text stays text: the tags of the page are all made here."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

FOLDED = ("Details of each claim", "How to reproduce it")  # sections whose parts are folded, each under its heading
INTERVAL = re.compile(r"\[[^\[\]\s]+, [^\[\]\s]+\]")


def body(text: str, figures: Mapping[str, Mapping[str, bytes]]) -> str:
    """Markdown as HTML: figures inside, wide tables in boxes that scroll, some parts folded."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("table_open", lambda self, tokens, place, options, env: opened(tokens[place]))
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    tokens = parser.parse(text)
    for place, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            token.attrSet("id", anchor(tokens[place + 1].content))
        inline(token, figures)
    label_cells(tokens)
    return str(parser.renderer.render(list(folded(tokens)), parser.options, {}))


def opened(table: Token) -> str:
    kind = table.attrGet("class")
    return '<div class="wide" tabindex="0"><table' + (f' class="{kind}"' if kind else "") + ">\n"


def anchor(heading: str) -> str:
    """The name by which a link in the page finds a heading, as on GitHub."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def inline(token: Token, figures: Mapping[str, Mapping[str, bytes]]) -> None:
    """Put figures into the page, keep intervals on one line, and leave out links that would lead out of it."""
    kept, inside = [], True
    for child in token.children or ():
        if child.type == "link_open":
            inside = str(child.attrGet("href")).startswith("#")
        if inside or child.type not in ("link_open", "link_close"):
            kept.append(child)
        name = Path(str(child.attrGet("src") or "")).stem
        if child.type == "image" and name in figures:
            child.attrSet("src", "data:image/svg+xml;base64," + base64.b64encode(figures[name]["svg"]).decode())
        elif child.type == "text":
            child.content = INTERVAL.sub(lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), child.content)
    if token.children is not None:
        token.children = kept


def label_cells(tokens: Sequence[Token]) -> None:
    """Write the heading of its column on each cell, for narrow screens, and mark the table of claims."""
    table: Token | None = None
    headings: list[str] = []
    column = 0
    for place, token in enumerate(tokens):
        if token.type == "table_open":
            table, headings = token, []
        elif token.type == "tr_open":
            column = 0
        elif token.type == "th_open":
            headings.append(tokens[place + 1].content)
            if headings == ["claim"] and table is not None:
                table.attrSet("class", "claims")
        elif token.type == "td_open":
            token.attrSet("data-label", headings[column])
            column += 1


def folded(tokens: Sequence[Token]) -> Iterator[Token]:
    """The tokens, with every part of some sections inside <details> and its heading as the summary."""
    folding, is_open, heading = False, False, ""
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = token.tag
            if heading in ("h1", "h2", "h3") and is_open:
                yield raw("</details>\n")
                is_open = False
            if heading in ("h1", "h2"):
                folding = tokens[place + 1].content in FOLDED
            if folding and heading == "h3":
                yield raw("<details>\n<summary>")
                is_open = True
                continue
        if token.type == "heading_close" and token.tag == "h3" and is_open and heading == "h3":
            yield raw("</summary>\n")
            continue
        yield token
    if is_open:
        yield raw("</details>\n")


def raw(tag: str) -> Token:
    return Token("html_block", "", 0, content=tag)
