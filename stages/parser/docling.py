"""docling: layout and table models that find headings, lists, tables and footnotes where rules fail."""

import importlib.util
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from stages.blocks import Block
from stages.errors import FolioError
from stages.lines import clean
from stages.option import Option, setting
from stages.pdfium import opened
from stages.sheet import Sheet

if TYPE_CHECKING:
    from docling.document_converter import DocumentConverter
    from docling_core.types.doc import DocItem, DoclingDocument, TableItem


@setting
class Docling(Option):
    """Gives blocks; page headers and footers, and what is written within pictures, are left out.

    Pages without a text layer stay empty: reading them is `ocr`'s work.
    """

    models: str | None

    def check(self) -> None:
        """Docling must be installed, and the folder of models there if one is named."""
        if importlib.util.find_spec("docling") is None:
            raise FolioError("parser=docling needs docling: pip install -e '.[docling]', or set parser=oxide")
        if self.models is not None and not Path(self.models).is_dir():
            raise FolioError(
                f"parser.models={self.models} is no folder; fill one with `docling-tools models download -o "
                f"{self.models}`, or set null"
            )

    def __call__(self, path: Path, password: str | None = None) -> list[Sheet]:
        """Return the pages of a PDF; one that cannot be read says why in `problem`.

        Raises:
            FolioError: docling or its models are missing, or the file is no PDF, is damaged, or needs
                another password.
        """
        self.check()
        converter = _converter(self.models, password)
        try:
            result = converter.convert(path, raises_on_error=False)
        except Exception as error:  # docling passes on whatever its libraries raise
            raise FolioError(f"{path} cannot be read: {_last_line(error)}") from error
        problems = {failure.page_no: failure.error_message for failure in result.errors}
        if result.status.value not in ("success", "partial_success"):
            opened(path, password).close()  # tells a missing password from damage, docling does not
            raise FolioError(f"{path} cannot be read: {'; '.join(problems.values())}")
        return to_sheets(result.document, result.input.page_count, problems)


@lru_cache(maxsize=1)
def _converter(models: str | None, password: str | None) -> "DocumentConverter":
    try:
        return _loaded(models, password)
    except Exception as error:  # as above; a missing package or an unreachable hub among them
        raise FolioError(
            f"parser=docling cannot load its models: {_last_line(error)}; without a network fill a folder by "
            "`docling-tools models download -o FOLDER` elsewhere and set parser.models to it"
        ) from error


def _loaded(models: str | None, password: str | None) -> "DocumentConverter":
    """What reads PDFs, its models loaded; that takes seconds."""
    from docling.datamodel.backend_options import ThreadedDoclingParseBackendOptions
    from docling.datamodel.base_models import InputFormat
    from docling.datamodel.pipeline_options import PdfPipelineOptions
    from docling.document_converter import DocumentConverter, PdfFormatOption
    from pydantic import SecretStr

    secret = SecretStr(password) if password is not None else None
    option = PdfFormatOption(
        pipeline_options=PdfPipelineOptions(artifacts_path=models, do_ocr=False),
        backend_options=ThreadedDoclingParseBackendOptions(password=secret),
    )
    converter = DocumentConverter(allowed_formats=[InputFormat.PDF], format_options={InputFormat.PDF: option})
    converter.initialize_pipeline(InputFormat.PDF)
    return converter


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def to_sheets(
    document: "DoclingDocument", pages: int, problems: dict[int | None, str] | None = None
) -> list[Sheet]:
    """Return one sheet per page, its blocks in reading order.

    A paragraph that docling joined over a page end stands on its first page. The levels of headings
    are docling's, one deeper where the document has a title.

    Args:
        document: the items that docling found.
        pages: of the file, also those that are missing from `document`.
        problems: why a page is missing; under None for those that have no reason of their own.
    """
    blocks: defaultdict[int, list[Block]] = defaultdict(list)
    items = [item for item, _ in document.iterate_items() if item.prov]
    titled = any(item.label.value == "title" for item in items)
    for item in items:
        blocks[item.prov[0].page_no] += _blocks(item, titled)
    return [_sheet(document, number, blocks[number], problems or {}) for number in range(1, pages + 1)]


def _sheet(
    document: "DoclingDocument", number: int, blocks: list[Block], problems: dict[int | None, str]
) -> Sheet:
    page = document.pages.get(number)
    if page is None:
        why = problems.get(number) or problems.get(None) or "docling gave no such page"
        return Sheet(number, 0, 0, blocks=blocks, problem=why)
    why = "" if blocks else problems.get(number, "")
    return Sheet(number, page.size.width, page.size.height, blocks=blocks, problem=why)


def _blocks(item: "DocItem", titled: bool) -> Iterator[Block]:
    pages = item.prov[0].page_no, item.prov[-1].page_no
    label = item.label.value
    if label in ("table", "document_index"):
        yield from (Block("row", row, pages) for row in _rows(item))
        return
    # A formula has its letters in `orig` alone; a picture has none.
    text = _tidy(getattr(item, "text", "") or getattr(item, "orig", ""))
    if not text:
        return
    match label:
        case "title":
            yield Block("heading", text, pages, 1)
        case "section_header":
            yield Block("heading", text, pages, min(item.level + titled, 6))
        case "list_item":
            yield Block("item", f"{item.marker if item.enumerated else '-'} {text}", pages)
        case "footnote":
            yield Block("footnote", text, pages)
        case _:
            yield Block("paragraph", text, pages)


def _rows(table: "TableItem") -> Iterator[str]:
    """The cells between bars; one over several rows or columns stands in the first alone."""
    for i, cells in enumerate(table.data.grid):
        starts = [(cell.start_row_offset_idx, cell.start_col_offset_idx) for cell in cells]
        texts = [_tidy(cell.text) if starts[j] == (i, j) else "" for j, cell in enumerate(cells)]
        if any(texts):
            yield _tidy(" | ".join(texts))


def _tidy(text: str) -> str:
    return clean(text).strip()
