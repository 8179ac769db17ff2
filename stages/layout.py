"""The lines of a document's pages become headings, paragraphs, items, rows and footnotes."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import median

from stages.blocks import Block, Kind
from stages.lines import MARK, SMALL, Line, letters

BULLET = re.compile(r"[•▪■◦●○‣⁃∙·–—*\-\uf000-\uf0ff](?=\s|$)\s*")
ENUMERATOR = re.compile(r"(?:\(?(?:\d{1,3}|[a-zA-Z]|[ivxl]{1,5})[.)]|\(\d{1,3}[a-z]?\)|\[\d{1,3}\])(?=\s|$)")
NUMBERED = re.compile(
    r"(?P<number>(?:[A-Z]{1,2}[.-])?\d{1,3}(?:[.–-]\d{1,3}){0,5})\.?\s+(?=[\"“‘(]?\w)"
    r"|(?P<part>(?:CHAPTER|PART|TITLE|BOOK|Chapter|Part|Title)\s+(?:[A-Z]+|[IVXLC]+|\d+)\b)"
    r"|(?P<annex>(?:APPENDIX|ANNEX|Appendix|Annex)\s+(?:[A-Z]|[IVX]+|\d+)\b)"
    r"|(?P<section>(?:SECTION|SEC|Section|Sec|§)\.?\s*(?P<count>\d{1,4}(?:\.\d+)*)\b)"
)
CALL = re.compile(f"{MARK[0]}(\\d+){MARK[1]}")
CAPTION = re.compile(r"(?:Figure|Table|Exhibit|Fig\.|FIGURE|TABLE|EXHIBIT)\s+[A-Z]?-?\d")
LEADER = re.compile(r"(?:[.…․_·]\s?){4,}")
REFERENCE = re.compile(r"(?:[ivxlc]{1,7}|\d{1,4}|[A-Z]-\d{1,3})$")
ENDS = (".", "!", "?", ":", ";", ".”", '."', "?”", ".)", "。", "．", "！", "？")
STOPS = (".", "!", "?", ":", ";", ",")
LOOSE = 1.6  # font sizes of blank behind them, at most, in a line that is set to full width
LARGER = 1.12  # times the body's size: a heading's font
SMALLER = 0.93  # times the body's size, at most: a footnote's font
HEADING_WORDS = 25  # at most
LABEL = 40  # a heading that recurs so often names a kind of text, not a section
NEW_PARAGRAPH = 1.3  # times the usual distance between baselines
INDENT = 0.7  # font sizes by which a first line is set in
# Kana, Han and their punctuation: written without blanks between words.
UNSPACED = re.compile("[\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef]")
LAST_WORD = re.compile(r"(?<![\w-])[\w-]+$")
INNER_WORD = re.compile(r"(?<=[^\w\n-])[\w-]+(?=[^\w\n-])")
NEAR = 3.0  # points within which two left ends are the same
CONTENTS_ROWS = 5  # of a page, at least, and half of all its rows

Style = tuple[float, bool, bool]  # font size, bold, in capitals


@dataclass(slots=True)
class Row:
    """What stands on one baseline of a flow, read from left to right."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    size: float
    bold: bool
    kind: Kind = "paragraph"
    label: float = 0.0  # where the text begins behind a bullet, number or label
    lead: bool = False  # begins in bold and goes on without
    tail: str = ""  # what stands apart at its right end
    style: Style = field(init=False)

    def __post_init__(self) -> None:
        capitals = self.text.isupper() and sum(map(str.isalpha, self.text)) > 3
        self.style = round(2 * self.size) / 2, self.bold, capitals


@dataclass
class Body:
    """How the running text of a document looks, and the words that it uses."""

    size: float
    bold: bool
    words: set[str] = field(default_factory=set)

    def is_heading(self, row: Row) -> bool:
        """Whether a row is set apart from the running text by its font."""
        size, bold, capitals = row.style
        if row.kind != "paragraph" or not any(map(str.isalpha, row.text)):
            return False
        larger = size >= LARGER * self.size
        return larger or (bold and not self.bold) or (capitals and len(row.text) < 90)


