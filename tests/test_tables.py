import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.lines import Line, lines
from stages.sheet import Box
from stages.tables import with_rows
from tests.sheets import ANY_LINES, PLACE, grid, letters_of, line, sheet, span, stack, texts

# Three columns of 100 points and rows of 20 points.
DOWN = (70.0, 170.0, 270.0, 370.0)
ACROSS = (100.0, 120.0, 140.0, 160.0, 180.0)


def cells(*rows: str, top: float = 105.0, step: float = 20.0) -> list[Line]:
    """One line a cell; cells are parted by bars, an empty one has no line."""
    found = []
    for i, row in enumerate(rows):
        for text, left in zip(row.split("|"), DOWN, strict=False):
            if text.strip():
                found.append(line(text.strip(), left + 4, top + step * i))
    return found


def rows(lines: list[Line], rules: list[Box]) -> list[str]:
    return [row.text.replace("\n", "/") for row in with_rows(sheet(rules=rules), lines) if row.row]


FOUR = ("part|mass|price", "rotor|3 kg|9 $", "seal|1 kg|2 $", "bolt|0 kg|1 $")


def test_a_ruled_table_is_read_row_by_row() -> None:
    assert rows(cells(*FOUR), grid(ACROSS, DOWN)) == [row.replace("|", " | ") for row in FOUR]


def test_text_around_a_table_stays_as_it_is() -> None:
    above, below = line("Before.", 72, 60), line("After.", 72, 200)
    found = with_rows(sheet(rules=grid(ACROSS, DOWN)), [above, *cells(*FOUR), below])
    assert [part.text for part in found if not part.row] == ["Before.", "After."]
    assert sum(part.row for part in found) == 4


def test_the_lines_of_a_cell_stay_together() -> None:
    # The second row is two lines high, and only its second cell fills both.
    found = cells("part|mass|price", top=105)
    found += [
        *cells("rotor|three|9 $", top=125),
        line("kilograms", 174, 137),
        *cells("seal|1 kg|2 $", top=155),
    ]
    assert rows(found, grid((100, 120, 150, 170), DOWN)) == [
        "part | mass | price",
        "rotor | three/kilograms | 9 $",
        "seal | 1 kg | 2 $",
    ]


def test_the_lines_of_a_cell_need_not_be_level_with_those_beside() -> None:
    # A term in the middle of its cell, beside three lines.
    found = [
        line("rotor", 74, 117),
        *stack(["It turns", "and turns", "again."], 174, 105),
        *cells("seal|1 kg|2 $", "bolt|0 kg|1 $", top=150),
    ]
    assert rows(found, grid((100, 145, 165, 185), DOWN))[0] == "rotor | It turns/and turns/again."


def test_a_cell_over_several_columns_is_one_cell() -> None:
    rules = [
        *grid(ACROSS[1:], DOWN),
        (70.0, 100.0, 370.0, 100.5),
        (70.0, 100.0, 70.5, 120.0),
        (370.0, 100.0, 370.5, 120.0),
    ]
    title = line("all the parts of the pump that wear out", 74, 105)
    assert rows([title, *cells(*FOUR[1:], top=125)], rules)[0] == title.text


def test_an_empty_cell_leaves_no_trace() -> None:
    assert (
        rows(cells("part|mass|price", "rotor||9 $", "seal|1 kg|2 $", "bolt|0 kg|1 $"), grid(ACROSS, DOWN))[1]
        == "rotor | 9 $"
    )


def test_an_underline_within_a_cell_parts_no_rows() -> None:
    # Below the word "turns", which is the first of two lines.
    found = [*cells("rotor|it|9 $"), *cells("seal|1 kg|2 $", "bolt|0 kg|1 $", "nut|0 kg|1 $", top=145)]
    found += [line("turns it", 194, 105), line("round", 174, 117)]
    rules = [*grid((100, 140, 160, 180, 200), DOWN), (194.0, 115.5, 219.0, 116.0)]
    assert "round" in rows(found, rules)[0]
    assert len(rows(found, rules)) == 4


def test_rows_that_no_rule_parts_are_told_by_their_baselines() -> None:
    assert rows(cells(*FOUR, step=14), grid((100, 165), DOWN)) == [row.replace("|", " | ") for row in FOUR]


