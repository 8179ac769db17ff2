from pathlib import Path

import pytest

from stages import furniture
from stages.account import Account
from stages.blocks import Block
from stages.chunk import join_over_pages
from stages.errors import FolioError
from stages.parser.oxide import Oxide
from stages.parser.pdfium import Pdfium
from tests.imports import ROOT

MANUAL = ROOT / "data/raw/nist-sp-800-61r2.pdf"


@pytest.fixture(scope="module")
def pages() -> list[list[Block]]:
    return Oxide(name="oxide")(MANUAL)


def test_oxide_finds_every_page_and_numbered_headings_with_their_levels(pages: list[list[Block]]) -> None:
    assert len(pages) == 79
    headings = {block.text: block.level for page in pages for block in page if block.kind == "heading"}
    # Three headings of page 14 to 17, as the table of contents lists them.
    assert headings["2. Organizing a Computer Security Incident Response Capability"] == 1
    assert headings["2.1 Events and Incidents"] == 2
    assert headings["2.3.2 Plan Elements"] == 3


def test_no_running_header_stays(pages: list[list[Block]]) -> None:
    account = Account("blocks")
    kept = furniture.remove(pages, account)
    texts = [block.text for page in kept for block in page]
    assert not [text for text in texts if "COMPUTER SECURITY INCIDENT HANDLING GUIDE" in text]
    assert account.dropped["running_line"] >= 70
    assert account.total == sum(map(len, pages))


def test_a_paragraph_over_a_page_end_is_one_with_both_pages(pages: list[list[Block]]) -> None:
    joined = join_over_pages(furniture.remove(pages, Account("blocks")))
    over = [block for block in joined if block.pages[0] != block.pages[1]]
    assert over
    assert all(block.pages[1] - block.pages[0] == 1 for block in over)


def test_pdfium_reads_the_same_words(pages: list[list[Block]]) -> None:
    plain = Pdfium(name="pdfium")(MANUAL)
    assert len(plain) == 79
    ours = {word for block in pages[13] for word in block.text.split()}
    theirs = {word for block in plain[13] for word in block.text.split()}
    assert len(ours & theirs) / len(theirs) > 0.9


@pytest.mark.parametrize("parser", [Oxide(name="oxide"), Pdfium(name="pdfium")])
def test_a_damaged_file_is_named(parser: Oxide | Pdfium, tmp_path: Path) -> None:
    path = tmp_path / "bad.pdf"
    path.write_bytes(b"%PDF-1.7 and then nothing of use")
    with pytest.raises(FolioError, match=r"bad\.pdf cannot be read"):
        parser(path)
