import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from stages.blocks import Block, Passage
from stages.sentences import spans
from stages.splitter.passages import Passages

STEADY = settings(derandomize=True, deadline=None)
SPLITTER = Passages(name="passages", target=20, maximum=30, language="en")


def paragraph(text: str, first: int = 1, last: int = 1) -> Block:
    return Block("paragraph", text, (first, last))


def heading(text: str, level: int) -> Block:
    return Block("heading", text, (1, 1), level)


def sentence(words: int, name: str = "word") -> str:
    return " ".join([name.capitalize()] + [name] * (words - 1)) + "."


def sizes(*blocks: Block) -> list[int]:
    return [len(passage.text.split()) for passage in SPLITTER(blocks)]


# Every word is another, so that a lost, doubled or moved one shows.
@st.composite
def documents(draw: st.DrawFn) -> list[Block]:
    shape = st.lists(st.integers(1, 45), min_size=1, max_size=5)
    numbers = iter(range(10**6))
    blocks, page = [], 1
    for _ in range(draw(st.integers(0, 8))):
        if draw(st.booleans()):
            blocks.append(heading(f"H{next(numbers)}", draw(st.integers(1, 6))))
        page += draw(st.integers(0, 2))
        kind = draw(st.sampled_from(["paragraph", "item", "row", "footnote"]))
        marks = (draw(st.sampled_from([".", "?", "!", ""])) for _ in range(5))
        text = [
            " ".join(f"W{next(numbers)}" for _ in range(n)) + mark
            for n, mark in zip(draw(shape), marks, strict=False)
        ]
        blocks.append(Block(kind, " ".join(text), (page, page)))
    return blocks


def words(blocks: list[Block] | list[Passage]) -> list[str]:
    return [word for part in blocks for word in part.text.split()]


@STEADY
@given(documents())
def test_no_word_is_lost_doubled_or_moved(blocks: list[Block]) -> None:
    body = [block for block in blocks if block.kind != "heading"]
    assert words(list(SPLITTER(blocks))) == words(body)


@STEADY
@given(documents())
def test_no_passage_passes_the_maximum_unless_a_single_sentence_does(blocks: list[Block]) -> None:
    for passage in SPLITTER(blocks):
        alone = len(list(spans(passage.text, "en"))) == 1
        assert len(passage.text.split()) <= SPLITTER.maximum or alone


@STEADY
@given(documents())
def test_a_passage_stands_on_the_pages_of_its_words(blocks: list[Block]) -> None:
    page_of = {word: block.pages[0] for block in blocks for word in block.text.split()}
    for passage in SPLITTER(blocks):
        pages = [page_of[word] for word in passage.text.split()]
        assert passage.pages == (min(pages), max(pages))


@STEADY
@given(documents())
def test_a_passage_stands_under_the_headings_above_its_words(blocks: list[Block]) -> None:
    above: dict[str, tuple[str, ...]] = {}
    path: dict[int, str] = {}
    for block in blocks:
        if block.kind == "heading":
            path = {level: text for level, text in path.items() if level < block.level}
            path[block.level] = block.text
        above |= dict.fromkeys(block.text.split(), tuple(path.values()))
    for passage in SPLITTER(blocks):
        assert {above[word] for word in passage.text.split()} == {passage.headings}


@STEADY
@given(documents())
def test_sentences_stay_whole(blocks: list[Block]) -> None:
    text = "\n".join(passage.text for passage in SPLITTER(blocks))
    for block in blocks:
        if block.kind != "heading":
            assert all(block.text[start:end] in text for start, end in spans(block.text, "en"))


def test_a_passage_ends_at_the_first_sentence_after_the_target() -> None:
    # 12 + 12 reach the target of 20; 12 + 12 are left, at least half of it, so a new one begins.
    text = " ".join(sentence(12) for _ in range(4))
    assert sizes(paragraph(text)) == [24, 24]


def test_a_rest_below_half_the_target_joins_the_passage_before() -> None:
    # 21 words are enough, but the 9 left would stand alone.
    assert sizes(paragraph(f"{sentence(21)} {sentence(9)}")) == [30]
    # With 10 left they may.
    assert sizes(paragraph(f"{sentence(20)} {sentence(10)}")) == [20, 10]


def test_the_maximum_comes_before_the_target() -> None:
    # 19 + 12 would be 31: the passage ends below its target.
    assert sizes(paragraph(f"{sentence(19)} {sentence(12)}")) == [19, 12]


def test_a_sentence_above_the_maximum_stays_whole_and_alone() -> None:
    assert sizes(paragraph(f"{sentence(5)} {sentence(50)} {sentence(5)}")) == [5, 50, 5]


def test_paragraphs_are_joined_by_a_line_break_sentences_by_a_blank() -> None:
    (passage,) = SPLITTER([paragraph("One ends. Two ends."), paragraph("Three ends.", 2, 2)])
    assert passage == Passage("One ends. Two ends.\nThree ends.", (1, 2), ())


@pytest.mark.parametrize(
    "text", ["Install Node.JS first.", "Open http://a.example/x?Q=1 now.", "検査。終了。"]
)
def test_no_blank_is_put_where_the_text_has_none(text: str) -> None:
    (passage,) = SPLITTER([paragraph(text)])
    assert passage.text == text


def test_a_passage_never_crosses_a_heading() -> None:
    blocks = [
        paragraph("Before any heading."),
        heading("Pumps", 1),
        paragraph("About pumps."),
        heading("Seals", 3),
        paragraph("About seals."),
        heading("Valves", 2),
        paragraph("About valves."),
        heading("Annex", 1),
        paragraph("About the rest."),
    ]
    assert [(passage.headings, passage.text) for passage in SPLITTER(blocks)] == [
        ((), "Before any heading."),
        (("Pumps",), "About pumps."),
        (("Pumps", "Seals"), "About seals."),
        (("Pumps", "Valves"), "About valves."),
        (("Annex",), "About the rest."),
    ]


def test_the_pages_reach_from_the_first_to_the_last_of_any_part() -> None:
    # A footnote of page 4 is set before the paragraph that runs from page 3 to 5.
    (passage,) = SPLITTER([Block("footnote", "1 See it.", (4, 4)), paragraph("A long one.", 3, 5)])
    assert passage.pages == (3, 5)
    (passage,) = SPLITTER([paragraph("A long one.", 3, 5), paragraph("Short.", 4, 4)])
    assert passage.pages == (3, 5)


def test_headings_alone_make_no_passage() -> None:
    assert list(SPLITTER([heading("Pumps", 1), heading("Seals", 2)])) == []
    assert list(SPLITTER([])) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"maximum": 25, "target": 26}, "splitter.maximum=25 is below splitter.target=26"),
        ({"target": 19}, "greater than or equal to 20"),
    ],
)
def test_an_impossible_length_is_refused(changes: dict[str, Any], fault: str) -> None:
    values = {"name": "passages", "target": 20, "maximum": 30, "language": "en"}
    with pytest.raises(ValidationError, match=re.escape(fault)):
        Passages(**values | changes)


def test_more_target_never_makes_more_passages() -> None:
    blocks = [paragraph(" ".join(sentence(n) for n in range(5, 25)))]
    counts = [
        len(list(Passages(name="passages", target=target, maximum=200, language="en")(blocks)))
        for target in (20, 40, 80, 160)
    ]
    assert all(more >= fewer for more, fewer in pairwise(counts))
    assert counts[-1] == 2  # 5 + 6 + ... + 24 are 290 words
