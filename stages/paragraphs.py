"""Paragraphs: the rows that belong together, and how their lines become one text."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from stages.blocks import Block, Kind
from stages.lines import MARK, Line
from stages.numbering import BULLET, CAPTION, ENUMERATOR, NUMBERED
from stages.rows import Row, Style

ENDS = (".", "!", "?", ":", ";", ".”", '."', "?”", ".)", "。", "．", "！", "？")
LARGER = 1.12  # times the body's size: a heading's font
HEADING_WORDS = 25  # at most
NEW_PARAGRAPH = 1.3  # times the usual distance between baselines
INDENT = 0.7  # font sizes by which a first line is set in
# Kana, Han and their punctuation: written without blanks between words.
UNSPACED = re.compile("[\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef]")
ADDRESS = re.compile(r"(?:://|www\.|@)\S*$")
LAST_WORD = re.compile(r"(?<![\w-])[\w-]+$")
INNER_WORD = re.compile(r"(?<=[^\w\n-])[\w-]+(?=[^\w\n-])")


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
            address = ADDRESS.search(last)
            if first and second and text[0].islower() and not address:
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
