import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from stages.blocks import Block, Passage
from stages.errors import FolioError
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


def test_headings_that_nothing_stands_under_are_one_passage_of_their_own() -> None:
    blocks = [heading("Pumps", 1), Block("heading", "Seals", (2, 2), 2), heading("Annex", 1)]
    assert list(SPLITTER(blocks)) == [Passage("Pumps\nSeals\nAnnex", (1, 2), ())]
    assert list(SPLITTER([])) == []


def test_more_bare_headings_than_the_maximum_make_more_passages() -> None:
    blocks = [heading(f"Chapter number {n}", 1) for n in range(11)]  # 33 words, three too many
    assert sizes(*blocks) == [15, 18]


def test_a_passage_rather_ends_with_its_block() -> None:
    # 12 + 12 pass the target of 20, but 18 end the first paragraph and are within a quarter of it.
    blocks = [paragraph(f"{sentence(12)} {sentence(6)}"), paragraph(f"{sentence(6)} {sentence(20)}")]
    assert sizes(*blocks) == [18, 26]


def test_what_is_too_much_for_one_passage_and_too_little_for_two_is_halved() -> None:
    # The target is met with 14 + 14, but then 6 of the 34 are left, and 34 are too many.
    assert sizes(paragraph(f"{sentence(14)} {sentence(14)} {sentence(6)}")) == [14, 20]


def test_a_scrap_is_not_left_for_the_end_of_a_block() -> None:
    # The first paragraph ends with 24 words, near the target, but would leave only 8.
    assert sizes(paragraph(f"{sentence(20)} {sentence(4)}"), paragraph(sentence(8))) == [20, 12]


def test_a_lead_in_stays_with_what_it_leads_in() -> None:
    lead_in = paragraph("Each of the following five words leads in:")  # 8 words
    item = paragraph(sentence(9))
    # 13 + 8 reach the target, and the item still fits.
    assert sizes(paragraph(sentence(13)), lead_in, item, paragraph(sentence(20))) == [30, 20]
    # 15 + 8 reach it too, but the item of 9 does not fit any more: both go to the next passage.
    assert sizes(paragraph(sentence(15)), lead_in, item, paragraph(sentence(20))) == [15, 17, 20]


def test_the_end_of_a_lead_in_is_no_good_end() -> None:
    lead_in = paragraph("These are the kinds:")
    # 15 + 4 are nearest to the target of 20, but 15 are near enough.
    items = paragraph(f"{sentence(8)} {sentence(10)}")
    assert sizes(paragraph(sentence(15)), lead_in, items) == [15, 22]


def test_a_lead_in_that_is_most_of_its_passage_stays_in_it() -> None:
    lead_in = paragraph("Each of the words that we say in here leads:")  # 10 words
    assert sizes(paragraph(sentence(5)), lead_in, paragraph(sentence(18))) == [15, 18]


def test_a_lead_in_after_an_overlap_is_a_passage() -> None:
    splitter = Passages(name="passages", target=20, maximum=30, overlap=10, language="en")
    lead_in = paragraph("Each of the following five words leads in:")
    found = splitter([paragraph(f"{sentence(15)} {sentence(10)}"), lead_in, paragraph(sentence(15))])
    assert [(len(passage.text.split()), passage.overlap > 0) for passage in found] == [
        (25, False),
        (10 + 8, True),
        (8 + 15, True),
    ]


def test_a_row_that_fits_is_not_cut() -> None:
    splitter = Passages(name="passages", target=20, maximum=22, language="en")
    # Two sentences of 8 and 4 words: with 8 of the second row, the first would reach the target.
    row = Block("row", "Word word word word | Word word ends. | Another one follows.", (1, 1))
    assert [passage.text for passage in splitter([row] * 3)] == [row.text] * 3
    long = Block("row", f"{sentence(20)} | {sentence(20)}", (1, 1))
    assert [len(passage.text.split()) for passage in splitter([long])] == [20, 21]


def test_the_overlap_is_whole_sentences_up_to_its_length() -> None:
    splitter = Passages(name="passages", target=20, maximum=30, overlap=10, language="en")
    a, b, c, d, e = sentence(12, "air"), sentence(4, "bar"), sentence(5, "car"), sentence(11), sentence(13)
    found = list(splitter([paragraph(f"{a} {b} {c} {d} {e}")]))
    # b and c have 9 words, a would be too many; with d they reach the target. d alone is too long.
    assert [passage.text for passage in found] == [f"{a} {b} {c}", f"{b} {c} {d}", e]
    assert [passage.overlap for passage in found] == [0, len(f"{b} {c}"), 0]


def test_the_overlap_never_goes_over_a_heading_and_gives_way_to_the_maximum() -> None:
    splitter = Passages(name="passages", target=20, maximum=30, overlap=10, language="en")
    blocks = [paragraph(f"{sentence(15)} {sentence(6)} {sentence(28)}"), heading("Pumps", 1)]
    found = list(splitter([*blocks, paragraph(sentence(9))]))
    assert [(len(passage.text.split()), passage.overlap) for passage in found] == [(21, 0), (28, 0), (9, 0)]


def test_lengths_are_in_the_tokens_of_the_named_tokenizer(tmp_path: Path) -> None:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    letters = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    letters.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    letters.save(str(tmp_path / "tokenizer.json"))
    splitter = Passages(name="passages", target=20, maximum=25, tokenizer=str(tmp_path), language="en")
    splitter.check()
    found = [
        passage.text for passage in splitter([paragraph("Ten chars. Ten chars. Twelve char. Of ten now.")])
    ]
    # Each letter is a token: 10 + 1 + 10 pass 20, and 12 + 1 + 10 are 23.
    assert found == ["Ten chars. Ten chars.", "Twelve char. Of ten now."]


def test_the_maximum_and_the_overlap_hold_for_the_tokens_of_the_joined_text(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    # Between two sentences it finds 4 tokens more: n sentences of 5 words have 9n - 4.
    spaced = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    spaced.normalizer = normalizers.Replace(". ", ". x x x x ")
    spaced.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    spaced.save(str(tmp_path / "tokenizer.json"))
    splitter = Passages(
        name="passages", target=30, maximum=30, overlap=10, tokenizer=str(tmp_path), language="en"
    )
    names = ["air", "bar", "car", "dew", "ear", "fog", "gas"]
    parts = [sentence(5, name) for name in names]
    found = list(splitter([paragraph(" ".join(parts))]))
    # Three have 23 tokens, four 32. Two have 14, too many for the overlap.
    assert [passage.text for passage in found] == [
        " ".join(parts[:3]),
        " ".join(parts[2:5]),
        " ".join(parts[4:]),
    ]
    assert [passage.overlap for passage in found] == [0, len(parts[2]), len(parts[4])]


def test_a_tokenizer_that_is_missing_is_found_before_any_work() -> None:
    splitter = Passages(name="passages", target=20, maximum=30, tokenizer="no/such.json", language="en")
    with pytest.raises(FolioError, match=re.escape("splitter.tokenizer=no/such.json is no file")):
        splitter.check()


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"maximum": 25, "target": 26}, "splitter.maximum=25 is below splitter.target=26"),
        ({"target": 19}, "greater than or equal to 20"),
        ({"overlap": 11}, "splitter.overlap=11 is more than half of splitter.target=20"),
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
