from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import document
from stages.blocks import Block, Kind, Passage
from stages.compose import compose
from stages.document import Reader, join_over_pages, without_sections
from stages.errors import FolioError
from stages.lines import letters
from stages.option import build
from stages.parser.oxide import Oxide
from stages.settings.chunk import Chunk
from stages.sheet import Sheet, Span
from tests.imports import ROOT
from tests.sheets import pdf, span

NASTY = ROOT / "tests/data/nasty"
SETTINGS: Chunk = build(compose(ROOT / "conf"), "chunk")


def no_ocr(path: Path, pages: Sequence[int], password: str | None) -> list[Sheet]:
    return []


def one_by_one(blocks: Iterable[Block]) -> Iterator[Passage]:
    """Every block is a passage of its own."""
    for block in blocks:
        yield Passage(block.text, block.pages, ())


def whole(blocks: Iterable[Block]) -> list[Block]:
    return list(blocks)


def paragraph(text: str, page: int = 1, kind: Kind = "paragraph", level: int = 0) -> Block:
    return Block(kind, text, (page, page), level)


def joined(*units: list[Block]) -> list[tuple[str, str, tuple[int, int]]]:
    return [(block.kind, block.text, block.pages) for block in join_over_pages(units)]


# Over the ends of columns and pages


def test_a_paragraph_that_a_page_s_end_cuts_is_one_with_both_pages() -> None:
    assert joined([paragraph("The pump is", 1)], [paragraph("old.", 2), paragraph("It runs.", 2)]) == [
        ("paragraph", "The pump is old.", (1, 2)),
        ("paragraph", "It runs.", (2, 2)),
    ]


def test_a_paragraph_may_go_on_over_several_pages() -> None:
    assert joined([paragraph("The pump", 1)], [paragraph("is very", 2)], [paragraph("old.", 3)]) == [
        ("paragraph", "The pump is very old.", (1, 3))
    ]


@pytest.mark.parametrize("end", [".", "!", "?", ":", ".”", '."', ".)", "。"])
def test_a_sentence_that_ends_with_its_page_is_closed(end: str) -> None:
    assert len(joined([paragraph(f"The pump is old{end}", 1)], [paragraph("it runs.", 2)])) == 2


def test_a_long_text_that_stops_in_the_middle_goes_on_in_capitals() -> None:
    start = "The pump moves water from the hold to the sea, and it was built in the year of the Great"
    assert len(joined([paragraph(start, 1)], [paragraph("Fire by Smith.", 2)])) == 1
    assert len(joined([paragraph("Spare parts", 1)], [paragraph("Ropes are kept aft.", 2)])) == 2


def test_a_word_cut_by_a_page_s_end_keeps_its_hyphen() -> None:
    assert joined([paragraph("a well-", 1)], [paragraph("known pump.", 2)])[0][1] == "a well-known pump."


def test_an_item_goes_on_and_a_heading_does_not() -> None:
    assert len(joined([paragraph("- open the", 1, "item")], [paragraph("intake.", 2)])) == 1
    assert len(joined([paragraph("Opening the", 1, "heading", 1)], [paragraph("intake.", 2)])) == 2
    assert len(joined([paragraph("The pump is", 1)], [paragraph("Old pumps", 2, "heading", 1)])) == 2
    assert len(joined([paragraph("The pump is", 1)], [paragraph("- old.", 2, "item")])) == 2


def test_a_footnote_does_not_tear_the_paragraph_that_goes_on_over_the_page() -> None:
    found = joined(
        [paragraph("The pump is", 1), paragraph("Built in 1901.", 1, "footnote")], [paragraph("old.", 2)]
    )
    assert [text for _, text, _ in found] == ["The pump is old.", "Built in 1901."]


def test_a_footnote_follows_the_paragraph_that_calls_it() -> None:
    found = joined(
        [paragraph("The pump is old.", 1), paragraph("Built in 1901.", 1, "footnote")], [paragraph("So.", 2)]
    )
    assert [text for _, text, _ in found] == ["The pump is old.", "Built in 1901.", "So."]


def test_two_paragraphs_of_one_page_stay_two() -> None:
    assert len(joined([paragraph("The pump is"), paragraph("old.")])) == 2


BLOCK = st.builds(
    Block,
    st.sampled_from(["heading", "paragraph", "item", "row", "footnote"]),
    st.text(st.sampled_from("aB1-. "), min_size=1, max_size=100),
    st.just((1, 1)),
    st.just(1),
)


@given(st.lists(st.lists(BLOCK, max_size=8), max_size=5))
def test_joining_keeps_every_letter(units: list[list[Block]]) -> None:
    given = Counter("".join(block.text for unit in units for block in unit).replace(" ", ""))
    assert Counter("".join(block.text for block in join_over_pages(units)).replace(" ", "")) == given


# Sections that nobody asks about


