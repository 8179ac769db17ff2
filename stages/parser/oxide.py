"""pdf-oxide: every run of text on a page with its place and font, at over a thousand pages a second."""

import re
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from stages.errors import FolioError
from stages.option import Option, setting
from stages.pdfium import needs_password
from stages.sheet import Box, Sheet, Span

BOLD = re.compile(r"bold|black|heavy|demi", re.IGNORECASE)


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
        sheets = [_sheet(document, index) for index in range(count)]
        locked = any(warning["category"] == "encryption" for warning in document.structured_warnings())
        if locked and not unlocked and not any(sheet.spans for sheet in sheets):
            raise FolioError(_explain(path, "encrypted"))
        return sheets


def _explain(path: Path, words: str) -> str:
    if "encrypted" in words:
        return needs_password(path)
    return f"{path} cannot be read: {words.removeprefix('Failed to open PDF: ')}"


def _sheet(document: Any, index: int) -> Sheet:
    try:
        left, bottom, right, top = document.page_media_box(index)
        turned = document.page_rotation(index) % 180 != 0
        found = document.extract_spans(index)
    except Exception as error:  # noqa: BLE001 - as above; the other pages may be sound
        return Sheet(index + 1, 0.0, 0.0, problem=str(error))
    if turned:
        left, bottom, right, top = bottom, left, top, right
    spans = []
    for span in sorted(found, key=attrgetter("sequence")):
        x, y, width, height = span.bbox
        bold = bool(BOLD.search(span.font_name))
        place = (x - left, top - y - height, x - left + width, top - y)
        spans.append(Span(span.text, *place, span.font_size, bold))
    rules = partial(_rules, document, index, left, top)
    return Sheet(index + 1, right - left, top - bottom, spans, rules)


def _rules(document: Any, index: int, left: float, top: float) -> list[Box]:
    drawn = document.extract_rects(index) + document.extract_lines(index)
    boxes = (rule["bbox"] for rule in drawn)
    return [(x - left, top - y - height, x - left + width, top - y) for x, y, width, height in boxes]
