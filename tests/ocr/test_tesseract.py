import re
import shutil
from collections import Counter
from pathlib import Path

import pypdfium2
import pytest

from stages.errors import FolioError
from stages.ocr.none import NoOcr
from stages.ocr.tesseract import LONGEST_SIDE, MOST_PIXELS, Tesseract, draw_image
from stages.sheet import Sheet
from tests.imports import ROOT

MANUAL = ROOT / "data/raw/nist-sp-800-61r2.pdf"
HEADING = "2.3.4.2 Law Enforcement"  # stands on page 20
PAGE = (612.0, 792.0)

installed = pytest.mark.skipif(
    shutil.which("tesseract") is None,
    reason="the tesseract program is missing: apt-get install tesseract-ocr",
)


def reader(**settings: float | str) -> Tesseract:
    values = {"language": "eng", "dpi": 300, "seconds": 60.0, "confidence": 50.0} | settings
    return Tesseract(name="tesseract", **values)


def draw(page: int, rotation: int = 0) -> pypdfium2.PdfBitmap:
    with pypdfium2.PdfDocument(MANUAL) as document:
        return document[page - 1].render(scale=200 / 72, grayscale=True, rotation=rotation)


def put(page: pypdfium2.PdfPage, bitmap: pypdfium2.PdfBitmap, place: pypdfium2.PdfMatrix) -> None:
    image = pypdfium2.PdfImage.new(page.pdf)
    image.set_bitmap(bitmap)
    image.set_matrix(place)
    page.insert_obj(image)
    page.gen_content()


def scan(path: Path, bitmap: pypdfium2.PdfBitmap, size: tuple[float, float]) -> Path:
    with pypdfium2.PdfDocument.new() as document:
        put(document.new_page(*size), bitmap, pypdfium2.PdfMatrix().scale(*size))
        document.save(path)
    return path


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.lower()))


def text_layer(page: int) -> Counter[str]:
    with pypdfium2.PdfDocument(MANUAL) as document:
        return words(document[page - 1].get_textpage().get_text_bounded())


def found(sheet: Sheet) -> Counter[str]:
    return words(" ".join(span.text for span in sheet.spans))


@installed
def test_a_scanned_page_gives_its_words_in_lines_and_in_place(tmp_path: Path) -> None:
    path = scan(tmp_path / "scan.pdf", draw(20), PAGE)
    with pypdfium2.PdfDocument(path) as document:
        assert document[0].get_textpage().count_chars() == 0
    (sheet,) = reader()(path, [1])
    assert (sheet.number, sheet.problem) == (1, "")
    assert (sheet.width, sheet.height) == pytest.approx(PAGE, abs=1)
    expected = text_layer(20)
    assert (found(sheet) & expected).total() / expected.total() > 0.97
    # Where PDFium finds the heading's first and last letter, from the top left; it is set in 11 points.
    (heading,) = (span for span in sheet.spans if span.text == HEADING)
    assert heading[1:5] == pytest.approx((72.3, 292.8, 206.7, 300.7), abs=2)
    assert 8 < heading.size < 13


@installed
def test_the_columns_of_a_page_share_no_line(tmp_path: Path) -> None:
    # Two pages without their margins (72 points), side by side with a gutter of 24 points.
    size, column = (960.0, 792.0), 468.0
    path = tmp_path / "columns.pdf"
    with pypdfium2.PdfDocument(MANUAL) as source, pypdfium2.PdfDocument.new() as document:
        page = document.new_page(*size)
        for index, left in ((19, 0.0), (29, column + 24)):
            half = source[index].render(scale=200 / 72, grayscale=True, crop=(72, 0, 72, 0))
            put(page, half, pypdfium2.PdfMatrix().scale(column, 792).translate(left, 0))
        document.save(path)
    (sheet,) = reader()(path, [1])
    assert not [span.text for span in sheet.spans if span.left < column and span.right > column + 24]
    expected = text_layer(20) + text_layer(30)
    assert (found(sheet) & expected).total() / expected.total() > 0.95


@installed
@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_page_that_lies_on_its_side_or_its_head_is_turned(tmp_path: Path, rotation: int) -> None:
    size = PAGE if rotation == 180 else PAGE[::-1]
    path = scan(tmp_path / "turned.pdf", draw(20, rotation), size)
    (sheet,) = reader()(path, [1])
    assert (sheet.width, sheet.height) == pytest.approx(PAGE, abs=1)
    (heading,) = (span for span in sheet.spans if span.text == HEADING)
    assert (heading.left, heading.top) == pytest.approx((72.3, 292.8), abs=3)


@installed
def test_an_unsure_page_and_a_slow_one_say_why_and_an_empty_one_is_empty(tmp_path: Path) -> None:
    path = scan(tmp_path / "scan.pdf", draw(20), PAGE)
    (unsure,) = reader(confidence=100.0)(path, [1])
    assert not unsure.spans
    assert re.search(r"unsure .*below ocr\.confidence=100\).*ocr\.language=eng", unsure.problem)
    (slow,) = reader(seconds=0.001)(path, [1])
    assert (slow.spans, slow.problem) == ([], "tesseract took longer than ocr.seconds=0.001")
    with pypdfium2.PdfDocument.new() as document:
        document.new_page(*PAGE)
        document.save(path)
    (empty,) = reader()(path, [1])
    assert (empty.spans, empty.problem) == ([], "")


@installed
def test_a_missing_language_and_a_damaged_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(FolioError, match=r"ocr.language=eng\+tlh_x: .* no tlh_x .* tesseract-ocr-tlh-x"):
        reader(language="eng+tlh_x").check()
    reader().check()
    path = tmp_path / "bad.pdf"
    path.write_bytes(b"%PDF-1.7 and then nothing of use")
    with pytest.raises(FolioError, match=r"bad\.pdf cannot be read"):
        reader()(path, [1])


@pytest.mark.parametrize("size", [(14_400.0, 14_400.0), (14_400.0, 3.0), (0.5, 0.5)])
def test_a_page_of_any_size_gives_an_image_of_bounded_size(size: tuple[float, float]) -> None:
    with pypdfium2.PdfDocument.new() as document:
        document.new_page(*size)
        image, scale = draw_image(document, 1, 600)
    assert image.size <= 1.01 * MOST_PIXELS
    assert max(image.shape) <= LONGEST_SIDE + 1
    assert 0 < scale <= 600 / 72


def test_without_the_program_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FolioError, match=r"apt-get install tesseract-ocr tesseract-ocr-deu"):
        reader(language="deu").check()


@pytest.mark.parametrize("language", ["", "eng deu", "../eng", "--psm", "eng+"])
def test_what_is_no_language_is_refused(language: str) -> None:
    with pytest.raises(ValueError, match="language"):
        reader(language=language)


def test_no_ocr_reads_nothing_and_names_the_remedy() -> None:
    ocr = NoOcr(name="none")
    assert ocr(MANUAL, [3, 7]) == []
    assert ocr.remedy == "run with ocr=tesseract"