def test_a_section_goes_with_its_subsections() -> None:
    blocks = [
        paragraph("Index", 1, "heading", 1),
        paragraph("pump 3"),
        paragraph("Ropes", 1, "heading", 2),
        paragraph("rope 4"),
        paragraph("Annex", 1, "heading", 1),
        paragraph("It stays."),
    ]
    dropped: Counter[str] = Counter()
    assert without_sections(blocks, ["INDEX"], dropped) == blocks[4:]
    assert dropped == {"skipped_section": len("Indexpump3Ropesrope4")}


def test_a_section_at_a_deeper_level_ends_with_the_next_of_its_level() -> None:
    blocks = [paragraph("Thanks", 1, "heading", 2), paragraph("To all."), paragraph("Pumps", 1, "heading", 2)]
    assert without_sections(blocks, ["thanks"], Counter()) == blocks[2:]


def test_a_heading_that_only_begins_with_the_name_stays() -> None:
    blocks = [paragraph("Index of pumps", 1, "heading", 1)]
    assert without_sections(blocks, ["Index"], Counter()) == blocks


# Whole files


SENTENCES = [
    f"{start} {verb} {thing} when the ship {end}."
    for start, verb, thing, end in zip(
        ["The pump", "A valve", "One rope", "No seal", "This mast", "Each keel"],
        ["moves", "holds", "carries", "loses", "bears", "meets"],
        ["water", "steam", "a sail", "oil", "the wind", "the sea"],
        ["rolls", "turns", "stops", "leaves", "lands", "sinks"],
        strict=True,
    )
]


def written(
    tmp_path: Path, pages: Sequence[Sequence[tuple[str, float, float, float]]], name: str = "a.pdf"
) -> Path:
    path = tmp_path / name
    path.write_bytes(pdf(pages))
    return path


def text_of(n: int) -> list[tuple[str, float, float, float]]:
    return [(f"{SENTENCES[(n + i) % 6]}", 72, 700 - 20 * i - 3 * n, 10) for i in range(6)]


def reader(parser: document.Parser | None = None, settings: Chunk = SETTINGS) -> Reader:
    return Reader(parser or Oxide(name="oxide"), no_ocr, one_by_one, settings)


def test_every_letter_of_a_file_is_kept_or_dropped_for_a_reason(tmp_path: Path) -> None:
    edges = [[("PUMP GUIDE", 250, 770, 8), (f"Page {n + 1}", 290, 30, 8)] for n in range(5)]
    path = written(tmp_path, [[*text_of(n), *edges[n]] for n in range(5)])
    records, figures = reader()(path, "a.pdf")
    assert figures.pages == 5
    assert figures.dropped["running_line"] == 5 * len("PUMPGUIDE")
    assert figures.dropped["page_number"] == 5 * len("Page1")
    kept = sum(letters(record["text"]) for record in records)
    assert figures.characters == kept + figures.dropped.total()
    assert not [record for record in records if "PUMP GUIDE" in record["text"]]


def test_a_record_names_its_document_and_pages_and_its_id_depends_on_both_text_and_document(
    tmp_path: Path,
) -> None:
    path = written(tmp_path, [text_of(0)])
    (first, *_), (other, *_) = (reader()(path, name)[0] for name in ("a.pdf", "b.pdf"))
    assert (first["document"], first["pages"]) == ("a.pdf", [1, 1])
    assert len(first["id"]) == 16
    assert first["id"] != other["id"]
    assert first["id"] == reader()(path, "a.pdf")[0][0]["id"]


def test_a_text_that_recurs_in_a_document_has_a_numbered_id() -> None:
    def twice(path: Path, password: str | None) -> list[Sheet]:
        spans = [span("The pump runs.", 72, top) for top in (100, 300)]
        return [Sheet(1, 600, 800, spans)]

    twice.name = "pdfium"  # type: ignore[attr-defined]
    records, _ = reader(twice)(Path("a.pdf"), "a.pdf")
    assert records[1]["id"] == f"{records[0]['id']}-2"


def test_the_two_readers_agree_on_a_sound_file(tmp_path: Path) -> None:
    _, figures = reader()(written(tmp_path, [text_of(0), text_of(1)]), "a.pdf")
    assert figures.agreement == document.Agreement(1.0, 0.0)
    assert figures.reread == []


def misread(page: int) -> document.Parser:
    """A parser that takes the letters of one page for others."""

    def parse(path: Path, password: str | None) -> list[Sheet]:
        sheets = Oxide(name="oxide")(path, password)
        wrong: list[Span] = [s._replace(text=f"{s.text[::-1]}") for s in sheets[page - 1].spans]
        sheets[page - 1].spans = wrong
        return sheets

    return parse


def test_a_page_that_pdfium_reads_better_is_taken_from_it(tmp_path: Path) -> None:
    path = written(tmp_path, [text_of(n) for n in range(4)])
    records, figures = reader(misread(2))(path, "a.pdf")
    sound, _ = reader()(path, "a.pdf")
    assert figures.reread == [2]
    assert figures.agreement == document.Agreement(1.0, 0.0)
    text, expected = (" ".join(record["text"] for record in part) for part in (records, sound))
    assert text == expected


