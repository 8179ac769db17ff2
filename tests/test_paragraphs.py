from collections.abc import Sequence

import pytest

from stages.paragraphs import body_of, join
from tests.flows import FULL, kinds, prose
from tests.sheets import line


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
