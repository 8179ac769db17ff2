import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.lines import MARK, clean, lines
from stages.sheet import Sheet, Span
from tests.sheets import PLACE, TEXT, letters_of, sheet, span, texts


def read(*spans: Span) -> list[str]:
    return texts(lines(sheet(spans)))


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("eﬃcient ﬁlters", "efficient filters"),
        ("inci\u00addent", "incident"),
        ("zero\u200bwidth \ufeffmark", "zerowidth mark"),
        ("two\t\n  words\u00a0here", "two words here"),
        ("bell\x07", "bell"),
        ("ＡＢＣ１", "ABC1"),
        ("plain", "plain"),
        ("two  blanks", "two blanks"),
        ("", ""),
    ],
)
def test_clean(raw: str, text: str) -> None:
    assert clean(raw) == text


def test_words_of_one_baseline_are_one_line() -> None:
    assert read(span("The", 72), span("pump", 90), span("runs.", 113)) == ["The pump runs."]


def test_pieces_that_touch_are_one_word() -> None:
    assert read(span("gear", 72), span("box", 92)) == ["gearbox"]


def test_a_wide_gap_parts_two_lines() -> None:
    # "left" ends at 92; a gap of 9.1 at a font size of 10 is wide, one of 8.9 is a blank.
    assert read(span("left", 72), span("right", 101.1)) == ["left", "right"]
    assert read(span("left", 72), span("right", 100.9)) == ["left right"]


def test_lines_come_from_top_to_bottom_and_from_left_to_right() -> None:
    assert read(span("d", 300, 112), span("c", 72, 112), span("b", 300), span("a", 72)) == [
        "a",
        "b",
        "c",
        "d",
    ]


def test_a_raised_number_is_marked_until_it_is_known_what_it_calls() -> None:
    assert read(span("engine"), span("3", 102, 98, size=6), span("runs", 108)) == [
        f"engine{MARK[0]}3{MARK[1]} runs"
    ]


def test_a_number_in_the_font_of_its_line_is_no_mark() -> None:
    assert read(span("engine"), span("3", 105)) == ["engine 3"]


def test_a_raised_word_is_no_mark() -> None:
    assert read(span("engine"), span("th", 102, 98, size=6)) == ["engineth"]


def test_the_line_has_the_size_of_its_longest_piece_and_the_box_of_all() -> None:
    (found,) = lines(sheet([span("engine"), span("room", 105, 98, size=12)]))
    assert (found.size, found.left, found.top, found.right, found.bottom) == (10, 72, 98, 129, 110)


def test_bold_is_what_is_bold_throughout() -> None:
    bold, mixed = (
        lines(sheet([span("Seals.", bold=True), span("They wear.", 105, bold=bold)]))[0]
        for bold in (True, False)
    )
    assert (bold.bold, bold.lead) == (True, False)
    assert (mixed.bold, mixed.lead) == (False, True)


def test_a_drop_cap_stands_before_the_first_of_the_lines_beside_it() -> None:
    # The reader sets the run beside an initial of two lines on the initial's own baseline.
    cap = Span("T", 72, 100, 92, 130, 30.0)
    beside = Span("he pump was opened at ", 94, 120, 199, 130, 10.0)
    after = Span("noon and closed again by the men.", 199, 108, 364, 118, 10.0)
    below = span("It was dry inside and out, they said.", 94, 120)
    assert read(cap, beside, after, below) == [
        "The pump was opened at noon and closed again by the men.",
        "It was dry inside and out, they said.",
    ]


def test_a_large_letter_without_lines_beside_it_stays_alone() -> None:
    assert read(span("A", 72, 100, size=40), span("a long line of running text here", 72, 300)) == [
        "A",
        "a long line of running text here",
    ]


def test_a_banner_that_overlaps_a_line_is_a_line_of_its_own() -> None:
    # A banner up the margin comes laid flat over the text.
    assert read(span("Some words of the running text", 72), span("available free of charge", 37)) == [
        "available free of charge",
        "Some words of the running text",
    ]


def test_a_span_drawn_twice_is_read_once() -> None:
    assert read(span("bold by overprinting"), span("bold by overprinting", 72.3, 100.2)) == [
        "bold by overprinting"
    ]


