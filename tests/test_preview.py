import base64
import io
import os
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from stages import jsonl
from stages.artifact import write_json
from stages.errors import FolioError
from stages.preview import (
    MOST_CHARACTERS,
    Page,
    draw,
    draw_all,
    gather,
    histogram,
    percent,
    read_chunks,
    rows,
)
from stages.settings.preview import Preview
from stages.template import render
from tests.imports import ROOT

DATA = ROOT / "tests/data"
ENCRYPTED = DATA / "nasty/enc_aes256r6_needs_password.pdf"
SECRET = "usersecret"  # noqa: S105 - of a test file
PLANTED = "<script>alert(1)</script>"


class Reader(HTMLParser):
    """The elements, their attributes and the text of a page, as a browser reads them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.text += " "

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def record(text: str, first: int, last: int, document: str = "a.pdf", *headings: str) -> dict[str, Any]:
    key = f"{document}-{first}-{len(text)}"
    return {"id": key, "document": document, "pages": [first, last], "headings": list(headings), "text": text}


def account(kept: int, **dropped: int) -> dict[str, Any]:
    return {"in": kept + sum(dropped.values()), "kept": kept, "dropped": dropped}


def settings(pages: int = 24, width: int = 160) -> Preview:
    return Preview(pages=pages, width=width, quality=60)


def size_of(image: bytes) -> tuple[int, int]:
    from PIL import Image

    with Image.open(io.BytesIO(image)) as opened:
        assert opened.format == "WEBP"
        return opened.size


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the chunk stage leaves behind; a test changes the figures before `shown` reads them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/raw").mkdir(parents=True)
    (tmp_path / "data/raw/a.pdf").symlink_to(DATA / "pdf/hr1904.pdf")
    (tmp_path / "data/raw/notes.md").write_text("# Seals\n\nA seal keeps the oil in.", encoding="utf-8")
    records = [
        record("one two\nthree", 1, 1, "a.pdf", "Part 1", "1.1 Pumps"),
        record("four five six", 1, 2, "a.pdf", "Part 1"),
        record("A seal keeps the oil in.", 1, 1, "notes.md", "Seals"),
    ]
    figures = {
        "files": account(2, encrypted=1),
        "pages": account(30),
        "characters": account(950, running_line=1234, page_number=16),
        "chunks": account(3, too_short=1),
        "failed": {"locked.pdf": "data/raw/locked.pdf is encrypted"},
        "documents": {
            "a.pdf": {"pages": 29, "chunks": 3, "recall": 0.9123, "surplus": 0.0456, "reread": [1]},
            "locked.pdf": {"pages": 0, "chunks": 0},
            "notes.md": {"pages": 1, "chunks": 1},
        },
    }
    return {"records": records, "figures": figures}


def shown(made: dict[str, Any], options: Preview | None = None) -> str:
    jsonl.write(Path("data/chunks.jsonl"), made["records"])
    write_json(Path("metrics/chunk.json"), made["figures"])
    return render("preview.html", gather(options or settings()))


# Page and read_chunks


def test_a_page_has_every_chunk_that_stands_on_it() -> None:
    pages = [Page("a.pdf", 2), Page("a.pdf", 3), Page("b.pdf", 2)]
    records = [
        record("one", 1, 2),
        record("two three", 2, 2),
        record("b", 2, 2, "b.pdf"),
        record("four", 2, 5),
    ]
    numbers, lengths = read_chunks(iter(records), pages)
    assert [[chunk["text"] for chunk in page.chunks] for page in pages] == [
        ["one", "two three", "four"],
        ["four"],
        ["b"],
    ]
    assert [(chunk["number"], chunk["before"], chunk["after"]) for chunk in pages[0].chunks] == [
        (1, 1, None),
        (2, None, None),
        (3, None, 5),
    ]
    assert [(chunk["number"], chunk["pages"]) for chunk in pages[1].chunks] == [(3, "pages 2 to 5")]
    assert numbers == {"a.pdf": 3, "b.pdf": 1}
    assert lengths == {1: 3, 2: 1}


def test_what_stands_beside_a_page_is_bounded() -> None:
    page = Page("a.pdf", 1)
    long = "word " * MOST_CHARACTERS
    read_chunks(
        [record("short", 1, 1), record(long, 1, 1, "a.pdf", "h" * 5000), record("late", 1, 1)], [page]
    )
    # 205 characters of the room went to the first: its text and 200 for its frame.
    assert [(len(chunk["text"]), chunk["cut"]) for chunk in page.chunks] == [
        (5, 0),
        (MOST_CHARACTERS - 205, 4 * MOST_CHARACTERS + 205),
    ]
    assert page.chunks[1]["words"] == MOST_CHARACTERS
    assert len(page.chunks[1]["headings"][0]) == 200
    assert page.left_out == 1


def test_a_multitude_of_tiny_chunks_is_bounded_too() -> None:
    page = Page("a.pdf", 1)
    read_chunks((record("a", 1, 1) for _ in range(5000)), [page])
    # Each takes 201 of 24,000.
    assert (len(page.chunks), page.left_out) == (120, 4880)


# draw


def test_an_image_is_as_wide_as_asked_and_shaped_like_the_page() -> None:
    assert size_of(draw((DATA / "pdf/hr1904.pdf", 1), 640, 60)) == (640, 829)  # 612 x 792 points


@pytest.mark.parametrize("box", ["0 0 5 14400", "0 0 14400 5", "0 0 2000000 2000000", "0 0 0 0", "0 0 1 1"])
def test_a_page_of_any_shape_gives_a_bounded_image(tmp_path: Path, box: str) -> None:
    path = tmp_path / "a.pdf"
    page = f"<</Type/Page/Parent 2 0 R/MediaBox[{box}]>>"
    objects = ["<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>", page]
    body = "".join(f"{number} 0 obj{content}endobj\n" for number, content in enumerate(objects, start=1))
    path.write_text(f"%PDF-1.4\n{body}trailer<</Size 4/Root 1 0 R>>\n%%EOF\n", encoding="ascii")
    width, height = size_of(draw((path, 1), 200, 60))
    assert 1 <= width <= 201
    assert 1 <= height <= 501


def test_a_page_that_is_not_there_is_named() -> None:
    with pytest.raises(FolioError, match=r"hr1904\.pdf, page 30 cannot be drawn: "):
        draw((DATA / "pdf/hr1904.pdf", 30), 160, 60)


def test_an_encrypted_file_is_drawn_with_its_password() -> None:
    assert draw((ENCRYPTED, 1), 160, 60, SECRET)
    with pytest.raises(FolioError, match="encrypted and needs a password: set FOLIO_PDF_PASSWORD") as caught:
        draw((ENCRYPTED, 1), 160, 60, "another one")
    assert "another one" not in str(caught.value)


def test_a_page_that_takes_its_process_down_says_so_and_the_others_are_drawn() -> None:
    names = [
        "nasty/corrupt_recursive_page_tree.pdf",
        "nasty/corrupt_zero_bytes.pdf",
        "pdf/hr1904.pdf",
        "a.md",
    ]
    pages = [Page(name, 1) for name in names]
    draw_all(pages, DATA, settings(), None)
    assert [bool(page.image) for page in pages] == [False, False, True, False]
    assert "cannot be drawn" in pages[0].lack or "cannot be read" in pages[0].lack
    assert "corrupt_zero_bytes.pdf cannot be read" in pages[1].lack
    assert (pages[2].lack, pages[3].lack) == ("", "")


# percent, histogram and rows


def test_shares_have_one_decimal_and_little_is_not_nothing() -> None:
    assert [percent(1, 3), percent(3, 3), percent(0, 3), percent(0, 0)] == ["33.3%", "100.0%", "0.0%", "0.0%"]
    assert percent(1, 10_000) == "<0.1%"


def test_a_histogram_worked_out_by_hand() -> None:
    # 25 words at most: steps of 1 or 2 would make more than 12 bars, steps of 5 make 5.
    found = histogram(Counter({5: 1, 15: 2, 25: 1}))
    assert [(bar["start"], bar["count"], bar["height"]) for bar in found.pop("bars")] == [
        (5, 1, "50.0"),
        (10, 0, "0.0"),
        (15, 2, "100.0"),
        (20, 0, "0.0"),
        (25, 1, "50.0"),
    ]
    expected = {"step": 5, "open": False, "n": 4, "shortest": 5, "longest": 25, "quarters": [5, 15, 15]}
    assert found == expected


def test_one_chunk_in_a_hundred_does_not_stretch_the_histogram() -> None:
    found = histogram(Counter({10: 99, 100_000: 1}))
    assert [(bar["start"], bar["count"]) for bar in found["bars"]] == [(10, 100)]
    assert (found["open"], found["longest"]) == (True, 100_000)


def test_of_very_many_documents_those_that_need_a_look_are_listed() -> None:
    documents: dict[str, dict[str, Any]] = {
        f"{number:03}.pdf": {"pages": 1, "chunks": 1, "recall": 1.0, "surplus": 0.0} for number in range(300)
    }
    documents["290.pdf"]["no_text"] = [1]
    documents["295.pdf"]["surplus"] = 0.01
    found = rows(documents, Counter(documents))
    names = [row["name"] for row in found]
    assert names == [f"{number:03}.pdf" for number in range(198)] + ["290.pdf", "295.pdf"]


# gather and the template


def test_every_figure_is_told(made: dict[str, Any]) -> None:
    text = " ".join(Reader(shown(made, settings(pages=30))).text.split())
    for figure in (
        "2 of 3 files became 3 chunks",
        "read of 3 (66.7%)",
        "encrypted 1 33.3%",
        "kept of 2,200 (43.2%)",
        "running line 1,234 56.1%",
        "kept of 4 (75.0%)",
        "n = 3 chunks. The shortest has 3 words, the longest 6; half have 3 to 6, the median is 3.",
        "a.pdf 29 2 0.9123 0.0456 Page 1 taken from PDFium",
        "notes.md 1 1 – –",
        "locked.pdf data/raw/locked.pdf is encrypted",
        "Part 1 › 1.1 Pumps chunk 1, page 1, 3 words, a.pdf-1-13",
    ):
        assert figure in text, figure


def test_pages_stand_beside_their_chunks(made: dict[str, Any]) -> None:
    page = shown(made, settings(pages=30))
    reader = Reader(page)
    images = reader.of("img")
    # 29 pages of the PDF; the Markdown file has chunks and no image.
    assert [image["alt"] for image in images] == [f"Image of a.pdf, page {n}" for n in range(1, 30)]
    kind, _, data = images[0]["src"].partition(",")
    assert kind == "data:image/webp;base64"
    assert size_of(base64.b64decode(data))[0] == 160
    assert "one two\nthree" in reader.text
    assert "↓ goes on to page 2" in reader.text
    assert "↑ began on page 1" in reader.text
    assert "No chunk stands on this page." in reader.text
    assert reader.text.count("A seal keeps the oil in.") == 1


def test_without_pages_the_figures_remain(made: dict[str, Any]) -> None:
    reader = Reader(shown(made, settings(pages=0)))
    assert not reader.of("img")
    assert not reader.of("article")
    assert "0.9123" in reader.text


def test_doubtful_pages_are_marked(made: dict[str, Any]) -> None:
    made["figures"]["documents"]["a.pdf"] |= {"apart": [[7, 0.5, 0.25]], "no_text": [9]}
    text = Reader(shown(made, settings(pages=4))).text
    assert "Documents (1 flagged)" in text
    assert "The two readers differ, most of all on page 7 (recall 0.50, surplus 0.25)" in text
    assert "a.pdf, page 7 the readers differ: recall 0.50, surplus 0.25" in text
    assert "a.pdf, page 9 no text layer" in text


def test_a_document_cannot_write_markup(made: dict[str, Any]) -> None:
    name = f"{PLANTED}\" onerror='x'.pdf".replace("/", "")
    Path("data/raw", name).symlink_to(DATA / "pdf/hr1904.pdf")
    made["records"] = [record(f"{PLANTED} and </div><img src=http://a.example>", 1, 1, name, PLANTED)]
    made["records"][0]["id"] = PLANTED
    made["figures"]["documents"] = {
        name: {"pages": 1, "chunks": 1},
        PLANTED: {"pages": 1, "chunks": 1, "no_text": [1]},
    }
    made["figures"]["failed"] = {f"x{PLANTED}": f"{PLANTED} cannot be read"}
    made["figures"]["chunks"] = account(1, **{PLANTED: 1})
    page = shown(made)
    reader = Reader(page)
    assert not {"script", "link", "iframe", "object", "base", "form"} & {tag for tag, _ in reader.elements}
    assert not [key for _, attributes in reader.elements for key in attributes if key.startswith("on")]
    assert len(reader.of("img")) == 1
    assert f"{PLANTED} and </div><img src=http://a.example>" in reader.text


def test_the_page_loads_nothing_from_elsewhere(made: dict[str, Any]) -> None:
    reader = Reader(shown(made))
    policy = next(meta for meta in reader.of("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"].startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    places = [value for _, found in reader.elements for key, value in found.items() if key in ("src", "href")]
    assert places
    assert all(place.startswith(("#", "data:image/webp")) for place in places)
    assert "url(" not in shown(made)
    assert "@import" not in shown(made)


def test_the_page_can_be_read_by_ear_and_by_keyboard(made: dict[str, Any]) -> None:
    reader = Reader(shown(made))
    assert reader.of("html")[0]["lang"] == "en"
    assert {"header", "nav", "main"} <= {tag for tag, _ in reader.elements}
    assert all(image["alt"] for image in reader.of("img"))
    assert all(cell.get("scope") in ("row", "col") for cell in reader.of("th"))
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = {link["href"][1:] for link in reader.of("a")}
    named |= {
        attributes["aria-labelledby"] for _, attributes in reader.elements if "aria-labelledby" in attributes
    }
    assert named <= set(ids)
    assert len(reader.of("table")) == len(reader.of("caption"))


def test_the_same_chunks_give_the_same_bytes(made: dict[str, Any]) -> None:
    assert shown(made) == shown(made)


def test_twenty_four_pages_are_about_two_megabytes_at_most(made: dict[str, Any]) -> None:
    page = shown(made, settings(width=640))
    assert page.count("<img ") == 23  # and notes.md
    assert len(page.encode()) < 2_500_000


def test_a_stage_that_has_not_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FolioError, match=r"metrics/chunk\.json is missing; run `dvc repro`"):
        gather(settings())


def test_the_command_writes_the_page_and_never_the_password(made: dict[str, Any]) -> None:
    Path("data/raw/a.pdf").unlink()
    Path("data/raw/a.pdf").symlink_to(ENCRYPTED)
    made["figures"]["documents"]["a.pdf"] |= {"pages": 1}
    shown(made)
    values = {"_target_": "stages.settings.preview.Preview", "pages": 2, "width": 160, "quality": 60}
    command = [sys.executable, "-m", "stages.preview", *(f"++preview.{key}={values[key]}" for key in values)]
    environment = os.environ | {"FOLIO_PDF_PASSWORD": SECRET, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = Path("report/chunks.html").read_text(encoding="utf-8")
    assert page.count("<img ") == 1
    assert SECRET not in page + done.stdout + done.stderr
    assert "2 pages beside their chunks in report/chunks.html" in done.stdout
