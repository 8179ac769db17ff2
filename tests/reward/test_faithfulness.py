from typing import Any

import pytest

from stages.reward.faithfulness import Faithfulness

PASSAGE = "The captain inspects 12 boats every four weeks."


def reward(figure: Any, *answers: str) -> list[float]:
    option = Faithfulness(name="faithfulness", weight=1.0, language="en", figure=figure)
    return option([{"answer": answer, "passage": PASSAGE} for answer in answers])


@pytest.mark.parametrize(
    ("figure", "shares"),
    [
        ("k_precision", [1, 2 / 3]),  # of "inspects 13 boats" two words stand there
        ("content", [1, 2 / 3]),
        ("numbers", [1, 0]),
    ],
)
def test_the_share_that_the_passage_supports_by_hand(figure: str, shares: list[float]) -> None:
    assert reward(figure, "The captain inspects 12 boats.", "inspects 13 boats") == pytest.approx(shares)


def test_what_cannot_be_measured_has_nothing() -> None:
    assert reward("k_precision", "No.", "It is.") == [0, 0]
