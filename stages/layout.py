"""The lines of a document's pages become headings, paragraphs, items, rows and footnotes."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from stages.blocks import Block, Kind
from stages.headings import levelled
from stages.lines import MARK, Line, letters
from stages.numbering import CALL, CAPTION
from stages.paragraphs import Body, block_of, body_of, is_closed, paragraphs
from stages.rows import Row, Style, contents, rows_of

SMALLER = 0.93  # times the body's size, at most: a footnote's font


@dataclass
class Page:
    """What is left of a page when its furniture is gone: flows of lines, in reading order."""

    number: int
    flows: list[list[Line]]


def arrange(pages: Sequence[Page], dropped: Counter[str], skip_contents: bool) -> list[list[Block]]:
    """Return the blocks of each flow of a document, in reading order.

    Headings get the level that their numbering gives them, else that of their font. The lines of
    tables of contents go if `skip_contents`; `dropped` counts the letters that go, by reason.
    """
    body = body_of(flow for page in pages for flow in page.flows)
    units: list[list[tuple[Block, Style]]] = []
    for page in pages:
        flows = [rows_of(flow) for flow in page.flows]
        if skip_contents:
            flows = [without_contents(rows, dropped) for rows in flows]
        marks = {mark for rows in flows for row in rows for mark in CALL.findall(row.text)}
        found: list[list[tuple[Block, Style]]] = []
        for rows in flows:
            open_note = bool(found and found[-1]) and _is_open_note(found[-1][-1][0])
            found.append(list(_blocks(rows, body, page, marks, open_note)))
        called = {_note(block.text) for unit in found for block, _ in unit if block.kind == "footnote"}
        units += [[(_unmarked(block, called, dropped), style) for block, style in unit] for unit in found]
    return levelled(units)


def without_contents(rows: list[Row], dropped: Counter[str]) -> list[Row]:
    """Drop the rows of a table of contents."""
    listed = contents(rows)
    dropped["contents_line"] += sum(letters(rows[i].text) for i in listed)
    return [row for i, row in enumerate(rows) if i not in listed]


def _is_open_note(block: Block) -> bool:
    return block.kind == "footnote" and not is_closed(block.text)


def _blocks(
    rows: Sequence[Row], body: Body, page: Page, marks: set[str], open_note: bool
) -> Iterator[tuple[Block, Style]]:
    foot = len(rows)
    while foot and rows[foot - 1].size <= SMALLER * body.size:
        foot -= 1
    at = 0
    notes = table = False
    for group in paragraphs(rows, body):
        block, style = block_of(group, body, page.number)
        small = group[0].size <= SMALLER * body.size
        table = CAPTION.match(block.text) is not None or (table and small)
        if block.kind in ("paragraph", "item"):
            # Notes end a column; one of several paragraphs has its number at the first.
            begins = _note(block.text) in marks or (open_note and block.text[:1].islower())
            marked = block.text.startswith(MARK[0])
            notes = at >= foot and (marked or ((notes or begins) and _is_prose(block.text)))
            # What stands in smaller print below a table's title belongs to the table.
            kind: Kind = "footnote" if notes else "row" if table and small else block.kind
            block = replace(block, kind=kind)
        at += len(group)
        yield block, style


def _is_prose(text: str) -> bool:
    solid = text.replace(" ", "")
    return sum(map(str.isalpha, solid)) > 0.6 * len(solid)


def _note(text: str) -> str:
    """The number at the start of a footnote."""
    match = re.match(rf"[{MARK}]?(\d{{1,3}})[{MARK}]?\s*(?=\W{{0,3}}[^\W\d])", text)
    return match[1] if match else ""


def _unmarked(block: Block, called: set[str], dropped: Counter[str]) -> Block:
    """Without the raised numbers that call this page's footnotes, and without a footnote's own."""
    text = block.text
    if block.kind == "footnote" and (number := _note(text)):
        dropped["footnote_mark"] += len(number)
        text = re.sub(rf"^[{MARK}]?{number}[{MARK}]?\s*", "", text)
    if MARK[0] not in text:
        return replace(block, text=text) if text != block.text else block

    def resolve(match: re.Match[str]) -> str:
        if match[1] not in called:
            # 10 to the power of 6 is not 106; behind a letter it may be an index: CO2.
            return f"^{match[1]}" if match.string[: match.start()][-1:].isdecimal() else match[1]
        dropped["footnote_mark"] += len(match[1])
        return ""

    return replace(block, text=CALL.sub(resolve, text).strip())
