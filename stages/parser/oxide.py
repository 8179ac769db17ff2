"""pdf-oxide: headings, lists and tables of a PDF at hundreds of pages a second."""

from pathlib import Path

from stages.blocks import Block, from_markdown
from stages.errors import FolioError
from stages.option import Option, setting


@setting
class Oxide(Option):
    """Reads each page as Markdown; no knobs."""

    def __call__(self, path: Path) -> list[list[Block]]:
        """Return the blocks of each page, page 1 first.

        Raises:
            FolioError: the file is no PDF, is damaged, or needs a password.
        """
        import pdf_oxide

        pdf_oxide.disable_logging()
        try:
            document = pdf_oxide.PdfDocument(str(path))
            pages = range(document.page_count())
            return [list(from_markdown(document.to_markdown(n), n + 1)) for n in pages]
        except Exception as error:  # the native library raises a type of its own per failure
            raise FolioError(f"{path} cannot be read: {error}") from error
