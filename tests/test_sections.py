import pytest

from stages.blocks import Block
from stages.sections import join, sections, sentences
from stages.sentences import WINDOW, spans


def heading(text: str, level: int) -> Block:
    return Block("heading", text, (1, 1), level)


def paragraph(text: str) -> Block:
    return Block("paragraph", text, (1, 1))


TEXT = paragraph("Text.")


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        # A heading above another has a body when the other has.
        ([heading("A", 1), heading("b", 2), TEXT], [(("A", "b"), ["Text."], False)]),
        # b ends before its text comes.
        (
            [heading("A", 1), heading("b", 2), heading("c", 2), TEXT],
            [(("A",), ["b"], True), (("A", "c"), ["Text."], False)],
        ),
        # x and B have no common parent; C has a body.
        (
            [heading("A", 1), TEXT, heading("x", 2), heading("B", 1), heading("C", 1), TEXT],
            [(("A",), ["Text."], False), ((), ["x", "B"], True), (("C",), ["Text."], False)],
        ),
        # B, which has a body, stands between x and y.
        (
            [heading("A", 1), heading("x", 2), heading("B", 1), heading("y", 2), heading("z", 2), TEXT],
            [((), ["A", "x"], True), (("B",), ["y"], True), (("B", "z"), ["Text."], False)],
        ),
        # Siblings share their parents.
        (
            [heading("A", 1), TEXT, heading("b", 2), heading("c", 3), heading("d", 3)],
            [(("A",), ["Text."], False), (("A",), ["b", "c", "d"], True)],
        ),
        # The same heading again begins another section, and the first of them has nothing below it.
        ([heading("A", 1)] * 2 + [TEXT], [((), ["A"], True), (("A",), ["Text."], False)]),
        # Blank blocks are not there.
        ([heading("A", 1), paragraph(" "), heading(" ", 1), TEXT], [(("A",), ["Text."], False)]),
        ([], []),
    ],
)
def test_sections(blocks: list[Block], expected: list[tuple[tuple[str, ...], list[str], bool]]) -> None:
    found = [(part.headings, [block.text for block in part.blocks], part.bare) for part in sections(blocks)]
    assert found == expected


@pytest.mark.parametrize(
    "text",
    [
        "He came at 3.5 p.m. and left.  Then (as Fig. 2 shows) it rained. " * 200,
        "終了。検査。" * (WINDOW // 2),
        "one " * WINDOW + "ends. " + "Two ends. " * WINDOW,
        "a" + " " * 2 * WINDOW + "b. C.",
        " " * 2 * WINDOW + "Text.",
        "A line\nand another.\n" * WINDOW,
    ],
)
def test_a_long_text_has_the_sentences_that_it_has_in_one_piece(text: str) -> None:
    found = list(sentences(paragraph(text), "en"))
    assert [piece.text for piece in found] == [text[start:end] for start, end in spans(text, "en")]
    assert join(found) == text.strip()
    assert [piece.last for piece in found] == [False] * (len(found) - 1) + [True]


@pytest.mark.parametrize("blank", ["\x85", "\xa0", "\u2003", "\u2028", "\u3000"])
def test_a_wide_blank_before_a_full_stop_does_no_harm(blank: str) -> None:
    text = f"Plan B{blank}. Next."
    assert join(list(sentences(paragraph(text), "en"))) == text
