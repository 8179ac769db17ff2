"""pypdfium2: the text of a PDF line by line, without fonts, for a file that the default misreads."""

from pathlib import Path

from stages.option import Option, setting
from stages.pdfium import opened, sheets
from stages.sheet import Sheet


@setting
class Pdfium(Option):
    """Gives a span for each piece of a line; size and numbering alone tell headings."""

    def __call__(self, path: Path, password: str | None = None) -> list[Sheet]:
        """Return the pages of a PDF; one that cannot be read says why in `problem`.

        Raises:
            FolioError: the file is no PDF, is damaged, or needs another password.
        """
        with opened(path, password) as document:
            return list(sheets(document, range(len(document))))
