"""Lines of text: what stands on one baseline of a page without a wide gap."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from stages.sheet import Sheet, Span

# Two pieces of text share a line when their middles are this close, as a share of the font size.
SAME_LINE = 0.4
# A wider gap than this (in font sizes) parts two columns, two cells, or a label and its text.
WIDE = 0.9
# A narrower one is no blank between words.
NARROW = 0.13
# A smaller font than this share of its line is a raised or lowered mark.
SMALL = 0.78
# A larger font than this share of the page's is an initial over several lines.
DROP_CAP = 2.2
MOST_MARKS = 300  # on a page: more of them are a picture's labels
MARK_LENGTH = 4  # characters in such a mark, at most
# What stands around a small number within a line until it is known whether it calls a footnote.
MARK = "\x01\x02"
INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff\x00-\x08\x0e-\x1f]")
BLANKS = re.compile(r"\s+")
NO_LETTER = re.compile(r"[\W_]+")


@dataclass(slots=True)
class Placed:
    """A text and where it stands; lengths in points from the page's top left corner."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    size: float  # of the font
    bold: bool


@dataclass(slots=True)
class Line(Placed):
    """A run of text between two wide gaps."""

    row: bool = False  # a row of a table: its cells are parted by bars
    lead: bool = False  # begins in bold and goes on without
    middle: float = field(init=False)  # its height on the page

    def __post_init__(self) -> None:
        self.middle = (self.top + self.bottom) / 2


def clean(text: str) -> str:
    """Normalise to NFKC (which resolves ligatures), drop invisible characters, fold white space."""
    if text.isascii():
        if text.isprintable():
            return text if "  " not in text else BLANKS.sub(" ", text)
    else:
        text = unicodedata.normalize("NFKC", text)
    return BLANKS.sub(" ", INVISIBLE.sub("", text))


def letters(text: str) -> int:
    """The letters and digits in a text: what no joining or trimming changes."""
    return len(NO_LETTER.sub("", text))


def lines(sheet: Sheet, cuts: Sequence[float] = ()) -> list[Line]:
    """The lines of a page, from top to bottom and then from left to right.

    No line goes on over one of `cuts`, in points from the left, that stands between two spans.
    """
    found: list[Line] = []
    for row in _rows(_usable(_turned(sheet))):
        found += _joined(row, cuts)
    return found


def _turned(sheet: Sheet) -> Sheet:
    """A page of vertical writing on its side: its columns, from right to left, become lines.

    The reader gives a column the top of its first sign and a right end before the left one.
    """
    down = sum(len(span.text) for span in sheet.spans if span.right < span.left)
    if down * 2 <= sum(len(span.text) for span in sheet.spans):
        return sheet
    spans = [
        Span(
            s.text,
            s.top,
            sheet.width - s.left,
            s.top + len(s.text) * s.size,
            sheet.width - s.left + s.size,
            *s[5:],
        )
        for s in sheet.spans
    ]
    return replace(sheet, width=sheet.height, height=sheet.width, spans=spans)


def _usable(sheet: Sheet) -> list[Span]:
    """The spans that hold text, each once, without the room that blanks at their ends take."""
    spans: dict[tuple[str, int, int], Span] = {}
    for span in _without_drop_caps(sheet.spans):
        text, left, top, right, bottom, size, bold = span
        text = clean(text)
        if text in ("", " "):
            continue
        if size > sheet.height or size <= 0:  # a broken font matrix
            size = 10.0
        if bottom - top > 3 * size:
            top = bottom - size
        if right < left:  # vertical writing: a column that runs down from here
            right = left + size
        if text[0] == " ":
            left += _width(span.text, leading=True) * size
        if text[-1] == " ":
            right -= _width(span.text, leading=False) * size
        # The blanks at the ends stay in the text: they part words.
        spans.setdefault(
            (text, int(left), int(top)), Span(text, left, top, max(left, right), bottom, size, bold)
        )
    return _levelled(list(spans.values()))


def _levelled(spans: list[Span]) -> list[Span]:
    """Set raised and lowered marks level with the text that they follow."""
    if not spans:
        return spans
    small = SMALL * median(span.size for span in spans)
    marks = [i for i, span in enumerate(spans) if span.size < small and len(span.text) <= MARK_LENGTH]
    for i in marks if len(marks) <= MOST_MARKS else ():
        mark = spans[i]
        middle = (mark.top + mark.bottom) / 2
        for span in spans:
            gap = mark.left - span.right
            if (
                span.size > mark.size
                and -1 < gap < NARROW * 3 * span.size
                and span.top - 2 < middle < span.bottom + 2
            ):
                shift = (span.top + span.bottom) / 2 - middle
                spans[i] = mark._replace(top=mark.top + shift, bottom=mark.bottom + shift)
                break
    return spans


