"""Tesseract: the words of a scanned page and where they stand."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from stages.errors import FolioError
from stages.option import Option, setting
from stages.sheet import Sheet, Span

if TYPE_CHECKING:
    import numpy

# A page may claim any size; A4 at 600 dpi stays below the first, tesseract reads up to the second.
MOST_PIXELS = 36_000_000
LONGEST_SIDE = 32_000
# As many threads as there are cores make it slower, and the workers keep the cores busy anyway.
ENVIRONMENT = {"OMP_THREAD_LIMIT": "1"}


@setting
class Tesseract(Option):
    """Draws each page and gives one span per line that the tesseract program finds in the image."""

    language: str = Field(pattern=r"^(script/)?\w+(\+(script/)?\w+)*$")
    dpi: int = Field(ge=72, le=600)
    seconds: float = Field(gt=0)
    confidence: float = Field(ge=0, le=100)

    remedy: ClassVar[str] = "tesseract finds no words on them"
    """What is to be said of the pages that still have no text."""

    def check(self) -> None:
        """The program must be installed, with every language."""
        if shutil.which("tesseract") is None:
            raise FolioError(f"ocr=tesseract needs the tesseract program: {self._remedy(self._languages)}")
        listed = subprocess.run(
            ["tesseract", "--list-langs"], capture_output=True, text=True, check=False, timeout=30
        )
        installed = set(listed.stdout.splitlines())
        if missing := [language for language in self._languages if language not in installed]:
            raise FolioError(
                f"ocr.language={self.language}: tesseract has no {', '.join(missing)} here: "
                f"{self._remedy(missing)}"
            )

    @property
    def _languages(self) -> list[str]:
        return self.language.split("+")

    @staticmethod
    def _remedy(languages: Sequence[str]) -> str:
        packages = [f"tesseract-ocr-{name.replace('_', '-')}" for name in languages if "/" not in name]
        return f"apt-get install {' '.join(['tesseract-ocr', *packages])} (macOS: brew install tesseract-lang)"

    def __call__(self, path: Path, pages: Sequence[int], password: str | None = None) -> list[Sheet]:
        """Return the pages of a PDF, the first page being 1; `problem` says why one could not be read.

        Raises:
            FolioError: tesseract is not installed, or the file cannot be opened.
        """
        import pypdfium2

        self.check()
        try:
            with pypdfium2.PdfDocument(path, password=password) as document:
                return [self._sheet(document, number) for number in pages]
        except pypdfium2.PdfiumError as error:
            raise FolioError(f"{path} cannot be read: {error}") from error

    def _sheet(self, document: Any, number: int) -> Sheet:
        import pypdfium2

        try:
            image, scale = _draw(document, number, self.dpi)
        except pypdfium2.PdfiumError as error:
            return Sheet(number, 0, 0, problem=f"cannot be drawn: {error}")
        try:
            return self._read(image, scale, number)
        except subprocess.TimeoutExpired:
            problem = f"tesseract took longer than {self.seconds:g} s"
        except subprocess.CalledProcessError as error:
            words = error.stderr.decode(errors="replace").split()
            problem = f"tesseract failed: {' '.join(words)[:200]}"
        height, width = (side / scale for side in image.shape)
        return Sheet(number, width, height, problem=problem)

    def _read(self, image: "numpy.ndarray", scale: float, number: int) -> Sheet:
        """Read an image, and once more upright where it makes no sense or its lines run up or down."""
        import numpy

        page = _Run(self.language, scale, time.monotonic() + self.seconds)
        spans, confidence = _lines(page(image, "hocr"), scale)
        turned = 0
        if spans and (confidence < self.confidence or _sideways(spans)):
            turned = _rotation(page(image, "--psm", "0"))
        if turned:
            image = numpy.rot90(image, -turned // 90)
            spans, confidence = _lines(page(image, "hocr"), scale)
        height, width = (side / scale for side in image.shape)
        sheet = Sheet(number, width, height, spans)
        if spans and confidence < self.confidence:
            sheet.spans = []
            sheet.problem = (
                f"tesseract is unsure of its words (mean confidence {confidence:.0f}, "
                f"ocr.confidence={self.confidence:g}): is ocr.language={self.language} right?"
            )
        return sheet