def body_of(pages: Iterable[Sequence[Line]]) -> Body:
    """The commonest font of a document, by letters, and every word in it."""
    fonts: Counter[tuple[float, bool]] = Counter()
    words: set[str] = set()
    for page in pages:
        for line in page:
            fonts[round(2 * line.size) / 2, line.bold] += len(line.text)
        # The ends of a line may be halves of words.
        words.update(INNER_WORD.findall("\n".join(line.text for line in page).casefold()))
    (size, bold), _ = max(fonts.items(), key=lambda item: item[1], default=((10.0, False), 0))
    return Body(size, bold, words | {part for word in words if "-" in word for part in word.split("-")})


def is_closed(text: str) -> bool:
    """Whether a text ends as a sentence does."""
    return text.endswith(ENDS)


# Rows


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
    if first.text.isdecimal() and first.size < SMALL * size:  # the number of a footnote
        text = f"{MARK[0]}{first.text}{MARK[1]} {' '.join(line.text for line in group[1:])}"
    hangs = len(below) == 1 and abs(below[0].left - group[1].left) < NEAR and below[0].left > first.right
    if len(group) == 2 and (hangs or _is_marker(first.text, table)):
        return Row(text, *box, size, bold, label=group[1].left, tail=tail)
    if table:
        return Row(" | ".join(line.text for line in group), *box, size, bold, "row", tail=tail)
    return Row(text, *box, size, bold, lead=first.lead, tail=tail)


def _is_marker(text: str, table: bool) -> bool:
    """Whether a short text stands before an item, a title or a note; bare numbers may head a table's rows."""
    if BULLET.fullmatch(text) or ENUMERATOR.fullmatch(text) or MARK[0] in text:
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


# Paragraphs


def paragraphs(rows: Sequence[Row], body: Body) -> Iterator[list[Row]]:
    """Part the rows of a flow where a new paragraph, item, heading or table row begins."""
    steps = _steps(rows)
    left = min((row.left for row in rows), default=0.0)
    right = max((row.right for row in rows), default=0.0)
    group: list[Row] = []
    for row in rows:
        if group and _begins(row, group, (left, right), steps, body):
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _steps(rows: Sequence[Row]) -> dict[float, float]:
    """The usual distance between two baselines, by font size; a full line shows it best."""
    left, right = min((row.left for row in rows), default=0.0), max((row.right for row in rows), default=0.0)
    found: defaultdict[float, list[float]] = defaultdict(list)
    full: defaultdict[float, list[float]] = defaultdict(list)
    for a, b in pairwise(rows):
        if abs(a.size - b.size) < 0.5 and 0 < b.bottom - a.bottom < 3 * b.size:
            found[round(b.size)].append(b.bottom - a.bottom)
            if a.right > right - 0.15 * (right - left) and not a.text.endswith(ENDS):
                full[round(b.size)].append(b.bottom - a.bottom)
    usual = {size: min(median(steps), 1.6 * size) for size, steps in found.items() if len(steps) > 2}
    return usual | {size: median(steps) for size, steps in full.items() if len(steps) > 2}


def _begins(
    row: Row, group: list[Row], sides: tuple[float, float], steps: dict[float, float], body: Body
) -> bool:
    last = group[-1]
    if "row" in (row.kind, last.kind):
        return True
    step = steps.get(round(row.size), 1.25 * row.size)
    distance = row.bottom - last.bottom
    if distance > NEW_PARAGRAPH * step or distance < -row.size:
        return True
    heading = body.is_heading(last)
    if _restyled(row, last, sides, body):
        return True
    if heading and body.is_heading(row):
        # A title goes on when its line is full, or when it is centred.
        centred = abs(row.left + row.right - last.left - last.right) < row.size and row.left != last.left
        goes_on = centred or _is_full(row, last, sides) or last.text.endswith((",", "-", "–", "—"))
        return bool(NUMBERED.match(row.text)) or not goes_on
    if _is_marked(row, last, sides) or (row.lead and last.text.endswith(ENDS)):
        return True
    return _set_in(row, group) or _after_short(row, last, sides)


