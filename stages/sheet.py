"""What a reader finds on a page before anything is made of it: pieces of text and where they stand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from stages.blocks import Block

Box = tuple[float, float, float, float]  # left, top, right, bottom


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

    A reader that knows the structure of the page gives `blocks`; the others give `spans`, in the
    order in which they are drawn, and leave the rest to `stages.layout`. `rules` finds the lines and
    filled boxes that are drawn on the page; it is asked only where a table may be.
    """

    number: int
    width: float
    height: float
    spans: list[Span] = field(default_factory=list)
    rules: Callable[[], list[Box]] = list
    blocks: list[Block] | None = None
    problem: str = ""
