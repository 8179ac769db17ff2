"""The plain readers beside which the chunk stage is measured: python benchmarks/readers.py NAME FILE...

Each reads the text of every page, with two processes. Run by path, it needs nothing of this project,
so that an environment of its own may hold the libraries.
"""

import multiprocessing
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

PACKAGES = {
    "pdf-oxide": "pdf_oxide",
    "pypdf": "pypdf",
    "pdfminer.six": "pdfminer",
    "docling-parse": "docling_parse",
}


def tried(read: Callable[[], str]) -> int:
    """Characters read; none where the reader fails."""
    try:
        return len(read())
    except Exception:  # noqa: BLE001 - each library has types of its own
        return 0


def oxide(path: str) -> int:
    import pdf_oxide

    pdf_oxide.disable_logging()
    document = pdf_oxide.PdfDocument(path)
    return sum(tried(partial(document.to_markdown, n)) for n in range(document.page_count()))


def pypdf(path: str) -> int:
    import pypdf

    return sum(tried(page.extract_text) for page in pypdf.PdfReader(path).pages)


def pdfminer(path: str) -> int:
    from pdfminer.high_level import extract_text

    return tried(partial(extract_text, path))


def docling(path: str) -> int:
    from docling_parse.pdf_parser import DoclingPdfParser

    document = DoclingPdfParser(loglevel="fatal").load(path)
    return sum(len(cell.text) for _, page in document.iterate_pages() for cell in page.textline_cells)


READERS: dict[str, Callable[[str], int]] = dict(zip(PACKAGES, (oxide, pypdf, pdfminer, docling), strict=True))


def main() -> None:
    name, *files = sys.argv[1:]
    # The heaviest first, so that neither process waits long for the other.
    files.sort(key=lambda file: -Path(file).stat().st_size)
    with multiprocessing.Pool(2) as pool:
        characters = sum(pool.imap_unordered(READERS[name], files))
    if not characters:
        sys.exit(f"{name} found no text")


if __name__ == "__main__":
    main()
