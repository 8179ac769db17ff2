"""Tesseract: the words of a scanned page and where they stand."""

import math
import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from stages.errors import FolioError
from stages.option import Option, setting
from stages.pdfium import opened
from stages.sheet import Sheet, Span

if TYPE_CHECKING:
    import numpy

# A page may claim any size: A4 at 600 dpi is below the first, and tesseract refuses more than the second.
MOST_PIXELS = 36_000_000
LONGEST_SIDE = 32_000
LINE = re.compile(r"bbox (\d+) (\d+) (\d+) (\d+);.* x_size ([\d.]+)")
WORD = re.compile(r"x_wconf (\d+)")
ROTATE = re.compile(rb"^Rotate: (90|180|270)$", re.MULTILINE)


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
        languages = self.language.split("+")
        if shutil.which("tesseract") is None:
            raise FolioError(f"ocr=tesseract needs the tesseract program: {_install(languages)}")
        command = ["tesseract", "--list-langs"]
        listed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout
        if missing := [name for name in languages if name not in listed.splitlines()]:
            raise FolioError(
                f"ocr.language={self.language}: tesseract has no {' and no '.join(missing)} here: "
                f"{_install(missing)}"
            )

    def __call__(self, path: Path, pages: Sequence[int], password: str | None = None) -> list[Sheet]:
        """Return these pages of a PDF (1 is the first); `problem` says why one could not be read.

        A page that lies on its side or upside down is turned, width and height with it.

        Raises:
            FolioError: tesseract is not installed, or the file cannot be opened.
        """
        self.check()
        with opened(path, password) as document:
            return [self._sheet(document, number) for number in pages]

    def _sheet(self, document: Any, number: int) -> Sheet:
        import pypdfium2

        try:
            image, scale = draw_image(document, number, self.dpi)
        except pypdfium2.PdfiumError as error:
            return Sheet(number, 0, 0, problem=f"it cannot be drawn: {error}")
        try:
            return self._read(image, scale, number)
        except subprocess.TimeoutExpired:
            problem = f"tesseract took longer than ocr.seconds={self.seconds:g}"
        except subprocess.CalledProcessError as error:
            words = error.stderr.decode(errors="replace").split()
            problem = f"tesseract failed: {' '.join(words)[:200]}"
        height, width = image.shape
        return Sheet(number, width / scale, height / scale, problem=problem)

    def _read(self, image: "numpy.ndarray", scale: float, number: int) -> Sheet:
        import numpy

        deadline = time.monotonic() + self.seconds
        command = ["tesseract", "stdin", "stdout", "--dpi", str(max(70, round(72 * scale)))]
        ocr = [*command, "-l", self.language, "hocr"]
        spans, confidence = _lines(_run(ocr, image, deadline), scale)
        if spans and (confidence < self.confidence or _sideways(spans)):
            turn = _turn(_run([*command, "--psm", "0"], image, deadline, check=False))
            if turn:
                image = numpy.rot90(image, turn)
                spans, confidence = _lines(_run(ocr, image, deadline), scale)
        height, width = image.shape
        sheet = Sheet(number, width / scale, height / scale, spans)
        if spans and confidence < self.confidence:
            sheet.spans = []
            sheet.problem = (
                f"tesseract is unsure of its words (their mean is below ocr.confidence={self.confidence:g}): "
                f"is ocr.language={self.language} right?"
            )
        return sheet


def _install(languages: Sequence[str]) -> str:
    packages = [f"tesseract-ocr-{name.replace('_', '-')}" for name in languages if "/" not in name]
    return f"apt-get install {' '.join(['tesseract-ocr', *packages])} (macOS: brew install tesseract-lang)"


def draw_image(document: Any, number: int, dpi: int) -> "tuple[numpy.ndarray, float]":
    """Return a page as grey values [height, width] and its pixels per point."""
    page = document[number - 1]
    width, height = (max(side, 1.0) for side in page.get_size())
    most = min(math.sqrt(MOST_PIXELS / (width * height)), LONGEST_SIDE / max(width, height))
    scale = min(dpi / 72, most)
    image = page.render(scale=scale, grayscale=True).to_numpy()
    page.close()
    return image, scale


def _run(command: list[str], image: "numpy.ndarray", deadline: float, check: bool = True) -> bytes:
    height, width = image.shape
    pixels = b"P5 %d %d 255\n" % (width, height) + image.tobytes()
    # Several threads wait for each other more than they work: a page took four times as long.
    environment = os.environ | {"OMP_THREAD_LIMIT": "1"}
    left = deadline - time.monotonic()
    done = subprocess.run(
        command, input=pixels, capture_output=True, env=environment, timeout=left, check=check
    )
    return done.stdout


def _lines(hocr: bytes, scale: float) -> tuple[list[Span], float]:
    """Return a span for each line, in tesseract's order, and the mean confidence of the words.

    hOCR, since its lines carry an estimate of their font's size; a line's own height depends on
    its letters.
    """
    from lxml import etree

    spans: list[Span] = []
    confidences: list[int] = []
    parser = etree.XMLParser(recover=True, resolve_entities=False)
    for element in etree.fromstring(hocr, parser).iter("{*}span"):
        line = LINE.search(element.get("title", ""))
        if not line:
            continue
        words = [
            (text, int(sure[1]))
            for word in element
            if (text := "".join(word.itertext()).strip()) and (sure := WORD.search(word.get("title", "")))
        ]
        if words:
            left, top, right, bottom, size = (float(length) / scale for length in line.groups())
            spans.append(Span(" ".join(text for text, _ in words), left, top, right, bottom, size))
            confidences += [sure for _, sure in words]
    return spans, fmean(confidences) if confidences else 0.0


def _sideways(spans: Sequence[Span]) -> bool:
    tall = sum(len(span.text) for span in spans if span.bottom - span.top > span.right - span.left)
    return tall > sum(len(span.text) for span in spans) / 2


def _turn(report: bytes) -> int:
    """The quarter turns, anticlockwise, that set an image upright; 0 where tesseract cannot tell."""
    found = ROTATE.search(report)
    return (360 - int(found[1])) // 90 if found else 0
