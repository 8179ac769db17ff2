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

either = pytest.mark.parametrize(
    "parser", [Oxide(name="oxide"), Pdfium(name="pdfium")], ids=["oxide", "pdfium"]
)
Parser = Oxide | Pdfium


def text(sheet: Sheet) -> str:
    return "\n".join(line.text for line in lines(sheet))


@pytest.fixture(scope="module")
def pages() -> list[Sheet]:
    return Oxide(name="oxide")(MANUAL)


def test_oxide_reads_every_page_with_places_and_fonts(pages: list[Sheet]) -> None:
    assert [page.number for page in pages] == list(range(1, 80))
    assert {(page.width, page.height) for page in pages} == {(612, 792)}
    heading = next(
        line for line in lines(pages[14]) if line.text.startswith("Organizing a Computer Security")
    )
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
def test_places_are_measured_from_the_top_left_corner(
    parser: Parser, inherited: bool, tmp_path: Path
) -> None:
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


CELLS = [["part", "mass in kg", "price"], ["rotor", "3", "9"], ["seal", "1", "2"]]


def sideways(rows: list[list[str]], upwards: bool) -> bytes:
    """A table set on its side on an upright page, as its text is drawn up or down the page."""
    drawn = ""
    for i, row in enumerate(rows):
        for k, cell in enumerate(row):
            place = (100 + 14 * i, 100 + 120 * k) if upwards else (500 - 14 * i, 700 - 120 * k)
            turn = "0 1 -1 0" if upwards else "0 -1 1 0"
            drawn += f"BT /F 10 Tf {turn} {place[0]} {place[1]} Tm ({cell}) Tj ET\n"
    return pdf([[]], drawn=drawn)


@pytest.mark.parametrize("upwards", [True, False], ids=["up", "down"])
def test_oxide_reads_a_table_that_is_set_on_its_side_row_by_row(upwards: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(sideways(CELLS, upwards))
    (page,) = Oxide(name="oxide")(path)
    assert [line.text for line in lines(page)] == [cell for row in CELLS for cell in row]


def test_oxide_keeps_a_banner_up_the_margin_out_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    banner = "BT /F 20 Tf 0 1 -1 0 30 400 Tm (A banner up the margin) Tj ET"
    prose = [(f"Line {i} of the running text of a page", 72, 700 - 12 * i, 10) for i in range(40)]
    path.write_bytes(pdf([prose], drawn=banner))
    found = [line.text for line in lines(Oxide(name="oxide")(path)[0])]
    found.remove("A banner up the margin")
    assert found == [text for text, *_ in prose]
    assert "A banner up the margin" in (text(Oxide(name="oxide")(path)[0]).splitlines()[i] for i in (0, -1))


@pytest.mark.parametrize("name", ["CMBX10", "SFBX1000", "NimbusRomNo9L-Medi", "Helvetica-Bold", "Lato-Black"])
def test_oxide_knows_a_bold_font_by_its_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf([[("Pumps", 72, 700, 20)]], font=name))
    assert Oxide(name="oxide")(path)[0].spans[0].bold


@pytest.mark.parametrize(
    "name", ["CMR10", "Helvetica", "NimbusRomNo9L-Regu", "Roboto-Medium", "Times-Italic"]
)
def test_oxide_knows_a_font_that_is_not_bold(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf([[("Pumps", 72, 700, 20)]], font=name))
    assert not Oxide(name="oxide")(path)[0].spans[0].bold


def test_oxide_finds_the_rules_of_a_table() -> None:
    tables = [page for page in Oxide(name="oxide")(NASTY / "tables_5p.pdf") if page.rules()]
    assert tables
    assert all(
        left <= right and top <= bottom for page in tables for left, top, right, bottom in page.rules()
    )


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
@pytest.mark.parametrize(
    "name", ["corrupt_content_stream", "corrupt_eof_missing", "corrupt_one_byte_missing"]
)
def test_a_file_that_is_broken_in_part_gives_its_pages(parser: Parser, name: str) -> None:
    (page,) = parser(NASTY / f"{name}.pdf")
    assert page.number == 1


@either
def test_a_page_that_cannot_be_read_says_why(parser: Parser) -> None:
    (page,) = parser(NASTY / "zero_pages_page_object_missing.pdf")
    assert page.problem
