import pytest
from pydantic import ValidationError

from stages.reward.length import Length


def reward(words: tuple[int, int], fall: int, *counts: int) -> list[float]:
    option = Length(name="length", weight=1.0, words=words, fall=fall)
    return option([{"answer": "word " * count} for count in counts])


def test_a_band_and_what_is_left_beside_it_by_hand() -> None:
    # Three words too few take 3/4; one too many a quarter; four and more all.
    assert reward((4, 6), 4, 1, 3, 4, 6, 7, 9, 10, 99) == [0.25, 0.75, 1, 1, 0.75, 0.25, 0, 0]


def test_signs_of_a_script_without_blanks_count_as_words() -> None:
    option = Length(name="length", weight=1.0, words=(2, 2), fall=1)
    assert option([{"answer": "船長検査"}, {"answer": "船長検査報告"}]) == [1, 0]


@pytest.mark.parametrize("words", [(5, 4), (-1, 4)])
def test_a_band_that_is_none_is_refused(words: tuple[int, int]) -> None:
    with pytest.raises(ValidationError, match=r"reward\.length\.words=.*fewest and most"):
        reward(words, 1)
