import time
from collections import Counter
from itertools import chain

import pytest
from hypothesis import given

from stages.layout import Page, arrange
from stages.lines import MARK, Line, letters
from tests.flows import arranged, kinds, prose
from tests.sheets import ANY_PAGES, line


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


def test_notes_of_one_line_each_are_notes_and_no_table() -> None:
    notes = [
        part
        for i, number in enumerate(("4", "5"))
        for part in (
            line(number, 72, 700 + 12 * i, size=6),
            line(f"See the annex on valves, part {number}.", 90, 700 + 12 * i, size=9),
        )
    ]
    blocks, dropped = arranged(
        [*prose("The crew opens the valve\x014\x02 and the gate\x015\x02 again.", 60), *notes]
    )
    assert [(block.kind, block.text) for block in blocks] == [
        ("paragraph", "The crew opens the valve and the gate again."),
        ("footnote", "See the annex on valves, part 4."),
        ("footnote", "See the annex on valves, part 5."),
    ]
    assert dropped["footnote_mark"] == 4


def test_a_power_of_ten_keeps_its_sense_and_an_index_its_place() -> None:
    blocks, _ = arranged(prose("Of CO\x012\x02 there are 10\x016\x02 parts in a tank.", 60))
    assert [block.text for block in blocks] == ["Of CO2 there are 10^6 parts in a tank."]
