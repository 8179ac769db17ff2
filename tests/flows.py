"""Flows of lines by hand, and what `stages.layout` makes of them."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain

from stages.blocks import Block
from stages.layout import Page, arrange
from stages.lines import Line
from tests.sheets import stack

FULL = 72.0 + 5 * 60  # the right end of lines of 60 letters


def prose(sentence: str, top: float, left: float = 72.0, **more: object) -> list[Line]:
    """A paragraph set in lines of 60 letters; the last may be shorter."""
    texts, rest = [], sentence
    while len(rest) > 60:
        cut = rest.rfind(" ", 0, 61)
        texts.append(rest[:cut])
        rest = rest[cut + 1 :]
    found = stack([*texts, rest], left, top, **more)  # type: ignore[arg-type]
    for part in found[:-1]:
        part.right = left + 300
    return found


BODY = prose(
    "The pump moves water from the hold to the sea, and it runs as long as the engine does. " * 4, 400
)


def arranged(*flows: Sequence[Line], skip_contents: bool = True) -> tuple[list[Block], Counter[str]]:
    """The blocks of the flows, each on a page of its own, followed by a page of text in the usual font."""
    dropped: Counter[str] = Counter()
    pages = [Page(i + 1, [list(flow)]) for i, flow in enumerate([*flows, BODY])]
    return [*chain.from_iterable(arrange(pages, dropped, skip_contents)[:-1])], +dropped


def kinds(*flows: Sequence[Line]) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in arranged(*flows)[0]]


def headings(*flows: Sequence[Line]) -> list[tuple[int, str]]:
    return [(block.level, block.text) for block in arranged(*flows)[0] if block.kind == "heading"]
