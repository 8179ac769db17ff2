"""pdf-oxide: every run of text on a page with its place and font, at over a thousand pages a second."""

import re
from collections import Counter
from functools import lru_cache, partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from stages.errors import FolioError
from stages.option import Option, setting
from stages.pdfium import needs_password, opened
from stages.sheet import Box, Sheet, Span

# Computer Modern and the Nimbus fonts of TeX name their weights BX and Medi.
BOLD = re.compile(r"bold|black|heavy|demi|(?:cm|sf|ec)(?:ss)?bx|-medi(?:ital)?$", re.IGNORECASE)


@setting
class Oxide(Option):
    """Gives spans and drawn rules; `stages.layout` makes columns, tables and headings of them."""

    def __call__(self, path: Path, password: str | None = None) -> list[Sheet]:
        """Return the pages of a PDF; one that cannot be read says why in `problem`.

        Raises:
            FolioError: the file is no PDF, is damaged, or needs another password.
        """
        import pdf_oxide

        pdf_oxide.disable_logging()
        try:
            document = pdf_oxide.PdfDocument(str(path))
            unlocked = password is not None and document.authenticate(password)
            count = document.page_count()
        except Exception as error:
            raise FolioError(_explain(path, str(error))) from error
        boxes = _Boxes(document, _second_reader(path, password))
        sheets = [_sheet(document, index, boxes) for index in range(count)]
        locked = any(warning["category"] == "encryption" for warning in document.structured_warnings())
        if locked and not unlocked and not any(sheet.spans for sheet in sheets):
            raise FolioError(_explain(path, "encrypted"))
        return sheets


def _explain(path: Path, words: str) -> str:
    if "encrypted" in words:
        return needs_password(path)
    return f"{path} cannot be read: {words.removeprefix('Failed to open PDF: ')}"


def _second_reader(path: Path, password: str | None) -> Any:
    try:
        return opened(path, password)
    except FolioError:
        return None


class _Boxes:
    """The left, bottom, right and top of pages, set upright."""

    def __init__(self, document: Any, reader: Any) -> None:
        self._document, self._reader = document, reader
        self._known: dict[tuple[float, float], Box] = {}

    def __call__(self, index: int) -> Box:
        if self._reader is None:
            return self._ask(index)
        # pdf-oxide takes long to tell a box: it is asked once for each size of page.
        try:
            width, height = self._reader.get_page_size(index)
        except RuntimeError:  # PdfiumError: PDFium may miss a page that pdf-oxide finds
            return self._ask(index)
        if (width, height) not in self._known:
            left, bottom, right, top = self._ask(index)
            same = abs(right - left - width) < 1 and abs(top - bottom - height) < 1
            # It misses a box that a page inherits from the page tree.
            self._known[width, height] = (left, bottom, right, top) if same else (0.0, 0.0, width, height)
        return self._known[width, height]

    def _ask(self, index: int) -> Box:
        left, bottom, right, top = self._document.page_media_box(index)
        if self._document.page_rotation(index) % 180:
            return bottom, left, top, right
        return left, bottom, right, top


def _sheet(document: Any, index: int, boxes: _Boxes) -> Sheet:
    try:
        left, bottom, right, top = boxes(index)
        found = sorted(document.extract_spans(index), key=attrgetter("sequence"))
    except Exception as error:  # noqa: BLE001 - as above; the other pages may be sound
        return Sheet(index + 1, 0.0, 0.0, problem=str(error))
    aside = [span for span in found if _is_sideways(span)]
    if 2 * sum(len(span.text) for span in aside) > sum(len(span.text) for span in found):
        return _upright(document, index, found, (left, bottom, right, top))
    spans = []
    for span in found:
        x, y, width, height = span.bbox
        if aside and span in aside:  # a banner up the margin: set above the page, where it tears no text
            x, y = left, top + height
        place = (x - left, top - y - height, x - left + width, top - y)
        spans.append(Span(span.text, *place, span.font_size, _is_bold(span.font_name)))
    rules = partial(_rules, document, index, left, top)
    return Sheet(index + 1, right - left, top - bottom, spans, rules)


@lru_cache(maxsize=256)
def _is_bold(font: str) -> bool:
    return bool(BOLD.search(font))


def _is_sideways(span: Any) -> bool:
    """Whether a run is written up or down an upright page."""
    if len(span.text) < 2:
        return False
    _, _, width, height = span.bbox
    _, _, wide, high = span.page_bbox
    return bool(width > 1.2 * height and high > 1.2 * wide)


def _upright(document: Any, index: int, found: list[Any], page: Box) -> Sheet:
    left, bottom, right, top = page
    turns = Counter(round(char.rotation_degrees) % 360 for char in document.extract_chars(index))
    upwards = turns[90] >= turns[270]
    spans = []
    for span in found:
        x, y, wide, high = span.page_bbox
        start = y - bottom if upwards else top - y - high
        height = x - left if upwards else right - x - wide
        spans.append(
            Span(
                span.text,
                start,
                height,
                start + high,
                height + wide,
                span.font_size,
                _is_bold(span.font_name),
            )
        )
    return Sheet(index + 1, top - bottom, right - left, spans)


def _rules(document: Any, index: int, left: float, top: float) -> list[Box]:
    try:
        drawn = document.extract_rects(index) + document.extract_lines(index)
    except Exception:  # noqa: BLE001 - as above; without its rules a table is read line by line
        return []
    boxes = (rule["bbox"] for rule in drawn)
    return [(x - left, top - y - height, x - left + width, top - y) for x, y, width, height in boxes]
