import pytest

from tests.flows import FULL, arranged, headings, kinds, prose
from tests.sheets import line


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


def numbered(*numbers: str) -> list[tuple[str, str]]:
    flow = [
        row for i, n in enumerate(numbers) for row in prose(f"{n} The crew opens the valve.", 60 + 40 * i)
    ]
    return kinds(flow)


def test_the_numbers_of_paragraphs_that_count_on_are_headings() -> None:
    found = numbered("4-61.", "4-62.", "4-63.", "4-65.", "5-1.", "5-2.")
    assert found[:4] == [
        ("heading", "4-61"),
        ("paragraph", "The crew opens the valve."),
        ("heading", "4-62"),
        ("paragraph", "The crew opens the valve."),
    ]
    assert [text for kind, text in found if kind == "heading"] == [
        "4-61",
        "4-62",
        "4-63",
        "4-65",
        "5-1",
        "5-2",
    ]


@pytest.mark.parametrize(
    "numbers",
    [
        ("4-61.", "4-62.", "4-63.", "4-64."),  # four may be chance
        ("3.5", "2.1", "7.4", "1.2", "9.9", "4.4"),  # quantities do not count on
    ],
)
def test_numbers_that_begin_a_few_paragraphs_or_in_no_order_are_text(numbers: tuple[str, ...]) -> None:
    assert {kind for kind, _ in numbered(*numbers)} == {"paragraph"}