def test_the_same_word_at_two_places_is_read_twice() -> None:
    assert read(span("very", 72), span("very", 97), span("deep", 122)) == ["very very deep"]


@pytest.mark.parametrize("spans", [(" ",), ("",), ("\u00ad",), ("\n", "\t ")])
def test_spans_without_text_are_no_lines(spans: tuple[str, ...]) -> None:
    assert read(*map(span, spans)) == []


def test_blanks_at_the_end_of_a_span_take_no_room() -> None:
    # Four blanks are a quarter of the font's size each: the text ends at 92, 20 before the next.
    first, second = lines(sheet([span("cell    ", right=102.0), span("next", 112)]))
    assert (first.text, first.right) == ("cell", 92.0)
    assert second.text == "next"


def test_a_blank_at_the_end_of_a_span_parts_two_words() -> None:
    assert read(span("end ", right=89.5), span("begin", 89.5)) == ["end begin"]
    assert read(span("end", right=87.0), span(" begin", 87.0, right=114.5)) == ["end begin"]


@pytest.mark.parametrize("size", [0.0, -12.0, 5000.0])
def test_a_font_size_that_cannot_be_is_replaced(size: float) -> None:
    (found,) = lines(sheet([span("text")._replace(size=size)]))
    assert (found.text, found.size) == ("text", 10.0)


def test_a_box_much_taller_than_its_font_is_cut_to_its_last_line() -> None:
    (found,) = lines(sheet([Span("text", 72, 100, 92, 200, 10.0)]))
    assert (found.top, found.bottom) == (190.0, 200.0)


def test_a_degree_sign_drawn_over_the_blank_left_for_it_goes_there() -> None:
    assert read(span("at 40  C for"), span("°", 97.5, right=99.5)) == ["at 40°C for"]


def test_columns_of_vertical_writing_are_read_from_right_to_left() -> None:
    # A column's box begins at its first sign and ends left of it.
    first, second = (
        Span(text, left, 100, left - 50, 110, 10.0) for text, left in (("序は", 500), ("現象", 480))
    )
    assert read(second, first) == ["序は", "現象"]


ANY_SPAN = st.builds(
    Span,
    TEXT,
    PLACE,
    PLACE,
    PLACE,
    PLACE,
    st.one_of(st.sampled_from([0.0, -1.0, 6.0, 10.0, 40.0, 1e9]), st.floats(0.1, 100)),
    st.booleans(),
)


@given(st.lists(ANY_SPAN, max_size=30))
def test_no_letter_of_any_spans_is_lost_but_those_drawn_twice(spans: list[Span]) -> None:
    found = letters_of(texts(lines(Sheet(1, 600, 800, spans))))
    given = letters_of(clean(s.text) for s in spans)
    once = letters_of({(clean(s.text), s.left, s.top): clean(s.text) for s in spans}.values())
    assert found <= given
    assert set(found) == set(once)


@given(st.lists(ANY_SPAN, max_size=20, unique_by=lambda s: clean(s.text)))
def test_spans_of_different_texts_keep_every_letter(spans: list[Span]) -> None:
    assert letters_of(texts(lines(Sheet(1, 600, 800, spans)))) == letters_of(clean(s.text) for s in spans)


def crowd(count: int) -> dict[str, list[Span]]:
    words = [f"word{i}" for i in range(count)]
    caps = [
        span("A", 10, i, size=50) if i % 2 else span("more than twenty letters", 40, i) for i in range(count)
    ]
    return {
        "a table": [
            span(word, 12 * (i % 50), 12 * (i // 50), right=12 * (i % 50) + 8) for i, word in enumerate(words)
        ],
        "one row": [span(word, 40 * i) for i, word in enumerate(words)],
        "one place": [span(word, 72 + i / 100) for i, word in enumerate(words)],
        "initials": caps,
        "marks on a line": [
            span("x " * 2500, 0, right=1e4),
            *(span("°", 2 * i, right=2 * i + 3) for i in range(count)),
        ],
    }


@pytest.mark.parametrize("kind", crowd(0))
def test_five_thousand_spans_take_about_a_second_at_most(kind: str) -> None:
    spans = crowd(5000)[kind]
    start = time.process_time()
    lines(sheet(spans))
    assert time.process_time() - start < 2.5
