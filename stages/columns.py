"""Reading order: a page is cut into columns, and into bands where something spans them."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from statistics import median

from stages.lines import Line

GUTTER = 6.0  # points of white between two columns, at least
COLUMN_LINES = 4  # that a column holds, at least
FULL = 0.55  # of a column's width: half of its lines are at least this long
LETTERS = 15  # in half of its lines, at least: a column of numbers belongs to a table
DENSE = 0.45  # of a column's height, less that of its figures: its lines fill at least this much
FIGURE = 4.0  # font sizes of white between two lines of a column, at least
FIGURES = 2  # of a column, at most
INDENT = 40.0  # points by which a line of a column may be set in
RECURS = 3  # pages on which a gutter stands before it is known, and
RECURS_SHARE = 0.2  # the share of all pages
DEEPEST = 12  # columns within columns
BAND_GAP = 1.9  # font sizes of white over the whole width that end a band


Gutter = tuple[float, float]  # the left and right side of a white strip


def read(pages: Sequence[Sequence[Line]]) -> list[list[list[Line]]]:
    """The flows of each page of a document.

    A few lines side by side are columns where a strip that recurs on other pages parts them.
    """
    strips: list[list[Gutter]] = [[] for _ in pages]
    alone = [list(_flows(page, (), found)) for page, found in zip(pages, strips, strict=True)]
    known = gutters(strips)
    return [list(flows(page, known)) for page in pages] if known else alone


def gutters(strips: Sequence[Sequence[Gutter]]) -> list[Gutter]:
    """The white strips that recur among those of each page, from left to right."""
    found: Counter[Gutter] = Counter()
    for page in strips:
        found.update({(5 * round(left / 5), 5 * round(right / 5)) for left, right in page})
    least = max(RECURS, RECURS_SHARE * len(strips))
    return sorted(gutter for gutter, count in found.items() if count >= least)


def flows(lines: Sequence[Line], known: Sequence[Gutter] = ()) -> Iterator[list[Line]]:
    """Yield the runs of lines that are read from top to bottom, in the order in which they are read."""
    return _flows(lines, known, [])


def _flows(lines: Sequence[Line], known: Sequence[Gutter], found: list[Gutter]) -> Iterator[list[Line]]:
    for band in _bands(_sorted(lines)):
        yield from _columns(band, known, found)


def _sorted(lines: Sequence[Line]) -> list[Line]:
    return sorted(lines, key=lambda line: (line.top, line.left))


def _bands(lines: list[Line]) -> Iterator[list[Line]]:
    band: list[Line] = []
    bottom = 0.0
    for line in lines:
        if band and line.top - bottom > BAND_GAP * line.size and _parted(band):
            yield band
            band = []
        band.append(line)
        bottom = max(bottom, line.bottom) if len(band) > 1 else line.bottom
    if band:
        yield band


def _parted(band: list[Line]) -> bool:
    """Whether the band's end matters: only where lines stand side by side."""
    return any(a.bottom > b.top + 0.5 * b.size and a.right <= b.left for a, b in pairwise(band))


def _columns(
    lines: list[Line], known: Sequence[Gutter], found: list[Gutter], depth: int = 0
) -> Iterator[list[Line]]:
    gutter = _gutter(lines) if len(lines) >= 2 * COLUMN_LINES and depth < DEEPEST else None
    gutter = gutter or next((strip for strip in known if _parts(strip, lines)), None)
    if gutter is None:
        yield lines
        return
    found.append(gutter)
    left, right = gutter
    across = [line for line in lines if line.left < left - 1 and line.right > right + 1]
    for part in _between(lines, across):
        for side in (True, False):
            column = [line for line in part if (line.right <= left + 1) is side]
            if column:
                yield from _columns(column, known, found, depth + 1) if len(column) < len(lines) else [column]


def _parts(strip: Gutter, lines: list[Line]) -> bool:
    """Whether a strip known from other pages parts these few lines into running text on both sides."""
    left, right = strip[0] - 5, strip[1] + 5
    before = [line for line in lines if line.right <= right]
    after = [line for line in lines if line.left >= left and line.right > right]
    beside = any(abs(a.middle - b.middle) < a.size for a in before for b in after)
    texts = (sum(map(str.isalpha, line.text)) for line in lines)
    return beside and len(before) + len(after) == len(lines) and median(texts) >= LETTERS


def _between(lines: list[Line], across: list[Line]) -> Iterator[list[Line]]:
    """Cut where lines cross the gutter; those that follow one another are a part of their own."""
    crossing = {id(line) for line in across}
    for _, part in groupby(lines, key=lambda line: id(line) in crossing):
        yield list(part)


def _gutter(lines: list[Line]) -> tuple[float, float] | None:
    """The leftmost white strip [left, right] that parts a column of text from others, if there is one."""
    for left, right in _strips(lines):
        before = [line for line in lines if line.right <= left + 1]
        after = [line for line in lines if line.left >= right - 1]
        crossing = len(lines) - len(before) - len(after)
        if crossing > min(len(before), len(after)):
            continue
        beside = [line for line in after if line.left < right + INDENT]
        if _is_text(before) and _is_text(beside) and _overlap(before, beside):
            return left, right
    return None


def _strips(lines: list[Line]) -> Iterator[tuple[float, float]]:
    """White strips before the left ends that several lines share."""
    rights = sorted(line.right for line in lines)
    starts = Counter(round(line.left) for line in lines)
    first = min(starts)
    for start in sorted(step for step, count in starts.items() if count >= COLUMN_LINES - 1):
        end = bisect_right(rights, start - GUTTER) - 1
        if start > first + GUTTER and end >= 0:
            yield rights[end], start - 1.0


def _overlap(before: list[Line], after: list[Line]) -> bool:
    top, bottom = max(before[0].top, after[0].top), min(before[-1].bottom, after[-1].bottom)
    return sum(top - 1 <= line.top and line.bottom <= bottom + 1 for line in before) >= COLUMN_LINES - 1


def _is_text(column: list[Line]) -> bool:
    """Whether these are lines of running text one below the other, not cells of a table."""
    if len(column) < COLUMN_LINES:
        return False
    width = max(line.right for line in column) - min(line.left for line in column)
    height = max(line.bottom for line in column) - column[0].top
    figures = sorted(b.top - a.bottom for a, b in pairwise(column) if b.top - a.bottom > FIGURE * a.size)[
        -FIGURES:
    ]
    return (
        median(line.right - line.left for line in column) >= FULL * width
        and median(sum(map(str.isalpha, line.text)) for line in column) >= LETTERS
        and sum(line.bottom - line.top for line in column) >= DENSE * (height - sum(figures))
    )