def test_rules_drawn_in_pieces_are_one_rule() -> None:
    pieces = []
    for y in ACROSS:
        pieces += [(x, y, x + 99.0, y + 0.5) for x in DOWN[:-1]]
    for x in DOWN:
        pieces += [(x, y, x + 0.5, y + 19.0) for y in ACROSS[:-1]]
    assert rows(cells(*FOUR), pieces) == [row.replace("|", " | ") for row in FOUR]


def test_a_box_around_text_is_no_table() -> None:
    text = stack(["A warning in a box:", "wear gloves at work.", "Wear them always."], 74, 105)
    text += cells("a|b", "c|d", "e|f", top=300)  # something side by side makes the reader look
    assert rows(text, grid((100, 150), (70, 370))) == []


def test_rules_without_anything_side_by_side_are_not_asked_for() -> None:
    def never() -> list[Box]:
        raise AssertionError("asked for")

    page = sheet()
    page.rules = never
    text = stack(["one", "two", "three", "four"])
    assert with_rows(page, text) == text


def test_a_table_without_rules_stays_as_lines() -> None:
    found = cells(*FOUR)
    assert with_rows(sheet(), found) == found


def test_two_tables_on_a_page_are_two() -> None:
    lower = [(x0, y0 + 200, x1, y1 + 200) for x0, y0, x1, y1 in grid(ACROSS, DOWN)]
    found = rows([*cells(*FOUR), *cells(*FOUR, top=305)], grid(ACROSS, DOWN) + lower)
    assert found == [row.replace("|", " | ") for row in FOUR] * 2


def test_words_that_only_a_rule_parts_are_two_cells() -> None:
    # "3 kg" ends 4 points before the rule and "9 $" begins 2 points behind it.
    spans = [span(part.text, part.left, part.top) for part in cells(*FOUR)]
    spans += [span("exceptionally heavy", 171, 185), span("dear", 272, 185)]
    page = sheet(spans, grid((*ACROSS, 200.0), DOWN))
    found = with_rows(page, lines(page))
    assert found[-1].text == "exceptionally heavy | dear"


BOX = st.builds(
    lambda x, y, w, h: (x, y, x + w, y + h), PLACE, PLACE, *[st.sampled_from([0.0, 0.5, 9.0, 300.0])] * 2
)


@given(ANY_LINES, st.lists(BOX, max_size=25))
def test_no_letter_is_lost_whatever_is_drawn(found: list[Line], rules: list[Box]) -> None:
    assert letters_of(texts(with_rows(sheet(rules=rules), found))) == letters_of(texts(found))


@given(st.lists(st.text("abc ", min_size=1, max_size=20), min_size=12, max_size=12))
def test_no_letter_of_a_ruled_table_is_lost(words: list[str]) -> None:
    found = [line(word, DOWN[i % 3] + 4, 105 + 20 * (i // 3)) for i, word in enumerate(words)]
    assert letters_of(texts(with_rows(sheet(rules=grid(ACROSS, DOWN)), found))) == letters_of(words)


def drawing(kind: str) -> list[Box]:
    if kind == "strokes":
        return [
            (30.0 * (i % 200), 5.0 * (i // 200), 30.0 * (i % 200) + 20, 5.0 * (i // 200) + 1)
            for i in range(20000)
        ]
    if kind == "boxes":
        corners = [(12.0 * (i % 50), 14.0 * (i // 50)) for i in range(2500)]
        return [rule for x, y in corners for rule in grid((y, y + 9), (x, x + 9))]
    return [
        *((12.0 * j, 12.0 * i, 12.0 * j + 12, 12.0 * i + 0.5) for i in range(101) for j in range(50)),
        *((12.0 * j, 12.0 * i, 12.0 * j + 0.5, 12.0 * i + 12) for i in range(100) for j in range(51)),
    ]


@pytest.mark.parametrize("kind", ["strokes", "boxes", "grid"])
def test_a_page_full_of_rules_takes_about_a_second_at_most(kind: str) -> None:
    found = [
        line(f"c{i}", 12.0 * (i % 50) + 1, 12.0 * (i // 50) + 1, right=12.0 * (i % 50) + 9)
        for i in range(5000)
    ]
    start = time.process_time()
    assert letters_of(texts(with_rows(sheet(rules=drawing(kind)), found))) == letters_of(texts(found))
    assert time.process_time() - start < 2.5
