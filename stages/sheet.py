"""What a reader finds on a page before anything is made of it: pieces of text and where they stand."""

from dataclasses import dataclass, field
from typing import NamedTuple

from stages.blocks import Block


class Span(NamedTuple):
    """A run of text in one font; lengths in points, measured from the page's top left corner."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    size: float  # of the font
    bold: bool = False


@dataclass
class Sheet:
    """One page as a reader gives it, page 1 first; `problem` says why it gives no text.

    A reader that knows the structure of the page gives `blocks`; the others give `spans`, in any
    order, and leave the rest to `stages.layout`. `rules` are the [left, top, right, bottom] of the
    lines and filled boxes that are drawn on the page.
    """

    number: int
    width: float
    height: float
    spans: list[Span] = field(default_factory=list)
    rules: list[tuple[float, float, float, float]] = field(default_factory=list)
    blocks: list[Block] | None = None
    problem: str = ""
