"""The rows of a flow: what stands on one baseline, read from left to right."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from stages.blocks import Kind
from stages.lines import MARK, SMALL, Line, Placed
from stages.numbering import BULLET, ENUMERATOR, NUMBERED

LEADER = re.compile(r"(?:[.…․_·]\s?){4,}")
REFERENCE = re.compile(r"(?:[ivxlc]{1,7}|\d{1,4}|[A-Z]-\d{1,3})$")
STOPS = (".", "!", "?", ":", ";", ",")
LOOSE = 1.6  # font sizes of blank behind them, at most, in a line that is set to full width
NEAR = 3.0  # points within which two left ends are the same
CONTENTS_ROWS = 5  # of a page, at least, and half of all its rows

Style = tuple[float, bool, bool]  # font size, bold, in capitals


@dataclass(slots=True)
class Row(Placed):
    """What stands on one baseline of a flow, read from left to right."""

    kind: Kind = "paragraph"
    label: float = 0.0  # where the text begins behind a bullet, number or label
    lead: bool = False  # begins in bold and goes on without
    tail: str = ""  # what stands apart at its right end
    style: Style = field(init=False)

    def __post_init__(self) -> None:
        capitals = self.text.isupper() and sum(map(str.isalpha, self.text)) > 3
        self.style = round(2 * self.size) / 2, self.bold, capitals


def rows_of(flow: Sequence[Line]) -> list[Row]:
    """Join what stands side by side: a bullet and its text, a number and its title, the cells of a row."""
    groups: list[list[Line]] = []
    for line in flow:
        if groups and not line.row and _level(groups[-1][0], line):
            groups[-1].append(line)
        else:
            groups.append([line])
    for group in groups:
        if len(group) > 1:
            group.sort(key=lambda line: line.left)
    groups = _labelled([_closed_up(group) for group in groups])
    rows: list[Row] = []
    for i, group in enumerate(groups):
        beside = (len(groups[k]) > 1 for k in (i - 1, i + 1) if 0 <= k < len(groups))
        rows.append(_row(group, groups[i + 1] if i + 1 < len(groups) else [], any(beside)))
    return rows


def _closed_up(group: list[Line]) -> list[Line]:
    """Close the wide blank behind a sentence in a line that is loosely set."""
    closed = group[:1]
    for line in group[1:]:
        last = closed[-1]
        if (
            len(last.text) > 3
            and last.text.endswith(STOPS)
            and 0 < line.left - last.right < LOOSE * line.size
        ):
            box = last.left, min(last.top, line.top), line.right, max(last.bottom, line.bottom)
            closed[-1] = Line(f"{last.text} {line.text}", *box, last.size, last.bold and line.bold)
        else:
            closed.append(line)
    return closed


def _labelled(groups: list[list[Line]]) -> list[list[Line]]:
    """Bring together a term of several lines that stands beside its explanation."""
    joined: list[list[Line]] = []
    head: list[Line] = []  # the row where an explanation began
    right = max((line.right for group in groups for line in group), default=0.0)
    for group in groups:
        last = joined[-1][-1] if joined else group[0]
        if (
            len(group) == 2
            and head
            and _is_label_of(group, head, last)
            and last.right > right - 0.25 * (right - last.left)
        ):
            head[0] = replace(head[0], text=f"{head[0].text} {group[0].text}")
            joined.append([group[1]])
            continue
        if len(group) == 2:
            head = group
        elif len(group) > 2 or not head or abs(group[0].left - head[1].left) > NEAR:
            head = []
        joined.append(group)
    return joined


def _is_label_of(group: list[Line], head: list[Line], last: Line) -> bool:
    label, text = group
    level = abs(label.left - head[0].left) < NEAR and abs(text.left - head[1].left) < NEAR
    close = text.top - last.bottom < 0.6 * text.size
    return level and close and text.text[:1].islower() and any(map(str.isalpha, label.text))


def _level(a: Line, b: Line) -> bool:
    return not a.row and abs(a.middle - b.middle) < 0.5 * min(max(a.size, b.size), 2 * min(a.size, b.size))


def _row(group: list[Line], below: list[Line], table: bool) -> Row:
    first = group[0]
    box = first.left, min(o.top for o in group), max(o.right for o in group), max(o.bottom for o in group)
    if len(group) == 1:
        kind: Kind = "row" if first.row else "paragraph"
        return Row(first.text, *box, first.size, first.bold, kind, lead=first.lead)
    size = max(group, key=lambda line: len(line.text)).size
    bold = all(line.bold for line in group if any(map(str.isalpha, line.text)))
    tail = group[-1].text
    text = " ".join(line.text for line in group)
    note = first.text.isdecimal() and first.size < SMALL * size
    if note:
        text = f"{MARK[0]}{first.text}{MARK[1]} {' '.join(line.text for line in group[1:])}"
    hangs = len(below) == 1 and abs(below[0].left - group[1].left) < NEAR and below[0].left > first.right
    if len(group) == 2 and (note or hangs or _is_marker(first.text, table)):
        return Row(text, *box, size, bold, label=group[1].left, tail=tail)
    if table:
        return Row(" | ".join(line.text for line in group), *box, size, bold, "row", tail=tail)
    return Row(text, *box, size, bold, lead=first.lead, tail=tail)


def _is_marker(text: str, table: bool) -> bool:
    """Whether a short text stands before an item, a title or a note; bare numbers may head a table's rows."""
    if BULLET.fullmatch(text) or ENUMERATOR.fullmatch(text) or text.startswith(MARK[0]):
        return True
    number = NUMBERED.match(text + " x")
    return bool(number and number["number"]) and not (table and text.isdecimal())


def contents(rows: Sequence[Row]) -> set[int]:
    """The indices of the rows of a table of contents: a title, and a page number that never falls."""
    led = {i for i, row in enumerate(rows) if LEADER.search(row.text) and REFERENCE.search(row.text)}
    tailed = [i for i, row in enumerate(rows) if i not in led and _is_entry(row)]
    pages = [int(rows[i].tail) for i in tailed]
    falls = sum(b < a for a, b in pairwise(pages))
    found = led | set(tailed)
    if len(found) < max(CONTENTS_ROWS, len(rows) / 2) or falls > len(pages) / 10:
        return led
    # An entry that takes two lines has its number on the second.
    return set(range(min(found), max(found) + 1))


def _is_entry(row: Row) -> bool:
    """Whether a row is a title, perhaps with a number before it, and a page number far to its right."""
    if not (row.tail.isdecimal() and len(row.tail) < 5):
        return False
    title = row.text[: -len(row.tail)].replace("|", " ").split()
    return any(word[:2].isalpha() for word in title) and not any(map(str.isdecimal, title[1:]))