def _restyled(row: Row, last: Row, sides: tuple[float, float], body: Body) -> bool:
    difference = abs(row.size - last.size) / last.size
    if difference < 0.08:
        if row.bold == last.bold and row.style[2] == last.style[2]:
            return False
        if not (body.is_heading(last) or body.is_heading(row)):
            return False
        if min(row.size, last.size) >= LARGER * body.size:
            return False  # two lines of a title, a word of which is set in another font
    # A sentence may begin in bold or capitals and go on without, or hold an acronym that fills a line.
    full = last.right > sides[1] - 0.15 * (sides[1] - sides[0])
    goes_on = full and not last.text.endswith(ENDS) and difference < 0.3
    return not (goes_on and (row.text[:1].islower() or row.bold == last.bold))


def _is_marked(row: Row, last: Row, sides: tuple[float, float]) -> bool:
    if BULLET.match(row.text) or row.text.startswith(MARK[0]):
        return True
    if ENUMERATOR.match(row.text):
        full = last.right > sides[1] - 0.1 * (sides[1] - sides[0])
        return last.text.endswith(ENDS) or not full or row.left > last.left + INDENT * row.size
    return False


def _set_in(row: Row, group: list[Row]) -> bool:
    last, first = group[-1], group[0]
    inset = row.left - last.left
    if abs(inset) < INDENT * row.size:
        return False
    if len(group) == 1:
        if first.label and abs(row.left - first.label) < row.size:
            return False  # goes on below its text, not below its marker
        if inset < 0:
            return bool(BULLET.match(first.text)) and last.text.endswith(ENDS) and row.text[:1].isupper()
        marked = BULLET.match(first.text) or ENUMERATOR.match(first.text) or first.text.startswith(MARK[0])
        return not marked and last.text.endswith(ENDS)
    return True


def _is_full(row: Row, last: Row, sides: tuple[float, float]) -> bool:
    """Whether the first word of the row would not have fitted on the line before."""
    word = row.text.split(" ", 1)[0]
    width = (row.right - row.left) * len(word) / max(1, len(row.text))
    return last.right + width + 0.25 * row.size > sides[1] - row.size


def _after_short(row: Row, last: Row, sides: tuple[float, float]) -> bool:
    short = sides[1] - last.right
    width = sides[1] - sides[0]
    if last.text.endswith(ENDS):
        return short > 0.25 * width and not row.text[:1].islower()
    return short > 0.45 * width and row.text[:1].isupper() and not last.text.endswith((",", "-"))


# Blocks


def block_of(group: Sequence[Row], body: Body, page: int) -> tuple[Block, Style]:
    """One paragraph of rows as a block, and the style of its first row."""
    text = join((row.text for row in group), body.words)
    first = group[0]
    kind: Kind = first.kind
    if kind == "paragraph":
        if all(body.is_heading(row) for row in group) and _titles(text, first, body):
            kind = "heading"
        elif BULLET.match(text):
            kind, text = "item", "- " + text[BULLET.match(text).end() :]  # type: ignore[union-attr]
        elif ENUMERATOR.match(text):
            kind = "item"
    return Block(kind, text.strip(), (page, page)), first.style


def _titles(text: str, row: Row, body: Body) -> bool:
    """Whether a text set apart by its font is short enough for a title and no plain sentence."""
    if text[:1].islower():
        return False
    sentence = NUMBERED.match(text) and text.endswith(".")
    if (
        len(text.split()) > (3 if sentence else 1) * HEADING_WORDS
        or BULLET.match(text)
        or CAPTION.match(text)
    ):
        return False
    if text.endswith(("—", "–", ";", ",")):
        return False
    return row.size >= LARGER * body.size or NUMBERED.match(text) is not None or not text.endswith(".")


def join(texts: Iterable[str], words: set[str]) -> str:
    """Join lines; a hyphen at a line's end goes where the halves are no words of the document."""
    parts: list[str] = []
    for text in filter(None, "\n".join(texts).split("\n")):
        last = parts[-1] if parts else ""
        end, before = last[-1:], last[-2:-1]
        if end in "-‐" and before.isalpha() and text[:1].isalpha():
            first = LAST_WORD.search(last[:-1])
            second = re.match(r"[\w-]+", text)
            if first and second and text[0].islower():
                parts[-1] = _hyphenated(last, first[0].casefold(), second[0].casefold(), words)
        elif not ((end in "-‐–" and before.isalnum()) or (end in "/@" and before not in " ")):
            parts.append(" " if parts and not (UNSPACED.match(end) and UNSPACED.match(text)) else "")
        # Numbers, names and addresses keep what they were parted at.
        parts.append(text)
    return "".join(parts)


