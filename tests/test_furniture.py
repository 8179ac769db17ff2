import time
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given

from stages.furniture import remove, shape
from stages.lines import Line
from tests.sheets import ANY_PAGES, line, stack

PARTS = "intake gearbox flywheel rudder anchor winch mast hatch bilge keel".split()
Book = list[list[Line]]


def body(n: int, first: float = 80.0) -> list[Line]:
    """Ten lines of text between a page's head and its foot; no page repeats another's."""
    return stack((f"The {part} was opened by {chr(97 + n % 26) * (n + 3)}." for part in PARTS), 72, first)


def book(pages: int, *edges: Callable[[int], Line | None]) -> Book:
    """Pages of text with what `edges` put on the page of that index."""
    return [[*body(n), *filter(None, (edge(n) for edge in edges))] for n in range(pages)]


def removed(pages: Book) -> list[tuple[int, str, str]]:
    """Page index, reason and text of what goes; the rest has to be there in its order."""
    kept, gone = remove(pages)
    out = {(i, id(line)) for i, _, line in gone}
    assert kept == [[line for line in page if (i, id(line)) not in out] for i, page in enumerate(pages)]
    return [(i, reason, line.text) for i, reason, line in gone]


def every(count: int, reason: str, text: str) -> list[tuple[int, str, str]]:
    return [(i, reason, text.format(i + 1)) for i in range(count)]


def test_a_header_on_every_page_goes() -> None:
    assert removed(book(4, lambda n: line("PUMP GUIDE", 250, 30))) == every(4, "running_line", "PUMP GUIDE")


def test_headers_that_alternate_on_left_and_right_pages_go() -> None:
    found = removed(book(8, lambda n: line(("PUMP GUIDE", "J. Smith")[n % 2], (72, 440)[n % 2], 30)))
    assert [text for _, _, text in found] == ["PUMP GUIDE", "J. Smith"] * 4


def test_a_footer_with_the_page_number_within_goes() -> None:
    assert removed(book(4, lambda n: line(f"Pump guide, page {n + 1} of 90", 250, 760))) == every(
        4, "running_line", "Pump guide, page {} of 90"
    )


def test_a_chapter_name_goes_from_the_footer_where_other_chapters_have_theirs() -> None:
    names = ["Motors"] * 6 + ["Annex"] + ["Pumps"] * 5
    found = removed(book(12, lambda n: line(names[n], 72, 760)))
    assert [text for _, _, text in found] == names


@pytest.mark.parametrize(
    "number",
    [
        "{0}",
        "- {0} -",
        "[{0}]",
        "Page {0}",
        "Page {0} of 9",
        "page {0}/9",
        "p. {0}",
        "Seite {0} von 9",
        "A-{0}",
        "({0})",
    ],
)
@pytest.mark.parametrize("top", [30, 760])
def test_numbers_that_count_the_pages_go(number: str, top: float) -> None:
    assert removed(book(5, lambda n: line(number.format(n + 1), 290, top))) == every(5, "page_number", number)


def test_roman_numbers_that_count_the_pages_go() -> None:
    numbers = ["vii", "viii", "ix", "x", "xi", "xii"]
    found = removed(book(6, lambda n: line(numbers[n], 290, 760)))
    assert found == [(i, "page_number", number) for i, number in enumerate(numbers)]


def test_page_numbers_may_start_anywhere_and_change_their_side() -> None:
    found = removed(book(6, lambda n: line(str(n + 127), (72, 500)[n % 2], 30)))
    assert [reason for _, reason, _ in found] == ["page_number"] * 6


def test_a_number_in_the_row_of_a_footer_goes_with_it() -> None:
    found = removed(book(4, lambda n: line("Pump guide", 72, 760), lambda n: line(str(n + 1), 520, 760)))
    assert sorted(found) == sorted([*every(4, "running_line", "Pump guide"), *every(4, "page_number", "{}")])


@pytest.mark.parametrize("word", ["2020", "Civil", "mild", "7.5", "12345678", "I", "Mix"])
def test_what_stands_once_at_an_edge_is_no_page_number(word: str) -> None:
    pages = book(6, lambda n: line(word, 72, 760) if n == 3 else None)
    assert removed(pages) == []


def test_a_year_at_the_foot_of_every_page_is_a_running_line_and_no_page_number() -> None:
    assert removed(book(6, lambda n: line("2020", 72, 760))) == every(6, "running_line", "2020")


def test_numbers_at_the_edge_that_do_not_count_the_pages_stay() -> None:
    values = [3, 17, 4, 90, 41, 8]
    assert removed(book(6, lambda n: line(str(values[n]), 72, 760))) == []


def test_a_number_within_the_text_stays() -> None:
    assert removed([[*page, line(str(n + 1), 300, 140)] for n, page in enumerate(book(5))]) == []


def test_a_label_that_recurs_in_the_middle_of_pages_stays() -> None:
    pages = [
        [*stack(PARTS, 72, 40 + 9 * n), line("DISCUSSION", 72, 300 + 7 * n), *body(n, 400 + 11 * n)]
        for n in range(8)
    ]
    for n, page in enumerate(pages):
        page[: len(PARTS)] = stack((f"{part} {'x' * n}" for part in PARTS), 72, 40 + 9 * n)
    assert removed(pages) == []


def test_a_label_that_sometimes_begins_a_page_stays() -> None:
    # On 3 of 12 pages it stands at the very top, on 6 further down.
    pages = book(12)
    for n in range(9):
        pages[n].append(line("DISCUSSION", 72, 68 if n < 3 else 94 + 12 * n + 200))
    assert removed(pages) == []


def test_the_head_of_a_table_that_goes_on_over_pages_stays() -> None:
    pages = book(12)
    for n in (5, 6, 7):  # where the other pages have their first line of text
        pages[n][0] = line("Part Mass Price", 72, 80)
    assert removed(pages) == []


