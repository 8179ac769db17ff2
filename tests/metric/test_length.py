from typing import Any

import pytest

from stages.metric.length import Length

LENGTH = Length(name="length", looping=0.5)


def row(answer: str, reference: str = "oil", *, cut_off: bool = False) -> dict[str, Any]:
    return {"answer": answer, "reference": reference, "tokens": 7, "cut_off": cut_off}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("one two three", 0),
        ("one two three four five", 0),
        # Runs abcd bcda cdab dabc abcd: the last occurred before.
        ("a b c d a b c d", 1 / 5),
        # Five runs, all the same.
        ("no no no no no no no no", 4 / 5),
        ("No no NO no no", 1 / 2),
        # Five characters of one kind without blanks: two runs, the second a repetition.
        ("船船船船船", 1 / 2),
    ],
)
def test_repetition_is_the_share_of_runs_of_four_words_that_occurred_before(
    text: str, expected: float
) -> None:
    assert LENGTH([row(text)])[0]["repetition"] == pytest.approx(expected)


def test_an_answers_values() -> None:
    assert LENGTH([row("by hand", "it is opened by hand", cut_off=True)]) == [
        {
            "words": 2.0, "reference_words": 5.0, "tokens": 7.0, "repetition": 0.0,
            "looping": 0.0, "empty": 0.0, "cut_off": 1.0,
        }
    ]  # fmt: skip


@pytest.mark.parametrize(("answer", "empty"), [("", 1), (" \n", 1), ("no", 0)])
def test_an_answer_of_blanks_is_empty(answer: str, empty: float) -> None:
    assert LENGTH([row(answer)])[0]["empty"] == empty


@pytest.mark.parametrize(("words", "looping"), [(4, 0), (5, 0), (6, 1)])
def test_an_answer_loops_above_the_threshold(words: int, looping: float) -> None:
    # 5 words have two runs, of which half repeats: not above 0.5. 6 words: two of three.
    assert LENGTH([row("no " * words)])[0]["looping"] == looping


def test_the_ratio_is_of_all_words_to_all_references() -> None:
    # (1 + 5) / (1 + 2) = 2; the mean of ratios would be 1.75.
    found = LENGTH.summary(LENGTH([row("oil"), row("it is oil of course", "fuel oil")]))
    assert found["ratio"] == 2
    assert (found["words"], found["tokens"]) == (3, 7)
    assert "reference_words" not in found


def test_every_figure_has_a_direction() -> None:
    figures = LENGTH.summary(LENGTH([row("oil")]))
    assert set(figures) == {*LENGTH.lower_is_better, *LENGTH.neutral}
