"""The parts of a page that a reader sees, and the passages that are made of them."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.token import Token

Kind = Literal["heading", "paragraph", "item", "row", "footnote"]


@dataclass(frozen=True)
class Block:
    """A run of text that is never torn apart by the layout; `level` is a heading's depth, 1 to 6."""

    kind: Kind
    text: str
    pages: tuple[int, int]
    level: int = 0


@dataclass(frozen=True)
class Passage:
    """A piece of text that can be read on its own, with the way back to its page."""

    text: str
    pages: tuple[int, int]
    headings: tuple[str, ...]


def clean(text: str) -> str:
    """Normalise to NFKC (which resolves ligatures), drop soft hyphens, fold white space."""
    folded = unicodedata.normalize("NFKC", text).replace("\u00ad", "")
    return re.sub(r"\s+", " ", folded).strip()


def _inline(token: Token) -> str:
    if token.children is None:
        return token.content
    parts = (" " if child.type.endswith("break") else child.content for child in token.children)
    return "".join(parts)


def from_markdown(markdown: str, page: int) -> Iterator[Block]:
    """Yield the blocks of one page's Markdown; links and emphasis leave their words alone."""
    # Indented code and raw HTML never occur on a printed page: such text is only indented or
    # holds angle brackets.
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["code", "fence"])
    kind: Kind = "paragraph"
    level, marker = 0, ""
    row: list[str] | None = None
    for token in parser.parse(markdown):
        match token.type:
            case "heading_open":
                kind, level = "heading", int(token.tag[1])
            case "heading_close" | "list_item_close":
                kind, level, marker = "paragraph", 0, ""
            case "list_item_open":
                kind, marker = "item", f"{token.info}{token.markup} " if token.info else "- "
            case "tr_open":
                row = []
            case "tr_close" if row is not None:
                if text := clean(" | ".join(row)):
                    yield Block("row", text, (page, page))
                row = None
            case "inline" if row is not None:
                row.append(clean(_inline(token)))
            case "inline":
                if text := clean(_inline(token)):
                    yield Block(kind, marker + text, (page, page), level)
                    marker = ""
            case "code_block" | "fence" | "html_block":
                if text := clean(token.content):
                    yield Block("paragraph", text, (page, page))
