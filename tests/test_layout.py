import time
from collections import Counter
from collections.abc import Sequence
from itertools import chain

import pytest
from hypothesis import given

from stages.blocks import Block
from stages.layout import Page, arrange, body_of, contents, join, letters, rows_of
from stages.lines import MARK, Line
from tests.sheets import ANY_PAGES, line, stack

FULL = 72.0 + 5 * 60  # the right end of lines of 60 letters


def prose(sentence: str, top: float, left: float = 72.0, **more: object) -> list[Line]:
    """A paragraph set in lines of 60 letters; the last may be shorter."""
    texts, rest = [], sentence
    while len(rest) > 60:
        cut = rest.rfind(" ", 0, 61)
        texts.append(rest[:cut])
        rest = rest[cut + 1 :]
    found = stack([*texts, rest], left, top, **more)  # type: ignore[arg-type]
    for part in found[:-1]:
        part.right = left + 300
    return found


BODY = prose(
    "The pump moves water from the hold to the sea, and it runs as long as the engine does. " * 4, 400
)


def arranged(*flows: Sequence[Line], skip_contents: bool = True) -> tuple[list[Block], Counter[str]]:
    """The blocks of the flows, each on a page of its own, followed by a page of text in the usual font."""
    dropped: Counter[str] = Counter()
    pages = [Page(i + 1, [list(flow)]) for i, flow in enumerate([*flows, BODY])]
    return [*chain.from_iterable(arrange(pages, dropped, skip_contents)[:-1])], +dropped


def kinds(*flows: Sequence[Line]) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in arranged(*flows)[0]]


def headings(*flows: Sequence[Line]) -> list[tuple[int, str]]:
    return [(block.level, block.text) for block in arranged(*flows)[0] if block.kind == "heading"]


# Headings


def test_a_line_in_a_larger_font_is_a_heading() -> None:
    assert kinds([line("Opening the intake", size=14), *prose("It opens upwards.", 130)]) == [
        ("heading", "Opening the intake"),
        ("paragraph", "It opens upwards."),
    ]


def test_a_bold_line_is_a_heading_where_the_text_is_not_bold() -> None:
    assert kinds([line("Opening the intake", bold=True), *prose("It opens upwards.", 130)])[0][0] == "heading"


def test_a_line_in_capitals_is_a_heading() -> None:
    assert kinds([line("OPENING THE INTAKE"), *prose("It opens upwards.", 130)])[0][0] == "heading"


def test_the_parts_of_a_number_give_the_level() -> None:
    found = headings(
        [
            line("1 Pumps", 72, 100, bold=True),
            line("1.1 Seals", 72, 140, bold=True),
            line("1.1.2 Springs", 72, 180, bold=True),
            line("2. Motors", 72, 220, bold=True),
        ]
    )
    assert found == [(1, "1 Pumps"), (2, "1.1 Seals"), (3, "1.1.2 Springs"), (1, "2. Motors")]


def test_the_font_gives_the_level_where_nothing_is_numbered() -> None:
    found = headings(
        [line("Seals", 72, 140, size=13), line("Pumps", 72, 100, size=18), line("Ropes", 72, 220, size=13)]
    )
    assert sorted(found) == [(1, "Pumps"), (2, "Ropes"), (2, "Seals")]


def test_a_heading_without_number_has_the_level_of_the_numbered_ones_in_its_font() -> None:
    found = headings(
        [
            line("1 Pumps", 72, 100, size=18),
            line("1.1 Seals", 72, 140, size=14),
            line("Ropes", 72, 220, size=14),
        ]
    )
    assert found == [(1, "1 Pumps"), (2, "1.1 Seals"), (2, "Ropes")]


def test_a_number_set_apart_from_its_title_belongs_to_it() -> None:
    assert headings(
        [line("2.1", 72, bold=True), line("Seals", 110, bold=True), *prose("They wear.", 130)]
    ) == [(2, "2.1 Seals")]


