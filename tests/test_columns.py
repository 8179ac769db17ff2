import time
from itertools import chain

import pytest
from hypothesis import given

from stages.columns import flows
from stages.lines import Line
from tests.sheets import ANY_LINES, line, stack, texts

LEFT, RIGHT = 72.0, 310.0
WORDS = "the intake was opened and the gearbox was dried".split()


def prose(name: str, count: int = 8, left: float = LEFT, top: float = 100.0, chars: int = 44) -> list[Line]:
    """Lines of running text of one width; `name` and a number begin each of them."""
    filler = " ".join(WORDS)
    return stack((f"{name}{i} {filler}"[:chars] for i in range(count)), left, top)


def read(lines: list[Line]) -> list[list[str]]:
    """The first word of every line, flow by flow."""
    return [[text.split(" ")[0] for text in texts(flow)] for flow in flows(lines)]


def named(name: str, count: int, first: int = 0) -> list[str]:
    return [f"{name}{i}" for i in range(first, first + count)]


def test_one_column_is_one_flow() -> None:
    assert read(prose("a")) == [named("a", 8)]


def test_two_columns_are_read_one_after_the_other() -> None:
    assert read([*prose("b", left=RIGHT), *prose("a")]) == [named("a", 8), named("b", 8)]


def test_three_columns_are_read_one_after_the_other() -> None:
    columns = [prose(name, left=72 + 170 * i, chars=30) for i, name in enumerate("abc")]
    assert read([*chain.from_iterable(columns)]) == [named("a", 8), named("b", 8), named("c", 8)]


def test_columns_of_different_line_heights_are_columns() -> None:
    assert read([*prose("a"), *prose("b", left=RIGHT, top=105.0)]) == [named("a", 8), named("b", 8)]


def test_a_title_over_both_columns_comes_first() -> None:
    title = line("title of the whole page over both of its columns " * 2, LEFT, 60, right=530)
    assert [*chain.from_iterable(read([title, *prose("a"), *prose("b", left=RIGHT)]))] == [
        "title",
        *named("a", 8),
        *named("b", 8),
    ]


def test_a_table_over_both_columns_parts_what_stands_above_from_what_stands_below() -> None:
    above = [*prose("a"), *prose("b", left=RIGHT)]
    table = stack(["table of the whole page over both of its columns"] * 3, LEFT, 240, right=530)
    below = [*prose("c", top=320), *prose("d", left=RIGHT, top=320)]
    assert [*chain.from_iterable(read(above + table + below))] == [
        *named("a", 8),
        *named("b", 8),
        *["table"] * 3,
        *named("c", 8),
        *named("d", 8),
    ]


def test_the_last_line_of_a_paragraph_may_be_short_and_the_first_set_in() -> None:
    left = prose("a")
    left[3] = line("a3 short", LEFT, left[3].top)
    right = prose("b", left=RIGHT)
    right[4] = line("b4 set in by some points, as one", RIGHT + 12, right[4].top)
    assert read([*left, *right]) == [named("a", 8), named("b", 8)]


def test_a_figure_within_a_column_leaves_the_columns_as_they_are() -> None:
    # The second column goes on 30 lines further down, below a drawing.
    right = [*prose("b", 8, RIGHT), *prose("c", 8, RIGHT, 100 + 38 * 12)]
    found = read([*prose("a", 46), *right])
    assert [*chain.from_iterable(found)] == [*named("a", 46), *named("b", 8), *named("c", 8)]


def test_a_caption_in_the_column_of_its_figure_stays_there() -> None:
    caption = line("Figure 2. The intake, seen from the ship's", RIGHT, 400)
    right = [*prose("b", 20, RIGHT), caption, *prose("c", 8, RIGHT, 424)]
    found = [*chain.from_iterable(read([*prose("a", 35), *right]))]
    assert found == [*named("a", 35), *named("b", 20), "Figure", *named("c", 8)]


def test_terms_beside_their_explanations_are_no_columns() -> None:
    glossary = []
    for i in range(8):
        top = 100 + 36 * i
        glossary += [line(f"t{i} pump", LEFT, top), *prose(f"e{i}.", 2, 200, top)]
    (flow,) = read(glossary)
    assert flow[:3] == ["t0", "e0.0", "e0.1"]
    assert flow[3:6] == ["t1", "e1.0", "e1.1"]


def test_numbers_side_by_side_are_no_columns() -> None:
    table = [line(f"{n}{i}.25", 72 + 120 * k, 100 + 12 * i) for i in range(8) for k, n in enumerate("123")]
    assert len(read(table)) == 1


def test_names_beside_numbers_are_no_columns() -> None:
    table = []
    for i, word in enumerate(WORDS):
        table += [
            line(f"{word} housing of steel", 72, 100 + 12 * i),
            line(f"{i}.25 {i}.75", 310, 100 + 12 * i),
        ]
    assert len(read(table)) == 1


def test_three_lines_side_by_side_are_no_columns() -> None:
    # Two addresses, say: four lines make a column.
    assert len(read([*prose("a", 3), *prose("b", 3, RIGHT)])) == 1


def test_bullets_before_their_items_are_no_column() -> None:
    items = [
        part for i, text in enumerate(prose("a", left=90)) for part in (line("•", 72, 100 + 12 * i), text)
    ]
    assert len(read(items)) == 1


def test_nothing_gives_nothing() -> None:
    assert list(flows([])) == []


@given(ANY_LINES)
def test_every_line_is_read_exactly_once(lines: list[Line]) -> None:
    assert sorted(id(line) for flow in flows(lines) for line in flow) == sorted(map(id, lines))


def crowded(kind: str) -> list[Line]:
    text = "some text of letters"
    match kind:
        case "fifty columns":
            return [line(text, 120.0 * (i % 50), 12.0 * (i // 50)) for i in range(5000)]
        case "a thousand columns":
            return [line(text, 120.0 * (i % 1000), 10.5 * (i // 1000)) for i in range(5000)]
        case "a slope":
            return [line(text, float(i % 1000), float(i), right=i % 1000 + 50.0) for i in range(5000)]
        case _:
            return [line(text, 72.0, 100.0) for _ in range(5000)]


@pytest.mark.parametrize("kind", ["fifty columns", "a thousand columns", "a slope", "one place"])
def test_a_page_of_five_thousand_lines_takes_about_a_second_at_most(kind: str) -> None:
    start = time.process_time()
    assert sum(map(len, flows(crowded(kind)))) == 5000
    assert time.process_time() - start < 2.5