def _width(text: str, leading: bool) -> float:
    rest = text.lstrip() if leading else text.rstrip()
    return 0.25 * (len(text) - len(rest))


def _without_drop_caps(spans: Sequence[Span]) -> Sequence[Span]:
    """Put an initial that is several lines tall on its first line, and the lines beside it in place.

    The reader sets runs beside the initial on the initial's own baseline; such a run belongs to the
    line of the run that is drawn after it.
    """
    sizes = [span.size for span in spans if len(span.text) > 20]
    if not sizes:
        return spans
    tall = DROP_CAP * median(sizes)
    placed = list(spans)
    for i, cap in enumerate(spans):
        if cap.size > tall and len(cap.text.strip()) == 1 and cap.text.strip().isupper():
            _set_beside(placed, i)
    return placed


def _set_beside(spans: list[Span], at: int) -> None:
    cap = spans[at]
    beside: list[Span] = []
    for i in range(len(spans) - 2, -1, -1):
        span, after = spans[i], spans[i + 1]
        level = abs(span.bottom - cap.bottom) < 1 and span.left > cap.left
        if level and span.size < cap.size / DROP_CAP and abs(after.left - span.right) < span.size:
            spans[i] = span._replace(top=after.bottom - span.size, bottom=after.bottom)
            beside.append(spans[i])
    if beside:
        first = min(beside, key=lambda span: (span.bottom, span.left))
        place = (cap.left, first.top, first.left, first.bottom)
        spans[at] = Span(cap.text.strip(), *place, first.size, cap.bold)


def _rows(spans: list[Span]) -> Iterable[list[Span]]:
    """Group spans whose middles are level with the row's widest span."""
    row: list[Span] = []
    middle = size = 0.0
    for span in sorted(spans, key=lambda span: span.top + span.bottom):
        own = (span.top + span.bottom) / 2
        reach = SAME_LINE * min(max(size, span.size), 2 * min(size, span.size))
        if row and own - middle <= reach:
            row.append(span)
            if span.size > size:
                middle, size = own, span.size
            continue
        if row:
            yield row
        row, middle, size = [span], own, span.size
    if row:
        yield row


def _joined(row: list[Span], cuts: Sequence[float]) -> list[Line]:
    row.sort(key=lambda span: span.left)
    found: list[Line] = []
    run: list[Span] = []
    right = 0.0
    for span in row:
        size = max(span.size, run[-1].size) if run else span.size
        gap = span.left - right
        if run and gap < -size and len(span.text.strip()) <= 2 and span.right < run[-1].right:
            run[-1] = _inserted(run[-1], span)
            continue
        cut = cuts and any(right - 1 <= x <= span.left + 1 for x in cuts)
        if run and (gap > WIDE * size or gap < -size or cut):
            found.append(_line(run))
            run = []
        run.append(span)
        right = max(right, span.right) if len(run) > 1 else span.right
    found.append(_line(run))
    return found


def _inserted(span: Span, mark: Span) -> Span:
    """A degree sign or the like, drawn over the blank that was left for it."""
    at = round(len(span.text) * (mark.left - span.left) / (span.right - span.left))
    blanks = [i for i in range(max(0, at - 2), min(len(span.text), at + 3)) if span.text[i] == " "]
    if blanks:
        at = min(blanks, key=lambda i: abs(i - at))
    return span._replace(text=span.text[:at] + mark.text.strip() + span.text[at + bool(blanks) :])


def _line(run: list[Span]) -> Line:
    if len(run) == 1:
        span = run[0]
        return Line(span.text.strip(), span.left, span.top, span.right, span.bottom, span.size, span.bold)
    main = max(run, key=lambda span: len(span.text) * (span.size > 0))
    text = ""
    right = run[0].left
    for span in run:
        piece = span.text
        if span.size < SMALL * main.size and piece.strip().isdigit():
            piece = f"{MARK[0]}{piece.strip()}{MARK[1]}"
        elif text and span.left - right > NARROW * span.size and not text.endswith(" "):
            text += " "
        text += piece
        right = max(right, span.right)
    letters = sum(len(span.text) for span in run)
    bold = sum(len(span.text) for span in run if span.bold) > 0.95 * letters
    top, bottom = min(span.top for span in run), max(span.bottom for span in run)
    text = BLANKS.sub(" ", text).strip()
    return Line(text, run[0].left, top, right, bottom, main.size, bold, lead=run[0].bold and not bold)
