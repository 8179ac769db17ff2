import hashlib
from pathlib import Path
from typing import Any

import pytest

from stages.account import Account
from stages.blocks import Block, Kind
from stages.chunk import (
    chunk_document,
    chunk_folder,
    find_documents,
    join_over_pages,
    select,
    without_sections,
)
from stages.errors import FolioError
from stages.parser.oxide import Oxide
from stages.parser.pdfium import Pdfium
from stages.settings.chunk import Chunk
from stages.splitter.passages import Passages

SPLITTER = Passages(name="passages", target=20, maximum=40, language="en")
SEALS = "A seal keeps the oil in the gearbox and the water out of it."  # 14 words
PUMPS = "A pump moves water from the lower tank to the upper one."  # 12 words


def settings(**changes: Any) -> Chunk:
    values: dict[str, Any] = {"strict": False, "minimum_words": 5, "keep_share": 0.0, "skip_headings": ()}
    return Chunk(**values | changes)


def block(text: str, page: int = 1, kind: Kind = "paragraph", level: int = 0) -> Block:
    return Block(kind, text, (page, page), level)


def pdf(*pages: str) -> bytes:
    """A PDF with a line of text on each page; an empty one has a page without text."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", ""]
    for text in pages:
        draw = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET" if text else ""
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {len(objects) + 2} 0 R "
            "/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
            f"<< /Length {len(draw)} >>\nstream\n{draw}\nendstream",
        ]
    kids = " ".join(f"{n} 0 R" for n in range(3, len(objects) + 1, 2))
    objects[1] = f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>"
    body, places = "%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    end = f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF\n"
    return f"{body}xref\n0 {size}\n0000000000 65535 f \n{table}{end}".encode("latin-1")


# find_documents


def test_documents_are_found_below_the_folder_in_a_stable_order(tmp_path: Path) -> None:
    for name in ("b.pdf", "a.PDF", "sub/c.Pdf", "notes.txt", "pdf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = [path.relative_to(tmp_path).as_posix() for path in find_documents(tmp_path)]
    assert found == ["a.PDF", "b.pdf", "sub/c.Pdf"]


def test_a_folder_without_documents_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FolioError, match=r"no PDF in .*put at least one there"):
        find_documents(tmp_path / "missing")


# join_over_pages


def test_a_paragraph_that_a_page_end_cuts_is_one_again() -> None:
    pages = [[block("Before."), block("The seal keeps", 1)], [block("the oil in.", 2), block("After.", 2)]]
    assert join_over_pages(pages) == [
        block("Before."),
        Block("paragraph", "The seal keeps the oil in.", (1, 2)),
        block("After.", 2),
    ]


def test_a_paragraph_may_run_over_three_pages() -> None:
    pages = [[block("one", 1)], [block("two", 2)], [block("three.", 3)]]
    assert join_over_pages(pages) == [Block("paragraph", "one two three.", (1, 3))]


def test_a_word_cut_at_the_page_end_keeps_its_hyphen() -> None:
    joined = join_over_pages([[block("a water-")], [block("tight seal.", 2)]])
    assert [part.text for part in joined] == ["a water-tight seal."]


@pytest.mark.parametrize(
    ("last", "first"),
    [
        (block("It ends."), block("lower case", 2)),
        (block("It ends:"), block("lower case", 2)),
        (block("(It ends.)"), block("lower case", 2)),
        (block("It goes on"), block("Upper case", 2)),
        (block("A heading", kind="heading", level=1), block("lower case", 2)),
        (block("It goes on"), block("- an item", 2, "item")),
        (block("a | b", kind="row"), block("lower case", 2)),
    ],
)
def test_what_does_not_go_on_stays_apart(last: Block, first: Block) -> None:
    assert join_over_pages([[last], [first]]) == [last, first]


def test_an_item_goes_on_as_an_item() -> None:
    joined = join_over_pages([[block("- open the", kind="item")], [block("valve.", 2)]])
    assert joined == [Block("item", "- open the valve.", (1, 2))]


def test_only_the_first_block_of_a_page_goes_on() -> None:
    pages = [[block("It goes on")], [block("Here.", 2), block("it does not", 2)]]
    assert join_over_pages(pages) == [block("It goes on"), block("Here.", 2), block("it does not", 2)]


def test_a_footnote_does_not_tear_the_paragraph_above_it() -> None:
    note = block("1 See the annex.", kind="footnote")
    assert join_over_pages([[block("The seal keeps"), note], [block("the oil in.", 2)]]) == [
        note,
        Block("paragraph", "The seal keeps the oil in.", (1, 2)),
    ]


def test_a_footnote_below_a_closed_paragraph_stays_there() -> None:
    note = block("1 See the annex.", kind="footnote")
    assert join_over_pages([[block("It ends."), note], [block("Next.", 2)]]) == [
        block("It ends."),
        note,
        block("Next.", 2),
    ]


def test_a_footnote_on_a_page_of_its_own_is_kept() -> None:
    note = block("1 See the annex.", kind="footnote")
    assert join_over_pages([[], [note], []]) == [note]


# without_sections


def heading(text: str, level: int) -> Block:
    return block(text, kind="heading", level=level)


def skipped(*blocks: Block) -> tuple[list[str], dict[str, Any]]:
    account = Account("blocks")
    account.keep(len(blocks))
    kept = without_sections(blocks, ["Index", "Table of Contents"], account)
    return [part.text for part in kept], account.as_dict()


def test_a_section_ends_at_a_heading_of_its_level_or_above() -> None:
    texts, figures = skipped(
        block("Before."),
        heading("INDEX", 2),
        block("pump, 3"),
        heading("Letters A to M", 3),
        block("seal, 9"),
        heading("Annex", 2),
        block("After."),
    )
    assert texts == ["Before.", "Annex", "After."]
    # Of 7 blocks the heading, its text, and the heading and text below it go.
    assert figures == {"in": 7, "kept": 3, "dropped": {"skipped_section": 4}}


def test_one_skipped_section_may_follow_another() -> None:
    texts, _ = skipped(heading("Table of contents", 1), heading("Index", 1), block("a"), heading("Pumps", 1))
    assert texts == ["Pumps"]


def test_a_heading_that_only_begins_so_is_kept() -> None:
    assert skipped(heading("Index of pumps", 1), block("x"), block("Index"))[1]["dropped"] == {}


# select


def record(text: str) -> dict[str, Any]:
    return {"id": text, "text": text}


def test_short_and_repeated_chunks_are_dropped_and_counted() -> None:
    account = Account("chunks")
    kept = select([record("one two three"), record("one two"), record("one two three")], 3, account)
    assert kept == [record("one two three")]
    assert account.as_dict() == {"in": 3, "kept": 1, "dropped": {"too_short": 1, "duplicate": 1}}


# chunk_document


def test_a_chunk_leads_back_to_its_page_and_heading() -> None:
    pages = [[heading("Pumps", 1), heading("Seals", 2), block(SEALS)], [block(PUMPS, 2)]]
    records, count = chunk_document(
        Path("x.pdf"), "sub/x.pdf", lambda _: pages, SPLITTER, settings(), Account("blocks")
    )
    text = f"{SEALS}\n{PUMPS}"  # 26 words fit into one passage
    assert count == 2
    assert records == [
        {
            "id": hashlib.sha256(f"sub/x.pdf\0{text}".encode()).hexdigest()[:16],
            "document": "sub/x.pdf",
            "pages": [1, 2],
            "headings": ["Pumps", "Seals"],
            "text": text,
        }
    ]


def test_a_text_that_recurs_gets_a_numbered_id() -> None:
    pages = [[part for name in ("One", "Two", "Three") for part in (heading(name, 1), block(SEALS))]]
    records, _ = chunk_document(
        Path("x.pdf"), "x.pdf", lambda _: pages, SPLITTER, settings(), Account("blocks")
    )
    first = records[0]["id"]
    assert [row["id"] for row in records] == [first, f"{first}-2", f"{first}-3"]


def test_a_document_without_text_asks_for_ocr() -> None:
    with pytest.raises(FolioError, match=r"scan\.pdf has no text in any of its 2 pages; it needs OCR"):
        chunk_document(
            Path("scan.pdf"), "scan.pdf", lambda _: [[], []], SPLITTER, settings(), Account("blocks")
        )


# chunk_folder, on real PDFs


@pytest.mark.parametrize("parser", [Oxide(name="oxide"), Pdfium(name="pdfium")], ids=lambda p: p.name)
def test_a_folder_of_pdfs_becomes_chunks_and_figures(tmp_path: Path, parser: Oxide | Pdfium) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf(SEALS, PUMPS))
    (tmp_path / "b.pdf").write_bytes(pdf(PUMPS))
    records, figures = chunk_folder(tmp_path, parser, SPLITTER, settings())
    assert [(row["document"], row["pages"], row["text"]) for row in records] == [
        ("a.pdf", [1, 2], f"{SEALS}\n{PUMPS}"),
        ("b.pdf", [1, 1], PUMPS),
    ]
    assert figures == {
        "files": 2,
        "pages": 3,
        "words": 38,  # 14 + 12 + 12
        "failed": {},
        "blocks": {"in": 3, "kept": 3, "dropped": {}},
        "chunks": {"in": 2, "kept": 2, "dropped": {}},
    }


def test_what_cannot_be_read_is_reported_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "good.pdf").write_bytes(pdf(SEALS))
    (tmp_path / "scan.pdf").write_bytes(pdf(""))
    records, figures = chunk_folder(tmp_path, Pdfium(name="pdfium"), SPLITTER, settings())
    assert [row["document"] for row in records] == ["good.pdf"]
    assert list(figures["failed"]) == ["scan.pdf"]
    assert "needs OCR" in figures["failed"]["scan.pdf"]
    assert "warning: " in capsys.readouterr().out


def test_under_strict_one_bad_file_fails_the_stage(tmp_path: Path) -> None:
    (tmp_path / "good.pdf").write_bytes(pdf(SEALS))
    (tmp_path / "scan.pdf").write_bytes(pdf(""))
    with pytest.raises(FolioError, match=r"scan\.pdf"):
        chunk_folder(tmp_path, Pdfium(name="pdfium"), SPLITTER, settings(strict=True))


def test_nothing_usable_names_every_file(tmp_path: Path) -> None:
    (tmp_path / "one.pdf").write_bytes(pdf(""))
    (tmp_path / "two.pdf").write_bytes(b"no PDF")
    with pytest.raises(FolioError, match=r"no document gave any text: .*one\.pdf.*two\.pdf"):
        chunk_folder(tmp_path, Pdfium(name="pdfium"), SPLITTER, settings())


def test_too_small_a_share_fails_with_the_reasons(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf(SEALS))
    (tmp_path / "b.pdf").write_bytes(pdf(SEALS))
    # Two documents with the same text: 1 of 2 chunks is kept.
    with pytest.raises(
        FolioError, match=r"kept 1 of 2 chunks, less than chunk\.keep_share=0\.6.*1 duplicate"
    ):
        chunk_folder(tmp_path, Pdfium(name="pdfium"), SPLITTER, settings(keep_share=0.6))