def test_a_chapter_s_number_and_the_title_below_are_one_heading() -> None:
    assert headings([line("CHAPTER TWO", size=18), line("THE ENGINE ROOM", 72, 140, size=14)]) == [
        (1, "CHAPTER TWO THE ENGINE ROOM")
    ]


@pytest.mark.parametrize("text", ["Appendix A", "APPENDIX B—SPARE PARTS", "Annex 2 Tools"])
def test_an_appendix_stands_at_the_first_level(text: str) -> None:
    assert headings(
        [line("1 Pumps", size=18), line("1.1 Seals", 72, 140, size=14), line(text, 72, 200, size=14)]
    )[-1] == (1, text)


def test_a_title_that_fills_its_line_goes_on_in_the_next() -> None:
    first, second = "How the intake is opened when the engine runs and", "the hatch is shut"
    title = [line(first, size=14, right=FULL), line(second, 72, 117, size=14)]
    assert kinds([*title, *prose("It is opened by hand.", 150)])[0] == ("heading", f"{first} {second}")


def test_a_centred_title_of_two_lines_is_one() -> None:
    title = [line("Opening", 187, 100, size=14), line("the intake by hand", 148.5, 117, size=14)]
    assert kinds([*title, *prose("It is opened by hand. " * 5, 150)])[0] == (
        "heading",
        "Opening the intake by hand",
    )


def test_authors_whose_list_goes_on_after_a_comma_stay_together() -> None:
    names = [line("By Ann Ropewalker, Bo Anchor, Cy Mast,", size=12), line("and Di Keel", 72, 115, size=12)]
    (first, *_) = kinds([*names, *prose("It is opened by hand. " * 5, 150)])
    assert first[1] == "By Ann Ropewalker, Bo Anchor, Cy Mast, and Di Keel"


def test_of_a_numbered_bold_sentence_the_number_is_the_heading_and_the_sentence_text() -> None:
    sentence = "Open the intake before the engine is started."
    assert kinds([line(f"3.1.2 {sentence}", bold=True), *prose("It is opened by hand.", 130)])[:2] == [
        ("heading", "3.1.2"),
        ("paragraph", sentence),
    ]


def test_a_paragraph_that_begins_in_bold_is_no_heading() -> None:
    found = kinds(
        [line("Seals. They wear and are renewed each year.", lead=True), *prose("So do ropes.", 130)]
    )
    assert found[0] == ("paragraph", "Seals. They wear and are renewed each year.")


def test_paragraphs_that_begin_in_bold_are_parted() -> None:
    leads = [line("Seals. They wear.", 72, 100, lead=True), line("Ropes. They rot.", 72, 112, lead=True)]
    assert [text for _, text in kinds(leads)] == ["Seals. They wear.", "Ropes. They rot."]


@pytest.mark.parametrize(
    "text", ["Figure 2. The intake", "Table 3-1: Parts", "TABLE 4 PARTS OF THE PUMP", "Exhibit A-1 Ropes"]
)
def test_a_caption_is_no_heading(text: str) -> None:
    assert kinds([line(text, bold=True), *prose("It is opened by hand.", 130)])[0] == ("paragraph", text)


@pytest.mark.parametrize("text", ["intake and outlet", "• Intake", "Sold by Smith, Jones, and,", "12.5"])
def test_what_is_only_set_in_bold_is_no_heading(text: str) -> None:
    assert "heading" not in dict(kinds([line(text, bold=True), *prose("It is opened by hand.", 130)]))


def test_a_long_bold_text_is_no_heading() -> None:
    warning = prose("warning " * 30, 100, bold=True)
    assert "heading" not in dict(kinds(warning))


def test_a_label_that_recurs_forty_times_is_text() -> None:
    labels = [line("Note", 72, 30.0 * i, bold=True) for i in range(40)]
    assert {block.kind for block in arranged(labels)[0]} == {"paragraph"}
    assert {block.kind for block in arranged(labels[1:])[0]} == {"heading"}


