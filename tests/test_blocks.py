import pytest

from stages.blocks import Block, clean, from_markdown


def read(markdown: str) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in from_markdown(markdown, 1)]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("eﬃcient ﬁlters", "efficient filters"),  # ligatures become letters
        ("inci\u00addent", "incident"),  # a soft hyphen is only a place to cut
        ("  two\t\n words\u00a0here ", "two words here"),
        ("re-use", "re-use"),
        (" \n ", ""),
    ],
)
def test_clean(raw: str, text: str) -> None:
    assert clean(raw) == text


def test_a_page_becomes_blocks_with_kind_level_and_page() -> None:
    markdown = "# Pumps\n\nA pump moves water.\n\n### Seals\n\nA seal wears."
    assert list(from_markdown(markdown, 7)) == [
        Block("heading", "Pumps", (7, 7), 1),
        Block("paragraph", "A pump moves water.", (7, 7)),
        Block("heading", "Seals", (7, 7), 3),
        Block("paragraph", "A seal wears.", (7, 7)),
    ]


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("A **bold** and *slanted* word", "A bold and slanted word"),
        ("See [the manual](http://a.example/b) first", "See the manual first"),
        ("Run `make` now", "Run make now"),
        ("![A valve](valve.png)", "A valve"),
        ("first line\nsecond line", "first line second line"),
        ("first line\\\nsecond line", "first line second line"),
        ("2 \\* 3 &amp; 4", "2 * 3 & 4"),
        # A printed page holds angle brackets and indents, but neither HTML nor code.
        ("press <Enter> twice", "press <Enter> twice"),
        ("<div>\nin a box\n</div>", "<div> in a box </div>"),
        ("    indented far", "indented far"),
        # A bibliography's line is no link definition: a reader sees it.
        ("[1]: http://a.example/guide", "[1]: http://a.example/guide"),
        ("[12]: Smith", "[12]: Smith"),
        ("[^32]: http://a.example/", "[^32]: http://a.example/"),
    ],
)
def test_a_paragraph_keeps_its_words(markdown: str, text: str) -> None:
    assert read(markdown) == [("paragraph", text)]


def test_items_keep_their_marker() -> None:
    assert read("- one\n- two\n  more\n\n3. third\n4. fourth\n\n1) other") == [
        ("item", "- one"),
        ("item", "- two more"),
        ("item", "3. third"),
        ("item", "4. fourth"),
        ("item", "1) other"),
    ]


def test_nested_items_and_what_follows_a_list() -> None:
    assert read("- outer\n  - inner\n\nafter") == [
        ("item", "- outer"),
        ("item", "- inner"),
        ("paragraph", "after"),
    ]


def test_a_second_paragraph_of_an_item_has_no_marker() -> None:
    assert read("- one\n\n  still one") == [("item", "- one"), ("item", "still one")]


def test_rows_keep_their_cells_and_empty_rows_go() -> None:
    markdown = "| part | mass |\n|---|---|\n| rotor | **3** kg |\n| | |\n\nafter"
    assert read(markdown) == [("row", "part | mass"), ("row", "rotor | 3 kg"), ("paragraph", "after")]


@pytest.mark.parametrize("markdown", ["", "\n\n", "***", "# \n"])
def test_a_page_without_words_has_no_blocks(markdown: str) -> None:
    assert read(markdown) == []
