from stages.blocks import Block, Passage
from stages.splitter.pages import Pages

SPLITTER = Pages(name="pages")


def test_a_page_is_a_passage_with_its_headings_among_its_lines() -> None:
    blocks = [
        Block("heading", "Pumps", (1, 1), 1),
        Block("paragraph", "About pumps.", (1, 1)),
        Block("heading", "Seals", (1, 1), 2),
        Block("paragraph", "This one runs over the page end.", (1, 2)),
        Block("paragraph", "It goes on.", (2, 2)),
        Block("heading", "Valves", (2, 2), 2),
        Block("row", "Valve | 3", (4, 4)),
    ]
    assert list(SPLITTER(blocks)) == [
        Passage("Pumps\nAbout pumps.\nSeals\nThis one runs over the page end.", (1, 2), ()),
        Passage("It goes on.\nValves", (2, 2), ("Pumps", "Seals")),
        Passage("Valve | 3", (4, 4), ("Pumps", "Valves")),
    ]


def test_a_heading_at_the_top_of_a_page_ends_those_of_the_page_before() -> None:
    blocks = [
        Block("heading", "Pumps", (1, 1), 1),
        Block("heading", "Seals", (1, 1), 2),
        Block("heading", "Valves", (2, 2), 2),
        Block("heading", "Annex", (3, 3), 1),
    ]
    assert [passage.headings for passage in SPLITTER(blocks)] == [(), ("Pumps",), ()]


def test_a_footnote_set_before_a_paragraph_that_runs_over_the_page_end_stays_on_its_page() -> None:
    blocks = [Block("footnote", "1 See it.", (2, 2)), Block("paragraph", "A long one.", (1, 2))]
    assert [passage.text for passage in SPLITTER(blocks)] == ["A long one.", "1 See it."]


def test_no_text_makes_no_passage() -> None:
    assert list(SPLITTER([])) == []
    assert list(SPLITTER([Block("paragraph", " \u2003", (1, 1))])) == []
