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
    """A piece of text that can be read on its own, with the way back to its page.

    The first `overlap` characters of `text` repeat the end of the passage before.
    """

    text: str
    pages: tuple[int, int]
    headings: tuple[str, ...]
    overlap: int = 0


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
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["code", "fence", "reference"])
    reader = _Reader((page, page))
    for token in parser.parse(markdown):
        yield from reader.take(token)


class _Reader:
    """Follows a page's tokens: what is open decides what an inline text is."""

    def __init__(self, pages: tuple[int, int]) -> None:
        self._pages = pages
        self._kind: Kind = "paragraph"
        self._level = 0
        self._marker = ""
        self._row: list[str] | None = None

    def take(self, token: Token) -> Iterator[Block]:
        match token.type:
            case "heading_open":
                self._kind, self._level = "heading", int(token.tag[1])
            case "heading_close" | "list_item_close":
                self._kind, self._level, self._marker = "paragraph", 0, ""
            case "list_item_open":
                number = f"{token.info}{token.markup} " if token.info else "- "
                self._kind, self._marker = "item", number
            case "tr_open":
                self._row = []
            case "tr_close":
                yield from self._end_row()
            case "inline":
                yield from self._text(clean(_inline(token)))

    def _text(self, text: str) -> Iterator[Block]:
        if self._row is not None:
            self._row.append(text)
        elif text:
            yield Block(self._kind, self._marker + text, self._pages, self._level)
            self._marker = ""

    def _end_row(self) -> Iterator[Block]:
        if any(self._row or []):
            yield Block("row", clean(" | ".join(self._row or [])), self._pages)
        self._row = None
