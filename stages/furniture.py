"""What a page carries and nobody asks about: running headers, footers, banners, page and line numbers."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from stages.lines import Line

# A running line stands on at least this many pages and this share of the document's pages.
MINIMUM_PAGES = 3
MINIMUM_SHARE = 0.06
# Of all lines of its wording, this share stands at that height of a page.
FAITHFUL = 0.6
# It is looked for in this many rows from the top and from the bottom of a page.
EDGE = 4
# A line at the very same place on this share of the pages is furniture wherever it stands.
STATIONARY_SHARE = 0.3
# Heights (points) this close are the same place.
PLACE = 4.0
NUMBER = r"(?:\d{1,5}|[ivxlc]{1,7}|[A-Z]{1,2}[-–.]?\d{1,4})"
PAGE_NUMBER = re.compile(
    rf"[-–—\[( ]*(?:page|p\.|seite|página)?\s*({NUMBER})(?:\s*(?:of|/|von|de)\s*\d+)?[-–—\]) ]*", re.I | re.A
)
ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
SMALL_PRINT = 0.7  # times the commonest font size, at most: a printer's mark
LINE_NUMBERS = 5  # that a page shows at least, else they are no line numbers


def shape(text: str) -> str:
    """The wording of a line without its numbers, case folded."""
    return re.sub(rf"\b{NUMBER}\b", "#", text, flags=re.I).casefold().strip("# ")


def remove(pages: Sequence[Sequence[Line]]) -> tuple[list[list[Line]], list[tuple[int, str, Line]]]:
    """Part the furniture of a document from its text.

    Returns:
        The lines that stay, page by page, and (page index, reason, line) for each that goes.
    """
    marked = _numbered_lines(pages) | _stationary(pages)
    edges = [_edges([line for line in page if (i, id(line)) not in marked]) for i, page in enumerate(pages)]
    marked |= _page_numbers(edges)
    marked = _running(pages, edges) | marked
    marked |= _same_slot([_edges(list(page)) for page in pages], marked)
    kept = [[line for line in page if (i, id(line)) not in marked] for i, page in enumerate(pages)]
    gone = [
        (i, reason, line)
        for i, page in enumerate(pages)
        for line in page
        if (reason := marked.get((i, id(line))))
    ]
    return kept, gone


Marks = dict[tuple[int, int], str]  # page index and the line's identity: reason
Edges = list[tuple[bool, int, Line]]  # at the top, rows from the edge, line


def _edges(page: Sequence[Line]) -> Edges:
    """The lines in the outermost rows; a row's lines share a height."""
    rows: list[float] = []
    for height in sorted(line.middle for line in page if line.text.strip("_-–— ")):
        if not rows or height - rows[-1] > PLACE:
            rows.append(height)
    count = min(EDGE, (len(rows) + 1) // 2)
    if not count:
        return []
    sides = ((True, rows[:count]), (False, rows[: -count - 1 : -1]))
    low, high = rows[count - 1] + PLACE, rows[-count] - PLACE
    found: Edges = []
    for line in page:
        if low < line.middle < high:
            continue
        for at_top, part in sides:
            depth = next((i for i, height in enumerate(part) if abs(line.middle - height) <= PLACE), None)
            if depth is not None:
                found.append((at_top, depth, line))
    return found


def _stationary(pages: Sequence[Sequence[Line]]) -> Marks:
    least = max(MINIMUM_PAGES, STATIONARY_SHARE * len(pages))
    often = {
        text
        for text, count in Counter(line.text for page in pages for line in page).items()
        if count >= least
    }
    places: defaultdict[tuple[str, int, int], list[tuple[int, int]]] = defaultdict(list)
    for i, page in enumerate(pages):
        for line in page:
            if line.text in often:
                places[line.text, round(line.left / PLACE), round(line.top / PLACE)].append((i, id(line)))
    return {
        where: "running_line"
        for (text, _, _), found in places.items()
        if len({i for i, _ in found}) >= least and re.search(r"\w{3}", text)
        for where in found
    }


def _height(line: Line) -> int:
    return round(line.middle / PLACE)


def _page_numbers(edges: Sequence[Edges]) -> Marks:
    """Numbers that count the pages: their distance from the page's index recurs."""
    found: defaultdict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
    for i, page in enumerate(edges):
        for _, depth, line in page:
            match = PAGE_NUMBER.fullmatch(line.text)
            # Of few pages, a number before a title cannot be told from the page's.
            alone = (
                len(edges) >= MINIMUM_PAGES
                or sum(abs(line.middle - o.middle) <= PLACE for _, _, o in page) == 1
            )
            if match and depth < 2 and alone:
                kind, value = _value(match[1])
                found[kind, value - i].append((i, id(line)))
    pages = len(edges)
    marks: Marks = {}
    for (_, offset), where in found.items():
        # In a document of one or two pages only the page's own index is sure to be its number.
        if len(where) >= min(MINIMUM_PAGES, pages) and (pages >= MINIMUM_PAGES or offset == 1):
            marks |= dict.fromkeys(where, "page_number")
    return marks


def _value(number: str) -> tuple[str, int]:
    digits = re.search(r"\d+$", number)
    if digits:
        return number[: digits.start()].casefold(), int(digits[0])
    values = [ROMAN[letter] for letter in number.casefold()]
    pairs = zip(values, [*values[1:], 0], strict=True)
    return "roman", sum(-a if a < b else a for a, b in pairs)


def _running(pages: Sequence[Sequence[Line]], edges: Sequence[Edges]) -> Marks:
    """Lines whose wording recurs at one height of the page's edge and hardly anywhere else."""
    anywhere = Counter(line.text for page in pages for line in page)
    wordings: defaultdict[str, set[str]] = defaultdict(set)
    places: defaultdict[tuple[str, bool], defaultdict[int, list[tuple[int, int]]]]
    places = defaultdict(lambda: defaultdict(list))
    for i, page in enumerate(edges):
        for at_top, _, line in page:
            if len(line.text) < 200 and (words := shape(line.text)):
                wordings[words].add(line.text)
                places[words, at_top][_height(line)].append((i, id(line)))
    least = max(MINIMUM_PAGES, MINIMUM_SHARE * len(pages))
    found: defaultdict[int, set[tuple[int, int]]] = defaultdict(set)
    for (words, _), heights in places.items():
        for height in heights:
            where = [w for near in (height - 1, height, height + 1) for w in heights.get(near, ())]
            if len({i for i, _ in where}) >= least and len(where) >= FAITHFUL * sum(
                anywhere[text] for text in wordings[words]
            ):
                found[height].update(where)
    return _alone_at_their_height(pages, found) | _small_print(pages, edges, wordings, anywhere)


def _small_print(
    pages: Sequence[Sequence[Line]],
    edges: Sequence[Edges],
    wordings: dict[str, set[str]],
    anywhere: Counter[str],
) -> Marks:
    """The printer's marks: small, outermost on their pages, and there at any height."""
    sizes = Counter(round(line.size) for page in pages for line in page)
    small = SMALL_PRINT * max(sizes, key=lambda size: sizes[size], default=0)
    places: defaultdict[str, set[tuple[int, int]]] = defaultdict(set)
    for i, page in enumerate(edges):
        for _, depth, line in page:
            if depth < 2 and line.size < small:
                places[shape(line.text)].add((i, id(line)))
    marks: Marks = {}
    for words, where in places.items():
        often = len({i for i, _ in where}) >= MINIMUM_PAGES and len(where) >= FAITHFUL * sum(
            anywhere[text] for text in wordings[words]
        )
        if words and often:
            marks |= dict.fromkeys(where, "running_line")
    return marks


def _alone_at_their_height(pages: Sequence[Sequence[Line]], found: dict[int, set[tuple[int, int]]]) -> Marks:
    # The head of a table that goes on over pages recurs too, but where other pages carry text.
    occupied: defaultdict[int, set[int]] = defaultdict(set)
    for i, page in enumerate(pages):
        for line in page:
            occupied[_height(line)].add(i)
    marks: Marks = {}
    for height, where in found.items():
        here = set().union(*(occupied[near] for near in (height - 1, height, height + 1)))
        running = {i for near in (height - 1, height, height + 1) for i, _ in found.get(near, ())}
        if len(running) >= FAITHFUL * len(here):
            marks |= dict.fromkeys(where, "running_line")
    return marks


def _same_slot(edges: Sequence[Edges], marked: Marks) -> Marks:
    """What stands where nearly all other pages carry furniture: the name of a short chapter, say."""
    slots: defaultdict[tuple[bool, int], Counter[bool]] = defaultdict(Counter)
    for i, page in enumerate(edges):
        for slot in {(top, _height(line)) for top, depth, line in page if depth < 2}:
            here = [line for top, _, line in page if (top, _height(line)) == slot]
            slots[slot][any((i, id(line)) in marked for line in here)] += 1
    least = max(MINIMUM_PAGES + 2, STATIONARY_SHARE * len(edges))
    furniture = {slot for slot, seen in slots.items() if seen[True] >= max(least, 4 * seen[False])}
    return {
        (i, id(line)): "running_line"
        for i, page in enumerate(edges)
        for top, depth, line in page
        if depth < 2 and (i, id(line)) not in marked and (top, _height(line)) in furniture
    }


def _numbered_lines(pages: Sequence[Sequence[Line]]) -> Marks:
    """Numbers in a margin that count the lines of a page."""
    marks: Marks = {}
    for i, page in enumerate(pages):
        for column in _margin_numbers(page):
            values = [int(line.text) for line in column]
            steps = {b - a for a, b in pairwise(values)}
            if len(column) >= LINE_NUMBERS and len(steps) == 1 and steps <= {1, 2, 5, 10}:
                marks |= dict.fromkeys(((i, id(line)) for line in column), "line_number")
    return marks


def _margin_numbers(page: Sequence[Line]) -> Iterator[list[Line]]:
    numbers = [line for line in page if line.text.isdecimal() and len(line.text) <= 4]
    if len(numbers) < LINE_NUMBERS:
        return
    texts = [line for line in page if not line.text.isdecimal()]
    if not texts:
        return
    left, right = min(line.left for line in texts), max(line.right for line in texts)
    before = [line for line in numbers if line.right <= left]
    behind = [line for line in numbers if line.left >= right]
    for column in (before, behind):
        if column:
            yield sorted(column, key=lambda line: line.top)
