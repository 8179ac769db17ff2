import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from stages import jsonl
from stages.chunk import chunk_folder, find_documents
from stages.document import Reader
from stages.errors import FolioError
from stages.ocr.none import NoOcr
from stages.parser.oxide import Oxide
from stages.parser.pdfium import Pdfium
from stages.settings.chunk import Chunk
from stages.splitter.passages import Passages
from tests.imports import ROOT

SPLITTER = Passages(name="passages", target=20, maximum=40, language="en")
SEALS = "A seal keeps the oil in the gearbox and the water out of it."  # 14 words
PUMPS = "A pump moves water from the lower tank to the upper one."  # 12 words
NASTY = ROOT / "tests/data/nasty"


def reader(parser: Any = None, password: str | None = None, **changes: Any) -> Reader:
    values: dict[str, Any] = {
        "strict": False,
        "workers": 2,
        "seconds": 60,
        "memory": 4,
        "agreement": 0.95,
        "minimum_words": 5,
        "duplicate_similarity": 0.8,
        "keep_share": 0.0,
        "skip_headings": (),
        "skip_contents": True,
    }
    parser = parser or Oxide(name="oxide")
    return Reader(parser, NoOcr(name="none"), SPLITTER, Chunk(**values | changes), password)


def chunked(folder: Path, *args: Any, **changes: Any) -> tuple[list[jsonl.Record], dict[str, Any]]:
    target = folder.parent / "chunks.jsonl"
    figures = chunk_folder(folder, reader(*args, **changes), target)
    return list(jsonl.read(target)), figures


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw"


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
    for name in ("b.pdf", "a.PDF", "sub/c.Pdf", "notes.txt", "page.html", "read.md", "data.csv", "pdf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.pdf").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in find_documents(tmp_path)]
    assert found == ["a.PDF", "b.pdf", "notes.txt", "page.html", "read.md", "sub/c.Pdf"]


def test_a_folder_without_documents_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FolioError, match=r"no PDF, text, Markdown or HTML file in .*put at least one there"):
        find_documents(tmp_path / "missing")


# chunk_folder


@pytest.mark.parametrize("parser", [Oxide(name="oxide"), Pdfium(name="pdfium")], ids=lambda p: p.name)
def test_a_folder_of_pdfs_becomes_chunks_and_figures(raw: Path, parser: Oxide | Pdfium) -> None:
    (raw / "a.pdf").write_bytes(pdf(SEALS, PUMPS))
    (raw / "b.pdf").write_bytes(pdf("Open the valve before you start the pump."))
    records, figures = chunked(raw, parser)
    assert [(row["document"], row["pages"], row["text"]) for row in records] == [
        ("a.pdf", [1, 2], f"{SEALS}\n{PUMPS}"),
        ("b.pdf", [1, 1], "Open the valve before you start the pump."),
    ]
    # Letters: 46 in SEALS, 44 in PUMPS, 33 in the other.
    assert figures["files"] == {"in": 2, "kept": 2, "dropped": {}}
    assert figures["pages"] == {"in": 3, "kept": 3, "dropped": {}}
    assert figures["characters"] == {"in": 123, "kept": 123, "dropped": {}}
    assert figures["chunks"] == {"in": 2, "kept": 2, "dropped": {}}
    assert figures["words"] == 34  # 14 + 12 + 8
    agreement = {"recall": 1.0, "surplus": 0.0} if parser.name == "oxide" else {}
    assert figures["documents"]["a.pdf"] == {"pages": 2, "chunks": 1} | agreement


def test_text_markdown_and_html_are_read_too(raw: Path) -> None:
    (raw / "a.txt").write_text(SEALS, encoding="utf-8")
    (raw / "b.md").write_text(f"# Pumps\n\n{PUMPS}\n", encoding="utf-8")
    (raw / "c.html").write_text("<h1>Valves</h1><p>Open the valve before you start.</p>", encoding="utf-8")
    records, figures = chunked(raw)
    assert [(row["headings"], row["text"]) for row in records] == [
        ([], SEALS),
        (["Pumps"], PUMPS),
        (["Valves"], "Open the valve before you start."),
    ]
    assert figures["documents"]["a.txt"] == {"pages": 1, "chunks": 1}


def test_short_chunks_and_copies_are_dropped_and_counted(raw: Path) -> None:
    (raw / "a.pdf").write_bytes(pdf(SEALS))
    (raw / "b.pdf").write_bytes(pdf(SEALS))
    (raw / "c.pdf").write_bytes(pdf("Too short."))
    records, figures = chunked(raw)
    assert [row["document"] for row in records] == ["a.pdf"]
    assert figures["chunks"] == {"in": 3, "kept": 1, "dropped": {"too_short": 1, "duplicate": 1}}
    assert figures["characters"] == {"in": 100, "kept": 46, "dropped": {"duplicate": 46, "too_short": 8}}


def test_too_small_a_share_fails_with_the_reasons(raw: Path) -> None:
    (raw / "a.pdf").write_bytes(pdf(SEALS))
    (raw / "b.pdf").write_bytes(pdf(SEALS))
    with pytest.raises(
        FolioError, match=r"kept 1 of 2 chunks, less than chunk\.keep_share=0\.6.*1 duplicate"
    ):
        chunked(raw, keep_share=0.6)


