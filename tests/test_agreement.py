from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.agreement import Agreement, compare, is_garbage, together, words


def test_words_are_counted_in_one_case_without_signs() -> None:
    assert words("The pump's seal, THE end-\nless 3.2") == Counter(
        {"the": 2, "pump": 1, "s": 1, "seal": 1, "end": 1, "less": 1, "3": 1, "2": 1}
    )


def test_equal_pages_agree() -> None:
    assert compare(words("a b b"), words("b a b")) == Agreement(1.0, 0.0)


def test_two_empty_pages_agree() -> None:
    assert compare(words(""), words(" ")) == Agreement(1.0, 0.0)


def test_every_occurrence_counts() -> None:
    # Ours has two of their four words, and one of its own three is nowhere there.
    found = compare(words("pump pump seal"), words("pump pump pump rope"))
    assert found.recall == pytest.approx(2 / 4)
    assert found.surplus == pytest.approx(1 / 3)
    assert found.least == pytest.approx(1 / 2)


def test_a_page_that_only_one_reader_reads() -> None:
    assert compare(words(""), words("pump")) == Agreement(0.0, 0.0)
    assert compare(words("pump"), words("")) == Agreement(1.0, 1.0)


def test_pages_are_compared_one_by_one() -> None:
    # The same words on the wrong pages: none is shared.
    pages = [(words("pump"), words("seal")), (words("seal"), words("pump"))]
    assert together(pages) == Agreement(0.0, 1.0)
    # Three of four words over both pages.
    assert together([(words("a b"), words("a b")), (words("c x"), words("c d"))]) == Agreement(0.75, 0.25)


def test_no_pages_agree() -> None:
    assert together([]) == Agreement(1.0, 0.0)


@pytest.mark.parametrize(
    ("text", "garbage"),
    [
        ("", False),
        ("The pump runs.", False),
        ("\ue001\ue002\ue003 \ue004", True),
        ("(cid:12)(cid:7)(cid:30) a", True),
        ("\ufffd" * 3 + "x" * 20, True),
        # One bullet in a private place of its font among 19 letters, and one of ten characters.
        ("\uf0b7 open the intake here", False),
        ("\uf0b7ninechars", False),
        ("\uf0b7eightch.", True),
        ("Änderung für Öl – 検査", False),
    ],
)
def test_a_text_is_garbage_where_more_than_a_tenth_has_no_meaning(text: str, garbage: bool) -> None:
    assert is_garbage(text) is garbage


@given(st.text(max_size=60), st.text(max_size=60))
def test_shares_are_shares(ours: str, theirs: str) -> None:
    found = compare(words(ours), words(theirs))
    assert 0 <= found.recall <= 1
    assert 0 <= found.surplus <= 1
    assert compare(words(ours), words(ours)).least == 1
