"""The parts of a page that a reader sees, and the passages that are made of them."""

from dataclasses import dataclass
from typing import Literal

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