# Items and paragraphs


@pytest.mark.parametrize("bullet", ["•", "▪", "–", "*", "-", "\uf0b7", "·"])
def test_bullets_make_items(bullet: str) -> None:
    found = [line(f"{bullet} open the intake", 72, 100), line(f"{bullet} close it", 72, 112)]
    assert kinds(found) == [("item", "- open the intake"), ("item", "- close it")]


@pytest.mark.parametrize("form", ["{}.", "{})", "({})"])
@pytest.mark.parametrize("marks", ["123", "abc", ("i", "ii", "iii")])
def test_enumerators_make_items(form: str, marks: Sequence[str]) -> None:
    found = [
        line(f"{form.format(mark)} open number {i} first.", 72, 100 + 12 * i) for i, mark in enumerate(marks)
    ]
    assert kinds(found) == [("item", part.text) for part in found]


def test_a_bullet_set_apart_belongs_to_its_item() -> None:
    found = [
        line("•", 72, 100),
        line("open the intake", 90, 100),
        line("•", 72, 112),
        line("close it", 90, 112),
    ]
    assert kinds(found) == [("item", "- open the intake"), ("item", "- close it")]


def test_an_item_goes_on_below_its_text() -> None:
    found = [
        line("•", 72),
        line("open the intake with both", 90, right=FULL),
        line("hands and close it", 90, 112),
    ]
    assert kinds([*found, line("•", 72, 124), line("rest", 90, 124)]) == [
        ("item", "- open the intake with both hands and close it"),
        ("item", "- rest"),
    ]


def test_a_first_line_that_is_set_in_begins_a_paragraph() -> None:
    one = prose(
        "The intake opens upwards when the handle is turned to the left, and so it goes on to do.", 100
    )
    two = prose(
        "The outlet opens downwards when the handle is turned to the left, and it goes on as well.", 124
    )
    two[0].left += 15
    assert len(kinds([*one, *two])) == 2


def test_a_hanging_indent_holds_a_paragraph_together() -> None:
    entry = prose(
        "Smith, J. (2001). On the many intakes of the ship and how they are opened. Volume 12.", 100
    )
    entry[1].left += 20
    other = prose(
        "Taylor, A. (2003). On the many outlets of the ship and how they are closed. Volume 3.", 124
    )
    other[1].left += 20
    assert [text[:6] for _, text in kinds([*entry, *other])] == ["Smith,", "Taylor"]


def test_a_gap_parts_paragraphs() -> None:
    one, two = (
        prose("It opens upwards when the handle is turned to the left, and it goes on to do so.", top)
        for top in (100, 140)
    )
    assert len(kinds([*one, *two])) == 2


def test_a_short_last_line_ends_a_paragraph() -> None:
    one = prose("The intake opens upwards when the handle is turned to the left, then rests.", 100)
    two = prose("The outlet opens downwards when the handle is turned to the left, and rests too.", 124)
    assert len(kinds([*one, *two])) == 2


def test_double_spaced_lines_are_one_paragraph() -> None:
    # As in manuscripts and court filings: 24 points from line to line at a font size of 10.
    sentence = "The pump moves water from the hold to the sea, and it runs as long as the engine does; " * 4
    assert len(kinds(prose(sentence.strip("; ") + ".", 100, step=24.0))) == 1


def test_a_line_that_is_loosely_set_is_no_table_row() -> None:
    # Wide blanks behind sentences, one line below the other.
    lines = [
        line("The intake opens upwards with care.", 72, 100),
        line("It closes, too.", 261, 100, right=FULL),
    ]
    lines += [
        line("The outlet opens downwards.", 72, 112),
        line("It closes as well, and", 219, 112, right=FULL),
    ]
    lines += [line("rests.", 72, 124)]
    assert kinds(lines) == [
        (
            "paragraph",
            "The intake opens upwards with care. It closes, too. The outlet opens downwards. "
            "It closes as well, and rests.",
        )
    ]


