import re

import pytest
from pydantic import ValidationError

from stages.blocks import Block, Passage
from stages.splitter.sentences import Sentences

BLOCKS = [
    Block("heading", "Pumps", (1, 1), 1),
    Block("paragraph", "One ends.  Two ends. Three ends.", (1, 2)),
    Block("item", "- Four", (2, 2)),
    Block("heading", "Empty", (2, 2), 2),
    Block("heading", "Seals", (3, 3), 2),
    Block("row", "Five | 5", (3, 3)),
]


def split(count: int, overlap: int, blocks: list[Block]) -> list[Passage]:
    return list(Sentences(name="sentences", sentences=count, overlap=overlap, language="en")(blocks))


def test_a_passage_has_so_many_sentences_of_one_section() -> None:
    assert split(3, 0, BLOCKS) == [
        Passage("One ends.  Two ends. Three ends.", (1, 2), ("Pumps",)),
        Passage("- Four", (2, 2), ("Pumps",)),
        Passage("Empty", (2, 2), ("Pumps",)),
        Passage("Five | 5", (3, 3), ("Pumps", "Seals")),
    ]


def test_the_overlap_begins_the_next_passage() -> None:
    first, second, *_ = split(3, 1, BLOCKS)
    assert first.text == "One ends.  Two ends. Three ends."
    assert second == Passage("Three ends.\n- Four", (1, 2), ("Pumps",), overlap=len("Three ends."))


def test_the_rest_is_not_a_passage_when_the_one_before_holds_all_of_it() -> None:
    assert len(split(4, 2, BLOCKS[:4])) == 2  # the four sentences, then "Empty"


def test_an_overlap_of_all_sentences_is_refused() -> None:
    with pytest.raises(ValidationError, match=re.escape("overlap=3 must be below splitter.sentences=3")):
        split(3, 3, [])
