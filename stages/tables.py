"""Tables: what stands in the cells that drawn rules enclose becomes rows of text."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import median

from stages.lines import Line, letters
from stages.lines import lines as line_up
from stages.sheet import Box, Sheet, Span

THIN = 3.0  # points: a drawn box is a rule when it is no thicker
SHORT = 8.0  # points: a shorter rule is a tick, or the underline of a letter
NEAR = 2.5  # points within which two rules meet
SIDE_BY_SIDE = 3  # rows with cells side by side that make a look at the rules worth while
WORDY = 8  # letters in half of a cell's lines, at least: it runs on
FULL = 0.6  # of a cell's width: a line that fills it goes on in the next
BANDS = 3  # of a table whose rows no rule parts: its title, its head, its body
DRAWING = 2000  # rules on a page: more of them draw a picture
CELL = " | "
NARROW_LETTERS = " .,:;'|!()[]ijltfI"

Rule = tuple[float, float, float]  # where it lies, where it begins, where it ends


def with_rows(sheet: Sheet, lines: list[Line]) -> list[Line]:
    """Replace the lines within ruled tables by one line for each row of cells."""
    if _rows_of_cells(lines) < SIDE_BY_SIDE:
        return lines
    across, down = _merged(sheet.rules())
    inside: set[int] = set()
    rows: list[Line] = []
    for box in _grids(across, down):
        within = [line for line in lines if id(line) not in inside and _holds(box, line)]
        columns = [
            x
            for x, top, bottom in down
            if box[0] + NEAR < x < box[2] - NEAR and bottom > box[1] and top < box[3]
        ]
        if not columns or len(within) < SIDE_BY_SIDE:
            continue
        caption = _caption(lines, box)
        inside.update(map(id, within + caption))
        rows += [_row([caption])] if caption else []
        rows += _table(_parted(sheet, within, down), across, down, box[0])
    return [line for line in lines if id(line) not in inside] + rows


def _caption(lines: Sequence[Line], box: Box) -> list[Line]:
    """The line that is centred right above a table."""
    return [
        line
        for line in lines
        if 0 <= box[1] - line.bottom < 2 * line.size
        and abs(line.left + line.right - box[0] - box[2]) < 2 * line.size
        and line.left > box[0] + line.size
    ][-1:]


def _parted(sheet: Sheet, within: list[Line], down: list[Rule]) -> list[Line]:
    """The lines once more, parted where a rule stands between two of their spans."""
    crossed = [
        line
        for line in within
        if any(
            line.left + NEAR < x < line.right - NEAR and top <= line.middle <= bottom
            for x, top, bottom in down
        )
    ]
    if not crossed:
        return within
    boxes = [(line.left - 1, line.top - 1, line.right + 1, line.bottom + 1) for line in crossed]
    spans = [
        span
        for span in sheet.spans
        if any(
            b[0] <= span.left and span.right <= b[2] + span.size and b[1] <= span.top and span.bottom <= b[3]
            for b in boxes
        )
    ]
    spans = [part for span in spans for part in _cut(span, down)]
    again = line_up(replace(sheet, spans=spans), [x for x, _, _ in down])
    if letters("".join(line.text for line in again)) != letters("".join(line.text for line in crossed)):
        return within  # what was put together otherwise stays so
    return [line for line in within if line not in crossed] + again


def _rows_of_cells(lines: Sequence[Line]) -> int:
    """How often two lines stand side by side, the marks of lists aside."""
    return sum(
        abs(a.middle - b.middle) < NEAR and a.right < b.left and (len(a.text) > 2 or a.text.isalnum())
        for a, b in pairwise(lines)
    )


def _merged(boxes: Sequence[Box]) -> tuple[list[Rule], list[Rule]]:
    """The rules that run across and those that run down, touching pieces made one."""
    across = [((y0 + y1) / 2, x0, x1) for x0, y0, x1, y1 in boxes if y1 - y0 <= THIN]
    down = [((x0 + x1) / 2, y0, y1) for x0, y0, x1, y1 in boxes if x1 - x0 <= THIN]
    return _chained(across), _chained(down)


def _chained(rules: list[Rule]) -> list[Rule]:
    places: defaultdict[int, list[Rule]] = defaultdict(list)
    for rule in sorted(rules):
        key = round(rule[0])
        places[key - 1 if key - 1 in places else key].append(rule)
    whole: list[Rule] = []
    for pieces in places.values():
        pieces.sort(key=lambda rule: rule[1])
        at, start, end = pieces[0]
        for _, first, last in pieces[1:]:
            if first > end + NEAR:
                whole.append((at, start, end))
                start = first
                end = last
            end = max(end, last)
        whole.append((at, start, end))
    return [rule for rule in whole if rule[2] - rule[1] >= SHORT]


def _grids(across: list[Rule], down: list[Rule]) -> Iterator[Box]:
    """The boxes around rules that meet: each is a table, a box of text, or a drawing."""
    if len(across) + len(down) > DRAWING:
        return
    left = list(across)
    while left:
        y, x0, x1 = left.pop(0)
        box, before = (x0, y, x1, y), None
        while box != before:
            before = box
            for at, start, end in down:
                if _meets(box[0], box[2], at) and start <= box[3] + NEAR and end >= box[1] - NEAR:
                    box = (box[0], min(box[1], start), box[2], max(box[3], end))
            met = [rule for rule in left if _meets(box[1], box[3], rule[0]) and _reaches(rule, box)]
            left = [rule for rule in left if rule not in met]
            box = (min([box[0], *(r[1] for r in met)]), box[1], max([box[2], *(r[2] for r in met)]), box[3])
        if box[3] - box[1] > SHORT:
            yield box


def _reaches(rule: Rule, box: Box) -> bool:
    return rule[1] <= box[2] + NEAR and rule[2] >= box[0] - NEAR


def _meets(low: float, high: float, at: float) -> bool:
    return low - NEAR <= at <= high + NEAR


def _cut(span: Span, down: list[Rule]) -> Iterator[Span]:
    """Cut a span that the reader has put together from two cells, at the blank nearest to the rule."""
    middle = (span.top + span.bottom) / 2
    for x, top, bottom in down:
        # A leader belongs to what it leads away from.
        blanks = [match.start() for match in re.finditer(r"(?<=\S) (?=[^\s.])", span.text)]
        if span.left + NEAR < x < span.right - NEAR and top <= middle <= bottom and blanks:
            widths = [_width(c) for c in span.text]
            scale = (span.right - span.left) / sum(widths)
            places = {i: span.left + scale * sum(widths[:i]) for i in blanks}
            at = min(blanks, key=lambda i: abs(places[i] - x))
            yield span._replace(text=span.text[:at], right=x - 1)
            yield from _cut(span._replace(text=span.text[at + 1 :], left=x + 1), down)
            return
    yield span


def _width(character: str) -> float:
    """About how wide a letter is, in font sizes; the reader does not say."""
    if character in NARROW_LETTERS:
        return 0.28
    return 0.7 if character.isupper() or character in "mw%—" else 0.55


def _holds(box: Box, line: Line) -> bool:
    return box[0] - NEAR <= line.left and line.right <= box[2] + 2 * NEAR and box[1] <= line.middle <= box[3]


Cell = tuple[float, float]  # its top and its left end


def _table(lines: list[Line], across: list[Rule], down: list[Rule], side: float) -> Iterator[Line]:
    cells: defaultdict[Cell, list[Line]] = defaultdict(list)
    for line in sorted(lines, key=lambda line: (line.top, line.left)):
        cells[_cell(line, across, down, side)].append(line)
    tops = sorted({top for top, _ in cells})
    for top in tops:
        band = [cells[cell] for cell in sorted(cells) if cell[0] == top]
        # Where many rules part the rows, what stands between two of them is one.
        yield from (_row(row) for row in ([band] if len(tops) > BANDS else _by_baseline(band)))


def _cell(line: Line, across: list[Rule], down: list[Rule], side: float) -> Cell:
    x = line.left + min(4.0, (line.right - line.left) / 2)
    left = max((at for at, start, end in down if at <= x and start <= line.middle <= end), default=side)
    # An underline does not reach the side of its cell.
    tops = (
        at for at, start, end in across if at < line.middle and start <= x <= end and start <= left + 2 * NEAR
    )
    return round(max(tops, default=0.0) / NEAR) * NEAR, left


def _by_baseline(band: list[list[Line]]) -> Iterator[list[list[Line]]]:
    """Rows that no rule parts: their cells begin level with each other and do not run on."""
    first = band[0]
    if len(band) == 1 or len(first) == 1 or _runs_on(band):
        yield band
        return
    starts = [
        line.middle
        for line in first
        if sum(any(abs(line.middle - other.middle) < NEAR for other in cell) for cell in band[1:]) * 2
        >= len(band) - 1
    ]
    if len(starts) < 2:
        yield band
        return
    bounds = [float("-inf"), *(start - NEAR for start in starts[1:]), float("inf")]
    for low, high in pairwise(bounds):
        row = [[line for line in cell if low <= line.middle < high] for cell in band]
        if any(row):
            yield [cell for cell in row if cell]


def _runs_on(band: list[list[Line]]) -> bool:
    long = [cell for cell in band if len(cell) > 1]
    fills = [
        (line.right - line.left) / (max(other.right for other in cell) - cell[0].left + 0.1)
        for cell in long
        for line in cell[:-1]
        if not line.text.endswith("..") and any(map(str.isalpha, line.text))
    ]
    letters = [sum(map(str.isalpha, line.text)) for cell in long for line in cell]
    return bool(fills) and median(fills) >= FULL and median(letters) >= WORDY


def _row(cells: list[list[Line]]) -> Line:
    texts = ("\n".join(line.text for line in cell) for cell in cells)
    lines = [line for cell in cells for line in cell]
    box = (
        min(o.left for o in lines),
        min(o.top for o in lines),
        max(o.right for o in lines),
        max(o.bottom for o in lines),
    )
    return Line(CELL.join(texts), *box, lines[0].size, all(line.bold for line in lines), row=True)
