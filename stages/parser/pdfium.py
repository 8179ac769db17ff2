"""pypdfium2: the plain text of a PDF, paragraph by paragraph, where the structure misleads."""

import re
from pathlib import Path

from stages.blocks import Block, clean
from stages.errors import FolioError
from stages.option import Option, setting


@setting
class Pdfium(Option):
    """Reads each page as plain text; a blank line ends a paragraph; no knobs."""

    def __call__(self, path: Path) -> list[list[Block]]:
        """Return the paragraphs of each page, page 1 first.

        Raises:
            FolioError: the file is no PDF, is damaged, or needs a password.
        """
        import pypdfium2

        try:
            with pypdfium2.PdfDocument(path) as document:
                texts = [page.get_textpage().get_text_bounded() for page in document]
        except pypdfium2.PdfiumError as error:
            raise FolioError(f"{path} cannot be read: {error}") from error
        return [_paragraphs(text, number) for number, text in enumerate(texts, start=1)]


def _paragraphs(text: str, page: int) -> list[Block]:
    parts = (clean(part) for part in re.split(r"\r?\n\s*\r?\n", text))
    return [Block("paragraph", part, (page, page)) for part in parts if part]