def test_terms_beside_their_explanations_are_rows() -> None:
    found = []
    for i, (term, text) in enumerate(
        [("GC", "gas chromatograph"), ("IDL", "detection limit"), ("eV", "electron volt")]
    ):
        found += [line(term, 72, 100 + 14 * i), line(text, 160, 100 + 14 * i)]
    found += [line("TIOC", 72, 142), line("compound that has been identified tentatively", 160, 142)]
    assert kinds(found)[:3] == [
        ("row", "GC | gas chromatograph"),
        ("row", "IDL | detection limit"),
        ("row", "eV | electron volt"),
    ]


def test_a_term_of_two_lines_beside_its_explanation_is_one_term() -> None:
    found = [
        line("Incident", 72, 100),
        line("A violation or the imminent threat of one", 160, 100, right=FULL),
    ]
    found += [line("handling", 72, 112), line("of a rule.", 160, 112)]
    (block,) = arranged(found)[0]
    assert (
        block.text.replace(" |", "")
        == "Incident handling A violation or the imminent threat of one of a rule."
    )


def test_cells_side_by_side_in_several_rows_are_rows() -> None:
    found = [
        part
        for i in range(3)
        for part in (line("rotor", 72, 100 + 12 * i), line(f"{i} kg", 200, 100 + 12 * i))
    ]
    assert kinds(found) == [("row", f"rotor | {i} kg") for i in range(3)]


# Contents


def test_contents_lines_with_leaders_go() -> None:
    entries = [
        line(f"{i} Chapter {'of the pump ' * i}........ {i * 3}", 72, 100 + 12 * i) for i in range(1, 4)
    ]
    blocks, dropped = arranged([line("Contents", size=14), *entries])
    assert [block.text for block in blocks] == ["Contents"]
    assert dropped == {"contents_line": sum(letters(part.text) for part in entries)}


def test_contents_lines_without_leaders_go_where_their_numbers_rise() -> None:
    entries = []
    for i, title in enumerate(["Pumps", "Seals", "Ropes", "Motors", "Tools", "Index"]):
        entries += [line(title, 72, 100 + 12 * i), line(str(4 * i + 1), 350, 100 + 12 * i)]
    assert arranged(entries)[0] == []


def test_a_table_whose_numbers_rise_and_fall_stays() -> None:
    entries = []
    for i, mass in enumerate([9, 3, 12, 5, 40, 2]):
        entries += [line(f"rotor {'abcdef'[i]}", 72, 100 + 12 * i), line(str(mass), 350, 100 + 12 * i)]
    assert len(arranged(entries)[0]) == 6


def test_contents_stay_where_they_are_asked_for() -> None:
    entry = line("1 Pumps ........ 3")
    assert arranged([entry], skip_contents=False)[0] != []


def test_an_ellipsis_is_no_leader() -> None:
    assert contents(rows_of([line("and so on... 3")])) == set()


# Footnotes


def test_a_footnote_and_the_mark_that_calls_it_lose_their_number() -> None:
    text = prose(f"The pump is old{MARK[0]}7{MARK[1]} and runs well.", 100)
    note = line(f"{MARK[0]}7{MARK[1]} It was built in 1901.", 72, 300, size=8)
    blocks, dropped = arranged([*text, note])
    assert [(block.kind, block.text) for block in blocks] == [
        ("paragraph", "The pump is old and runs well."),
        ("footnote", "It was built in 1901."),
    ]
    assert dropped == {"footnote_mark": 2}


def test_a_raised_number_that_calls_no_footnote_stays() -> None:
    assert kinds(prose(f"An area of 3 m{MARK[0]}2{MARK[1]} is enough.", 100)) == [
        ("paragraph", "An area of 3 m2 is enough.")
    ]