def test_a_sideways_banner_goes_wherever_it_stands() -> None:
    pages = [[*page, line("This copy is free of charge", 20, 140)] for page in book(5)]
    assert removed(pages) == every(5, "running_line", "This copy is free of charge")


@pytest.mark.parametrize("pages", [1, 2])
def test_a_line_on_all_of_one_or_two_pages_stays(pages: int) -> None:
    assert removed(book(pages, lambda n: line("PUMP GUIDE", 250, 30))) == []


@pytest.mark.parametrize("pages", [1, 2])
def test_of_one_or_two_pages_only_the_page_s_own_number_goes(pages: int) -> None:
    assert removed(book(pages, lambda n: line(f"{n + 1}", 290, 760))) == every(pages, "page_number", "{}")
    assert removed(book(pages, lambda n: line(f"{n + 17}", 290, 760))) == []


def test_words_that_recur_within_one_page_are_no_running_lines() -> None:
    # The head of a table: the same words side by side.
    head = [line(text, 72 + 60 * i, 30) for i, text in enumerate(["Long gun", "Other"] * 4)]
    assert removed([[*body(0), *head]]) == []


def test_the_rows_of_one_page_that_differ_in_numbers_alone_are_no_running_lines() -> None:
    row = [line(f"Sample {i}", 72 + 80 * i, 30) for i in range(5)]
    assert removed([[*body(0), *row]]) == []


def test_a_line_on_less_than_a_twentieth_of_the_pages_stays() -> None:
    assert (
        removed(
            book(
                80,
                lambda n: line("Safety first", 72, 30) if n < 4 else line(f"On {PARTS[n % 10] * n}", 72, 30),
            )
        )
        == []
    )


@pytest.mark.parametrize("step", [1, 5])
@pytest.mark.parametrize("left", [30, 560])
def test_line_numbers_in_a_margin_go(step: int, left: float) -> None:
    page = body(0)
    numbers = [line(str((i + 1) * step), left, page[i * (2 if step == 5 else 1)].top) for i in range(5)]
    found = removed([[*page, *numbers]])
    assert found == [(0, "line_number", str((i + 1) * step)) for i in range(5)]


def test_a_column_of_a_table_that_counts_its_rows_within_the_text_stays() -> None:
    page = body(0)
    numbers = [line(str(i + 1), 30, row.top) for i, row in enumerate(page[2:], start=2)]
    assert removed([[*page, *numbers, line("No. of the part that was opened", 30, 60)]]) == []


def test_the_number_of_a_title_at_the_top_of_a_lone_page_stays() -> None:
    assert removed([[line("1", 72, 40), line("Opening the intake", 90, 40), *body(0)]]) == []


def test_four_numbers_in_a_margin_are_no_line_numbers() -> None:
    page = body(0)
    assert removed([[*page, *(line(str(i + 1), 30, page[i + 3].top) for i in range(4))]]) == []


def test_numbers_in_a_margin_that_do_not_count_stay() -> None:
    page = body(0)
    values = [1, 2, 4, 8, 16]
    assert removed([[*page, *(line(str(v), 30, page[i + 2].top) for i, v in enumerate(values))]]) == []


@pytest.mark.parametrize("pages", [[], [[]], [[], [], []]])
def test_nothing_gives_nothing(pages: Book) -> None:
    assert remove(pages) == (pages, [])


@pytest.mark.parametrize(
    ("text", "wording"),
    [
        ("Pump Guide 12", "pump guide"),
        ("12 PUMP GUIDE", "pump guide"),
        ("Chapter iv of 9", "chapter # of"),
        ("17", ""),
    ],
)
def test_the_wording_of_a_line_has_neither_number_nor_case(text: str, wording: str) -> None:
    assert shape(text) == wording


@given(ANY_PAGES)
def test_any_lines_either_stay_in_order_or_go_for_a_reason(pages: Book) -> None:
    kept, gone = remove(pages)
    for i, page in enumerate(pages):
        out = [line for k, _, line in gone if k == i]
        assert len(kept[i]) + len(out) == len(page)
        assert {*map(id, kept[i]), *map(id, out)} == set(map(id, page))
        order = {id(line): k for k, line in enumerate(page)}
        assert [order[id(line)] for line in kept[i]] == sorted(order[id(line)] for line in kept[i])
    assert {reason for _, reason, _ in gone} <= {"running_line", "page_number", "line_number"}


@given(ANY_PAGES)
def test_of_one_page_no_line_is_a_running_line(pages: Book) -> None:
    for page in pages[:1]:
        assert "running_line" not in {reason for _, reason, _ in remove([page])[1]}


def pages_of(kind: str) -> Sequence[list[Line]]:
    match kind:
        case "2,000 pages of 3 lines":
            return [
                [line("Head", 72, 30), line(f"Text {'x' * n}", 72, 300), line(f"{n}", 300, 760)]
                for n in range(2000)
            ]
        case "a page of 5,000 lines":
            return [[line(f"word {'x' * (i % 90)}", 72, i / 7) for i in range(5000)]]
        case "5,000 lines at one place":
            return [[line("same", 72, 30) for _ in range(5000)] for _ in range(3)]
        case _:
            return [[line(f"w{i}n{n}", 72, 30 + i / 100) for i in range(400)] for n in range(30)]


@pytest.mark.parametrize(
    "kind", ["2,000 pages of 3 lines", "a page of 5,000 lines", "5,000 lines at one place", "crowded edges"]
)
def test_large_documents_take_about_a_second_at_most(kind: str) -> None:
    pages = pages_of(kind)
    start = time.process_time()
    remove(pages)
    assert time.process_time() - start < 2.5