def test_a_page_whose_words_no_other_page_knows_is_not_read_again(tmp_path: Path) -> None:
    _, figures = reader(misread(1))(written(tmp_path, [text_of(0)]), "a.pdf")
    assert figures.reread == []
    assert figures.worst[0][0] == 1
    assert figures.agreement is not None
    assert figures.agreement.recall < 0.5


def test_a_page_without_text_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    records, figures = reader()(written(tmp_path, [text_of(0), [], text_of(2)]), "a.pdf")
    assert records
    assert figures.lost == {"no_text": [2]}
    assert figures.refused is None


def test_ocr_is_asked_for_the_pages_without_text_alone(tmp_path: Path) -> None:
    asked: list[Sequence[int]] = []

    def ocr(path: Path, pages: Sequence[int], password: str | None) -> list[Sheet]:
        asked.append(pages)
        return [Sheet(n, 600, 800, [span(f"Recognised page {n}.")]) for n in pages]

    path = written(tmp_path, [text_of(0), [], text_of(2)])
    records, figures = Reader(Oxide(name="oxide"), ocr, one_by_one, SETTINGS)(path, "a.pdf")
    assert asked == [[2]]
    assert figures.lost == {}
    assert "Recognised page 2." in [record["text"] for record in records]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("corrupt_zero_bytes.pdf", "unreadable"),
        ("corrupt_no_catalog.pdf", "unreadable"),
        ("zero_pages_page_object_missing.pdf", "unreadable"),
        ("enc_unknown_password.pdf", "encrypted"),
        ("enc_aes256r6_needs_password.pdf", "encrypted"),
        ("corrupt_content_stream.pdf", "no_text"),
    ],
)
def test_a_file_that_gives_nothing_says_why(name: str, reason: str) -> None:
    records, figures = reader()(NASTY / name, name)
    assert records == []
    assert figures.refused is not None
    assert figures.refused[0] == reason
    assert name in figures.refused[1]


def test_a_damaged_file_that_is_called_password_is_not_encrypted(tmp_path: Path) -> None:
    path = tmp_path / "password-rules.pdf"
    path.write_bytes(b"%PDF-1.7 and then nothing of use")
    _, figures = reader()(path, path.name)
    assert figures.refused is not None
    assert figures.refused[0] == "unreadable"


def test_a_text_layer_without_meaning_is_garbage() -> None:
    def parse(path: Path, password: str | None) -> list[Sheet]:
        return [Sheet(1, 600, 800, [span("\ue001\ue002\ue003\ue004 \ue005")])]

    parse.name = "pdfium"  # type: ignore[attr-defined]
    records, figures = reader(parse)(Path("a.pdf"), "a.pdf")
    assert records == []
    assert figures.lost == {"garbage": [1]}
    assert figures.refused is not None
    assert figures.refused[0] == "garbage"


def test_a_page_full_of_indices_is_no_garbage() -> None:
    text = "H\x012\x02O and CO\x012\x02 react to H\x012\x02CO\x013\x02."
    page = document._Page(Sheet(1, 600, 800, [Span(text, 72, 100, 300, 110, 10)]))
    assert page.lack is None
    assert page.text == "H2O and CO2 react to H2CO3."


class SlowOcr:
    """Reads what it is asked for, as if that took long."""

    seconds = 60.0
    remedy = "run with ocr=tesseract"

    def __call__(self, path: Path, pages: Sequence[int], password: str | None = None) -> list[Sheet]:
        raise AssertionError("no page may be begun that the time of the file does not allow")


def test_ocr_begins_no_page_that_the_time_of_its_file_does_not_allow(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf([[("The pump moves water up.", 72, 700, 10)], []]))
    short = replace(SETTINGS, seconds=30.0)
    records, figures = Reader(Oxide(name="oxide"), SlowOcr(), one_by_one, short)(path, "a.pdf")
    assert [record["text"] for record in records] == ["The pump moves water up."]
    assert figures.lost == {"no time is left for OCR; raise chunk.seconds": [2]}


def test_a_fault_of_ocr_leaves_the_other_pages(tmp_path: Path) -> None:
    def broken(path: Path, pages: Sequence[int], password: str | None = None) -> list[Sheet]:
        raise FolioError("tesseract is gone")

    path = tmp_path / "a.pdf"
    path.write_bytes(pdf([[("The pump moves water up.", 72, 700, 10)], []]))
    records, figures = Reader(Oxide(name="oxide"), broken, one_by_one, SETTINGS)(path, "a.pdf")
    assert len(records) == 1
    assert figures.lost == {"tesseract is gone": [2]}


def test_pdfium_reads_a_file_that_the_parser_cannot_open(tmp_path: Path) -> None:
    def closed(path: Path, password: str | None = None) -> list[Sheet]:
        raise FolioError(f"{path} cannot be read: no catalog")

    path = tmp_path / "a.pdf"
    path.write_bytes(pdf([[("The pump moves water up.", 72, 700, 10)]]))
    records, figures = reader(closed)(path, "a.pdf")
    assert [record["text"] for record in records] == ["The pump moves water up."]
    assert figures.reread == [1]