def _hyphenated(joined: str, first: str, second: str, words: set[str]) -> str:
    part = first.rpartition("-")[2]
    whole, compound = first + second, f"{part}-{second}"
    if whole in words or (compound not in words and not (part in words and second in words)):
        return joined[:-1]
    return joined


# Documents


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
    return _levelled(units)


def without_contents(rows: list[Row], dropped: Counter[str]) -> list[Row]:
    """Drop the rows of a table of contents."""
    listed = contents(rows)
    dropped["contents_line"] += sum(letters(rows[i].text) for i in listed)
    return [row for i, row in enumerate(rows) if i not in listed]


def _is_open_note(block: Block) -> bool:
    return block.kind == "footnote" and not block.text.endswith(ENDS)


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
            return match[1]
        dropped["footnote_mark"] += len(match[1])
        return ""

    return replace(block, text=CALL.sub(resolve, text).strip())


def _levelled(units: list[list[tuple[Block, Style]]]) -> list[list[Block]]:
    headings = [(block.text, style) for unit in units for block, style in unit if block.kind == "heading"]
    often = {text for text, count in Counter(text for text, _ in headings).items() if count >= LABEL}
    depths = _depths(headings)
    arranged = []
    for unit in units:
        blocks: list[Block] = []
        for block, style in unit:
            if block.kind != "heading":
                blocks.append(block)
            elif block.text in often and not NUMBERED.match(block.text):
                blocks.append(replace(block, kind="paragraph"))
            else:
                _add_heading(blocks, replace(block, level=depths[block.text, style]))
        arranged.append(blocks)
    return arranged


def _add_heading(blocks: list[Block], block: Block) -> None:
    last = blocks[-1] if blocks else None
    match = NUMBERED.match(block.text)
    if last and last.kind == "heading" and not match and _names_part(last.text):
        # "CHAPTER TWO" stands above its title.
        blocks[-1] = replace(last, text=f"{last.text} {block.text}")
    elif (
        match
        and match["number"]
        and block.text.endswith(".")
        and len(block.text.split()) > 4
        and not block.text.isupper()
    ):
        # A numbered sentence is text; its number is the heading.
        blocks += [
            replace(block, text=match["number"]),
            Block("paragraph", block.text[match.end() :], block.pages),
        ]
    else:
        blocks.append(block)


def _names_part(text: str) -> bool:
    match = NUMBERED.fullmatch(text.rstrip(".:—– "))
    return bool(match and (match["part"] or match["annex"]))


def _depths(headings: list[tuple[str, Style]]) -> dict[tuple[str, Style], int]:
    """The level of each heading, 1 to 6."""
    numbered = {(text, style): depth for text, style in headings if (depth := _depth(text))}
    known: defaultdict[Style, Counter[int]] = defaultdict(Counter)
    for (_, style), depth in numbered.items():
        known[style][depth] += 1
    usual = {style: depths.most_common(1)[0][0] for style, depths in known.items()}
    largest = {
        depth: max(style[0] for (_, style), d in numbered.items() if d == depth)
        for depth in set(numbered.values())
    }
    ranked = sorted({style for _, style in headings}, reverse=True)
    levels: dict[tuple[str, Style], int] = {}
    for text, style in headings:
        depth = numbered.get((text, style), 0)
        level = depth or usual.get(style)
        if depth and text[0].isdigit() and style[0] <= largest[depth] - 1:  # a list's numbers
            level = depth + 1
        if level is None:
            above = [usual[other] for other in ranked[: ranked.index(style)] if other in usual]
            level = max(above) + 1 if above else 1 if usual else 1 + ranked.index(style)
        levels[text, style] = min(level, 6)
    return levels


def _depth(text: str) -> int:
    match = NUMBERED.match(text)
    if not match:
        return 0
    if match["number"]:
        return len(re.findall(r"\w+", match["number"]))
    return 2 if match["section"] else 1
