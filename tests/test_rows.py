from stages.lines import letters
from stages.rows import contents, rows_of
from tests.flows import FULL, arranged, kinds
from tests.sheets import line


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
