from pathlib import Path

import pytest

from stages.agreement import compare, words
from stages.errors import FolioError
from stages.lines import lines
from stages.parser.oxide import Oxide
from stages.parser.pdfium import Pdfium
from stages.sheet import Sheet
from tests.imports import ROOT
from tests.sheets import pdf

MANUAL = ROOT / "data/raw/nist-sp-800-61r2.pdf"
NASTY = ROOT / "tests/data/nasty"

either = pytest.mark.parametrize("parser", [Oxide(name="oxide"), Pdfium(name="pdfium")], ids=["oxide", "pdfium"])
Parser = Oxide | Pdfium


def text(sheet: Sheet) -> str:
    return "\n".join(line.text for line in lines(sheet))


@pytest.fixture(scope="module")
def pages() -> list[Sheet]:
    return Oxide(name="oxide")(MANUAL)


def test_oxide_reads_every_page_with_places_and_fonts(pages: list[Sheet]) -> None:
    assert [page.number for page in pages] == list(range(1, 80))
    assert {(page.width, page.height) for page in pages} == {(612, 792)}
    found = {line.text: line for line in lines(pages[13])}
    heading = next(line for text, line in found.items() if text.endswith("Events and Incidents"))
    assert heading.bold
    assert 0 < heading.left < heading.right < 612
    assert 0 < heading.top < heading.bottom < 792


def test_the_two_parsers_read_the_same_words(pages: list[Sheet]) -> None:
    plain = Pdfium(name="pdfium")(MANUAL)
    assert len(plain) == 79
    for number in (14, 20, 40):
        assert compare(words(text(pages[number])), words(text(plain[number]))).least > 0.95


@either
@pytest.mark.parametrize("inherited", [False, True], ids=["own size", "size of the page tree"])
def test_places_are_measured_from_the_top_left_corner(parser: Parser, inherited: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf([[("Pumps", 72, 700, 20)], [("Seals", 300, 60, 10)]], inherited=inherited))
    first, second = parser(path)
    assert (first.number, first.width, first.height) == (1, 600, 800)
    (high,), (low,) = lines(first), lines(second)
    assert (high.text, low.text) == ("Pumps", "Seals")
    assert high.left == pytest.approx(72, abs=2)
    assert high.middle == pytest.approx(93, abs=8)
    assert low.middle == pytest.approx(736, abs=8)
    assert high.size > 1.5 * low.size


@either
def test_a_page_that_lies_on_its_side_is_turned(parser: Parser, tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf([[("One line of text", 72, 700, 10), ("and the next", 72, 686, 10)]], rotate=90))
    (page,) = parser(path)
    assert sorted(text(page).split()) == sorted("One line of text and the next".split())


@either
def test_a_page_without_text_has_no_spans_and_no_problem(parser: Parser, tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf([[]]))
    (page,) = parser(path)
    assert (page.spans, page.blocks, page.problem) == ([], None, "")


def test_oxide_finds_the_rules_of_a_table() -> None:
    tables = [page for page in Oxide(name="oxide")(NASTY / "tables_5p.pdf") if page.rules()]
    assert tables
    assert all(left <= right and top <= bottom for page in tables for left, top, right, bottom in page.rules())


@either
@pytest.mark.parametrize(
    "content", [b"%PDF-1.7 and then nothing of use", b"", b"no PDF at all"], ids=["header", "empty", "text"]
)
def test_a_damaged_file_is_named(parser: Parser, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.pdf"
    path.write_bytes(content)
    with pytest.raises(FolioError, match=r"bad\.pdf cannot be read"):
        parser(path)


@either
def test_a_file_that_needs_a_password_says_where_to_set_it(parser: Parser) -> None:
    path = NASTY / "enc_aes256r6_needs_password.pdf"
    for password in (None, "wrong"):
        with pytest.raises(FolioError, match="FOLIO_PDF_PASSWORD"):
            parser(path, password)
    assert text(parser(path, "usersecret")[0]).strip()


@either
@pytest.mark.parametrize("name", ["corrupt_content_stream", "corrupt_eof_missing", "corrupt_one_byte_missing"])
def test_a_file_that_is_broken_in_part_gives_its_pages(parser: Parser, name: str) -> None:
    (page,) = parser(NASTY / f"{name}.pdf")
    assert page.number == 1


@either
def test_a_page_that_cannot_be_read_says_why(parser: Parser) -> None:
    (page,) = parser(NASTY / "zero_pages_page_object_missing.pdf")
    assert page.problem
