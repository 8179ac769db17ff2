import pytest

from stages.page_numbers import span_of


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        ([3], "page 3"),
        ([3, 4], "pages 3 to 4"),
        ([3, 7, 8, 9], "pages 3, 7 to 9"),
        (range(2, 6), "pages 2 to 5"),
    ],
)
def test_pages_that_adjoin_are_a_span(pages: list[int], words: str) -> None:
    assert span_of(pages) == words


def test_of_very_many_the_first_are_named() -> None:
    # Odd pages: 1, 3, ... 39 are the first 20 of 50.
    words = span_of(range(1, 100, 2))
    assert words.startswith("pages 1, 3, 5, ")
    assert words.endswith(", 37, 39 and 30 more")
