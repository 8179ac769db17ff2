"""PDFium: the reader that gives a second opinion, and that may read a page better than the first."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from stages.errors import FolioError
from stages.sheet import Sheet, Span

PASSWORD = "FOLIO_PDF_PASSWORD"  # noqa: S105 - the name of the variable that holds it
BOLD = 600  # the weight of a font from which it is bold


def _hyphened(text: str) -> str:
    """Put back the hyphens at line ends, for which PDFium has characters of its own."""
    return text.replace("\x02", "-").replace("\ufffe", "-")


def opened(path: Path, password: str | None) -> Any:
    """Open a PDF; the document is a context manager with the pages by index.

    Raises:
        FolioError: the file is no PDF, is damaged, or needs another password.
    """
    import pypdfium2

    try:
        return pypdfium2.PdfDocument(path, password=password)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise FolioError(needs_password(path)) from error
        raise FolioError(f"{path} cannot be read: {error}") from error


def needs_password(path: Path) -> str:
    """What to do about an encrypted file."""
    return (
        f"{path} is encrypted and needs a password: set {PASSWORD} to it and run "
        "`dvc repro --force --single-item chunk`"
    )


def texts(document: Any) -> Iterator[str]:
    """Yield the plain text of each page; one that cannot be read is empty."""
    import pypdfium2

    for index in range(len(document)):
        try:
            yield _hyphened(document[index].get_textpage().get_text_bounded())
        except pypdfium2.PdfiumError:
            yield ""


def sheets(document: Any, indices: Iterable[int]) -> Iterator[Sheet]:
    """Yield the pages at `indices`, counted from 0; one that cannot be read says why."""
    import pypdfium2

    for index in indices:
        try:
            page = document[index]
            yield Sheet(index + 1, page.get_width(), page.get_height(), list(_spans(page)))
        except pypdfium2.PdfiumError as error:
            yield Sheet(index + 1, 0.0, 0.0, problem=str(error))


def _spans(page: Any) -> Iterator[Span]:
    """Yield a span for each word: PDFium tells the place of a glyph, not of a line."""
    from pypdfium2 import raw

    text = page.get_textpage()
    height = page.get_height()
    # A hyphen at a line's end parts a word that PDFium has joined.
    for word in re.finditer("[^\\s\x02\ufffe]+[\x02\ufffe]?", text.get_text_range()):
        first, last = (
            raw.FPDFText_GetCharIndexFromTextIndex(text, at) for at in (word.start(), word.end() - 1)
        )
        if first < 0 or last < 0:
            continue
        left, bottom, _, top = text.get_charbox(first, loose=True)
        right = text.get_charbox(last, loose=True)[2]
        bold = raw.FPDFText_GetFontWeight(text, first) >= BOLD
        yield Span(
            _hyphened(word[0]), left, height - top, right, height - bottom, max(top - bottom, 1.0), bold
        )
