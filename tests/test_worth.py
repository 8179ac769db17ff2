from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from stages.errors import FolioError
from stages.jsonl import Record
from stages.option import setting
from stages.reward.length import Length
from stages.reward.squad_f1 import SquadF1
from stages.worth import Reward, is_empty, worth


@setting
class Given(Reward):
    """A reward that the answer record itself names."""

    def __call__(self, answers: Sequence[Record]) -> list[float]:
        return [row["given"] for row in answers]


def rows(*answers: str, **more: Any) -> list[Record]:
    return [{"answer": answer, "reference": "red cat"} | more for answer in answers]


F1 = SquadF1(name="squad_f1", weight=2.0)
# From 2 to 4 words; a word less or more takes half.
LENGTH = Length(name="length", weight=0.5, words=(2, 4), fall=2)


def test_the_sum_by_hand_with_each_part() -> None:
    found = worth([F1, LENGTH], rows("The red cat.", "red", "a dog on the big red mat"))
    # F1 1, length 3 of 2 to 4: 2 * 1 + 0.5 * 1.
    assert found[0].parts == {"squad_f1": 1, "length": 1}
    assert found[0].total == 2.5
    # F1 of 1 of 1 and 1 of 2: 2/3; one word too few takes half: 2 * 2/3 + 0.5 * 0.5.
    assert found[1].parts == {"squad_f1": pytest.approx(2 / 3, abs=1e-6), "length": 0.5}
    assert found[1].total == pytest.approx(4 / 3 + 0.25, abs=2e-6)
    # 1 of "dog on big red mat" and 1 of 2: 2 / 7; three words too many: 0.
    assert found[2].parts == {"squad_f1": pytest.approx(2 / 7, abs=1e-6), "length": 0}
    assert found[2].total == pytest.approx(4 / 7, abs=2e-6)


@pytest.mark.parametrize("nothing", ["", " \n", "...", "\u200b", "-?!"])
def test_an_empty_answer_has_the_least_whatever_the_rewards_say(nothing: str) -> None:
    generous = Given(name="given", weight=3.0)
    penalty = Given(name="penalty", weight=-1.0)
    said, empty = worth([generous, penalty], rows("red", nothing, given=1.0))
    assert said.total == 2
    assert empty.total == -1
    assert empty.parts == {"given": 0, "penalty": 1}
    lowest, _ = worth([generous, penalty], [*rows("red", given=0.0), *rows("red", given=0.5)])
    assert empty.total <= lowest.total


def test_no_reward_is_asked_about_an_empty_answer() -> None:
    found = worth([Given(name="given", weight=1.0)], rows("", " "))  # which has no value
    assert [one.total for one in found] == [0, 0]
    assert worth([F1], []) == []


@pytest.mark.parametrize("text", ["0", "é", "ไม่", "否", "No."])
def test_a_letter_or_a_digit_says_something(text: str) -> None:
    assert not is_empty(text)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1.01, -0.01])
def test_a_value_that_is_none_from_0_to_1_is_refused(value: float) -> None:
    with pytest.raises(FolioError, match=r"reward\.given gives .*, which is not between 0 and 1"):
        worth([Given(name="given", weight=1.0)], rows("red", given=value))


def test_rounding_beyond_the_ends_is_forgiven() -> None:
    assert worth([Given(name="given", weight=1.0)], rows("red", given=1 + 5e-6))[0].total == 1
    assert worth([Given(name="given", weight=1.0)], rows("red", given=-5e-6))[0].total == 0


def test_a_weight_of_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"reward\.squad_f1\.weight=0 counts for nothing"):
        SquadF1(name="squad_f1", weight=0.0)