def test_the_order_does_not_depend_on_which_worker_is_done_first(raw: Path) -> None:
    for number in range(12):
        pages = [
            f"Pump {number} moves water from tank {page} to the upper one." for page in range(1 + number % 3)
        ]
        (raw / f"{number:02}.pdf").write_bytes(pdf(*pages))
    one, _ = chunked(raw, workers=1, duplicate_similarity=1.0)
    many, _ = chunked(raw, workers=4, duplicate_similarity=1.0)
    assert [row["document"] for row in one] == sorted(row["document"] for row in one)
    assert one == many


def test_files_of_other_kinds_are_told_and_hidden_ones_are_not_read(
    raw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (raw / "a.pdf").write_bytes(pdf(SEALS))
    for name in ("b.docx", "c.docx", "data.csv", "._a.pdf"):
        (raw / name).write_bytes(b"")
    records, _ = chunked(raw)
    assert {row["document"] for row in records} == {"a.pdf"}
    assert "as no stage reads such files: 2 .docx, 1 .csv" in capsys.readouterr().out


def test_a_name_that_is_no_utf8_is_refused(raw: Path) -> None:
    (raw / os.fsdecode(b"caf\xe9.txt")).write_text(SEALS, encoding="utf-8")
    with pytest.raises(FolioError, match=r"is not UTF-8; rename the file"):
        chunked(raw)


# files that cannot be read


def test_what_cannot_be_read_is_reported_and_left_out(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (raw / "good.pdf").write_bytes(pdf(SEALS))
    (raw / "scan.pdf").write_bytes(pdf(""))
    records, figures = chunked(raw)
    assert [row["document"] for row in records] == ["good.pdf"]
    assert figures["files"] == {"in": 2, "kept": 1, "dropped": {"no_text": 1}}
    assert figures["pages"] == {"in": 2, "kept": 1, "dropped": {"no_text": 1}}
    assert figures["failed"]["scan.pdf"].endswith(
        "scan.pdf gives no text: page 1 has no text layer: run with ocr=tesseract"
    )
    assert f"warning: {figures['failed']['scan.pdf']}" in capsys.readouterr().out


def test_pages_without_text_are_named(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (raw / "a.pdf").write_bytes(pdf(SEALS, "", "", PUMPS, ""))
    _, figures = chunked(raw)
    assert figures["pages"] == {"in": 5, "kept": 2, "dropped": {"no_text": 3}}
    assert figures["documents"]["a.pdf"]["no_text"] == [2, 3, 5]
    said = capsys.readouterr().out
    assert "a.pdf: pages 2 to 3, 5 have no text layer: run with ocr=tesseract" in said


def test_under_strict_one_bad_file_fails_the_stage(raw: Path) -> None:
    (raw / "good.pdf").write_bytes(pdf(SEALS))
    (raw / "scan.pdf").write_bytes(pdf(""))
    with pytest.raises(FolioError, match=r"1 of 2 files gave no text: .*scan\.pdf"):
        chunked(raw, strict=True)
    assert not (raw.parent / "chunks.jsonl").exists()


def test_nothing_usable_names_every_file(raw: Path) -> None:
    (raw / "one.pdf").write_bytes(pdf(""))
    (raw / "two.pdf").write_bytes(b"no PDF")
    with pytest.raises(FolioError, match=r"2 of 2 files gave no text: .*one\.pdf.*two\.pdf"):
        chunked(raw)


def test_hostile_files_end_in_chunks_or_a_named_reason(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Encrypted, corrupt, empty: each takes down its own worker at most."""
    for path in NASTY.glob("*.pdf"):
        (raw / path.name).symlink_to(path)
    (raw / "good.pdf").write_bytes(pdf(SEALS))
    records, figures = chunked(raw, seconds=10)
    said = re.findall(r"^warning: (\S+\.pdf): no chunk of it is kept", capsys.readouterr().out, re.MULTILINE)
    told = set(figures["failed"]) | {row["document"] for row in records} | set(said)
    assert told == {path.name for path in raw.iterdir()}
    assert "encrypted and needs a password" in figures["failed"]["enc_unknown_password.pdf"]
    assert "File is empty" in figures["failed"]["corrupt_zero_bytes.pdf"]
    assert figures["files"]["in"] == figures["files"]["kept"] + sum(figures["files"]["dropped"].values())
    assert json.dumps(figures)


def test_a_password_opens_an_encrypted_file(raw: Path) -> None:
    (raw / "a.pdf").symlink_to(NASTY / "enc_aes256r6_needs_password.pdf")
    records, _ = chunked(raw, password="usersecret", minimum_words=1)
    assert [row["text"] for row in records] == ["Hello World"]
    with pytest.raises(FolioError, match="encrypted and needs a password: set FOLIO_PDF_PASSWORD"):
        chunked(raw, password="another", minimum_words=1)


def test_a_file_that_takes_too_long_is_left_out(raw: Path) -> None:
    (raw / "a.pdf").write_bytes(pdf(SEALS))
    with pytest.raises(FolioError, match=r"a\.pdf took longer than .* raise chunk\.seconds to wait longer"):
        chunked(raw, seconds=0.0001)