def test_a_raised_number_that_stands_alone_at_the_foot_leaves_no_mark() -> None:
    text = prose(f"The pump is old{MARK[0]}7{MARK[1]} and runs well.", 100)
    blocks, _ = arranged([*text, line(f"{MARK[0]}7{MARK[1]}", 72, 300, size=6)])
    assert not any(mark in block.text for block in blocks for mark in MARK)


def test_small_print_without_a_number_at_the_foot_is_no_footnote() -> None:
    text = prose("The pump is old and runs well.", 100)
    assert kinds([*text, line("Source: the builder.", 72, 300, size=8)])[-1][0] == "paragraph"


# Joining


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        ("the infor-", "mation", "the information"),  # a broken word
        ("a well-", "known pump", "a well-known pump"),  # both halves are words of the document
        ("a re-", "use", "a re-use"),  # so is the compound
        ("pages 12-", "14", "pages 12-14"),
        ("pages 12–", "14", "pages 12–14"),
        ("type B-", "12", "type B-12"),
        ("the Navier-", "Stokes rule", "the Navier-Stokes rule"),
        ("http://a.example/", "pumps", "http://a.example/pumps"),
        ("pumps@", "a.example", "pumps@a.example"),
        ("pumps -", "the old ones", "pumps - the old ones"),
        ("pump and", "seal", "pump and seal"),
        ("第1章", "検査", "第1章検査"),  # no blanks between words
        ("検査 ok", "pumps", "検査 ok pumps"),
        ("", "", ""),
    ],
)
def test_lines_are_joined(first: str, second: str, joined: str) -> None:
    assert join([first, second], {"well", "known", "re-use"}) == joined


def test_a_line_break_within_a_cell_is_joined_as_well() -> None:
    assert join(["rotor | infor-\nmation"], set()) == "rotor | information"


def test_the_words_of_a_document_leave_out_the_ends_of_lines() -> None:
    words = body_of([[line("mation of the well-known in-")]]).words
    assert words == {"of", "the", "well-known", "well", "known"}


def test_the_body_s_font_is_that_of_most_letters() -> None:
    found = body_of([[line("Title", size=18), line("a long line of text", size=10.1, bold=True)]])
    assert (found.size, found.bold) == (10.0, True)


# Any lines


@given(ANY_PAGES)
def test_letters_in_are_letters_kept_and_letters_dropped(pages: list[list[Line]]) -> None:
    dropped: Counter[str] = Counter()
    blocks = [
        *chain.from_iterable(arrange([Page(i, [flow]) for i, flow in enumerate(pages, 1)], dropped, True))
    ]
    given = sum(letters(line.text) for page in pages for line in page)
    assert given == sum(letters(block.text) for block in blocks) + dropped.total()
    assert all(1 <= block.level <= 6 for block in blocks if block.kind == "heading")
    assert not any(mark in block.text for block in blocks for mark in MARK)


def large(kind: str) -> list[list[Line]]:
    match kind:
        case "a paragraph of cut words":
            return [[line("words that go on without an end in sight-", 72, 12.0 * i) for i in range(5000)]]
        case "2,000 pages":
            return [
                [line(f"Some words of text {k} {'x' * n}"[:90], 72, 12.0 * k) for k in range(3)]
                for n in range(2000)
            ]
        case "headings in many fonts":
            return [[line(f"Heading {i}", 72, 3000.0 * i, size=10 + i / 2) for i in range(5000)]]
        case _:
            return [[line("." * 5000 + "x", 72, 12.0 * i) for i in range(100)]]


@pytest.mark.parametrize(
    "kind", ["a paragraph of cut words", "2,000 pages", "headings in many fonts", "dots"]
)
def test_large_documents_take_about_a_second_at_most(kind: str) -> None:
    pages = [Page(i, [flow]) for i, flow in enumerate(large(kind), 1)]
    start = time.process_time()
    arrange(pages, Counter(), True)
    assert time.process_time() - start < 2.5
