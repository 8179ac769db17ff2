import subprocess
import sys
from pathlib import Path

import pytest

from stages import pdfium
from stages.errors import FolioError
from stages.lines import lines
from tests.imports import ROOT
from tests.sheets import pdf

NASTY = ROOT / "tests/data/nasty"


def written(tmp_path: Path, *pages: list[tuple[str, float, float, float]], rotate: int = 0) -> Path:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf(pages, rotate))
    return path


def test_the_text_of_each_page(tmp_path: Path) -> None:
    with pdfium.opened(
        written(tmp_path, [("The pump.", 72, 700, 10)], [], [("A seal.", 72, 700, 10)]), None
    ) as document:
        assert [text.strip() for text in pdfium.texts(document)] == ["The pump.", "", "A seal."]


def test_spans_stand_where_the_words_are(tmp_path: Path) -> None:
    path = written(tmp_path, [("Pumps", 72, 700, 20), ("Seals", 300, 400, 10)])
    with pdfium.opened(path, None) as document:
        (page,) = pdfium.sheets(document, [0])
    assert (page.number, page.width, page.height, page.problem) == (1, 600, 800, "")
    first, second = page.spans
    assert (first.text, second.text) == ("Pumps", "Seals")
    # Baselines at 100 and 400 points from the top; the larger font is the larger one here as well.
    assert first.left == pytest.approx(72, abs=2)
    assert first.top < 100 <= first.bottom + 1
    assert second.left == pytest.approx(300, abs=2)
    assert second.top < 400 <= second.bottom + 1
    assert first.size > 1.5 * second.size


def test_pages_are_counted_from_one_and_read_by_their_index(tmp_path: Path) -> None:
    path = written(tmp_path, *([(f"Page {n}", 72, 700, 10)] for n in "abc"))
    with pdfium.opened(path, None) as document:
        found = list(pdfium.sheets(document, [2, 0]))
    assert [page.number for page in found] == [3, 1]
    assert [line.text for page in found for line in lines(page)] == ["Page c", "Page a"]


def test_the_words_of_a_line_are_a_line(tmp_path: Path) -> None:
    path = written(tmp_path, [("The pump moves water to the sea.", 72, 700, 10), ("It is old.", 72, 686, 10)])
    with pdfium.opened(path, None) as document:
        (page,) = pdfium.sheets(document, [0])
    assert [line.text for line in lines(page)] == ["The pump moves water to the sea.", "It is old."]


def test_a_hyphen_at_a_line_s_end_stays(tmp_path: Path) -> None:
    path = written(tmp_path, [("the old infor-", 72, 700, 10), ("mation there", 72, 688, 10)])
    with pdfium.opened(path, None) as document:
        (text,) = pdfium.texts(document)
        (page,) = pdfium.sheets(document, [0])
    assert "infor-" in text
    assert [line.text for line in lines(page)] == ["the old infor-", "mation there"]


def test_a_page_that_cannot_be_read_is_empty_and_says_why() -> None:
    with pdfium.opened(NASTY / "zero_pages_page_object_missing.pdf", None) as document:
        count = len(document)
        assert list(pdfium.texts(document)) == [""] * count
        assert all(page.problem for page in pdfium.sheets(document, range(count)))


@pytest.mark.parametrize("name", ["corrupt_zero_bytes.pdf", "corrupt_no_catalog.pdf"])
def test_a_damaged_file_is_named(name: str) -> None:
    with pytest.raises(FolioError, match=f"{name} cannot be read"):
        pdfium.opened(NASTY / name, None)


def test_a_file_that_needs_a_password_says_where_to_set_it() -> None:
    path = NASTY / "enc_aes256r6_needs_password.pdf"
    for password in (None, "wrong"):
        with pytest.raises(FolioError, match="FOLIO_PDF_PASSWORD"):
            pdfium.opened(path, password)
    with pdfium.opened(path, "usersecret") as document:
        assert any(text.strip() for text in pdfium.texts(document))


def test_a_page_tree_that_holds_itself_ends_in_a_process_of_its_own() -> None:
    # PDFium may crash on it; Folio reads every file in a worker for this reason.
    code = "import sys; from stages import pdfium; list(pdfium.texts(pdfium.opened(sys.argv[1], None)))"
    path = NASTY / "corrupt_recursive_page_tree.pdf"
    done = subprocess.run(
        [sys.executable, "-c", code, path], cwd=ROOT, capture_output=True, timeout=30, check=False
    )
    assert done.returncode in (0, 1) or done.returncode < 0
