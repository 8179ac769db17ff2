"""No OCR: a page without a text layer is reported."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from stages.option import Option, setting
from stages.sheet import Sheet


@setting
class NoOcr(Option):
    """Reads nothing; no knobs."""

    remedy: ClassVar[str] = "run with ocr=tesseract"
    """What is to be said of the pages that still have no text."""

    def __call__(self, path: Path, pages: Sequence[int], password: str | None = None) -> list[Sheet]:
        """Return no page."""
        return []
