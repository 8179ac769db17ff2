"""The sections of a document and the sentences in them: what the splitters cut and join."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, takewhile
from operator import itemgetter
from typing import NamedTuple

from stages.blocks import Block, Passage
from stages.sentences import spans


class Section(NamedTuple):
    """The blocks between two headings, in order; `headings` is the path above them, outermost first.

    A `bare` section holds headings that nothing stands under, next to one another in the document.
    """

    headings: tuple[str, ...]
    blocks: list[Block]
    bare: bool = False


class Piece(NamedTuple):
    """What is never cut: a sentence, or a whole block."""

    text: str
    pages: tuple[int, int]
    glue: str  # what joins it to the piece before: the blanks within a block, else a line break
    last: bool  # of its block


def below(path: list[Block], heading: Block) -> list[Block]:
    """The path of headings that is in force after `heading`, outermost first."""
    return [above for above in path if above.level < heading.level] + [heading]


def titles(path: Iterable[Block]) -> tuple[str, ...]:
    """The texts of a path."""
    return tuple(heading.text for heading in path)


def sections(blocks: Iterable[Block]) -> Iterator[Section]:
    """Yield the sections of one document in reading order; every block that is not blank is in one.

    A heading stands in the path of what is below it, up to the next heading of its level or above. One
    that has nothing below it but such headings stands in a bare section.
    """
    path: list[Block] = []
    fresh: list[tuple[Block, tuple[str, ...]]] = []  # headings since the last text, each with its parents
    body: list[Block] = []
    for block in blocks:
        if not block.text.strip():
            continue
        if block.kind != "heading":
            yield from _bare(fresh, followed=True)
            fresh = []
            body.append(block)
            continue
        if body:
            yield Section(titles(path), body)
            body = []
        path = below(path, block)
        fresh.append((block, titles(path[:-1])))
    if body:
        yield Section(titles(path), body)
    yield from _bare(fresh, followed=False)


def _bare(fresh: list[tuple[Block, tuple[str, ...]]], *, followed: bool) -> Iterator[Section]:
    is_bare = []
    highest = math.inf if followed else -math.inf
    for heading, _ in reversed(fresh):
        # The text that follows stands under a heading only if all headings between are deeper.
        is_bare.append(heading.level >= highest)
        highest = min(highest, heading.level)
    for bare, run in groupby(zip(fresh, reversed(is_bare), strict=True), key=itemgetter(1)):
        if bare:
            headings, parents = zip(*(pair for pair, _ in run), strict=True)
            yield Section(_common(parents), list(headings), bare=True)


def _common(paths: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    levels = zip(*paths, strict=False)
    return tuple(level[0] for level in takewhile(lambda level: len(set(level)) == 1, levels))


def sentences(block: Block, language: str) -> Iterator[Piece]:
    """Yield the sentences of a block; joined by their glue, they are its text."""
    found = list(spans(block.text, language))
    before: int | None = None
    for start, end in found:
        glue = "\n" if before is None else block.text[before:start]
        yield Piece(block.text[start:end], block.pages, glue, end == found[-1][1])
        before = end


def join(pieces: Sequence[Piece]) -> str:
    """The text of pieces that follow one another."""
    return "".join((piece.glue if i else "") + piece.text for i, piece in enumerate(pieces))


def passage(pieces: Sequence[Piece], headings: tuple[str, ...], repeated: int = 0) -> Passage:
    """Make the passage of pieces that follow one another, the first `repeated` from the passage before."""
    pages = min(piece.pages[0] for piece in pieces), max(piece.pages[1] for piece in pieces)
    return Passage(join(pieces), pages, headings, len(join(pieces[:repeated])))
