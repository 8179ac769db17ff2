from typing import Any

import pytest

from stages.metric.faithfulness import Faithfulness, k_precision

PASSAGE = "The response team must report the incident to the agency within 24 hours, and pays 1,500 dollars."


def measure(answer: str, passage: str = PASSAGE, **settings: Any) -> dict[str, float]:
    chosen = {"language": "en", "least_content": 0.75, "least_numbers": 1.0} | settings
    (value,) = Faithfulness(name="faithfulness", **chosen)([{"answer": answer, "passage": passage}])
    return value


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The response team", 1),
        # within, 24 and hours of 4 words.
        ("within about 24 hours", 3 / 4),
        # A word counts as often as the passage has it: once of three times.
        ("team team team", 1 / 3),
        ("a police officer", 0),
        ("", 1),
    ],
)
def test_k_precision_is_the_share_of_words_that_stand_in_the_passage(answer: str, expected: float) -> None:
    assert k_precision(answer, PASSAGE) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("answer", "content", "numbers"),
    [
        # Stems count: reports, reporting.
        ("The teams reported incidents.", 1, 1),
        # Of report, polic, incid two.
        ("Report the incident to the police.", 2 / 3, 1),
        ("within 24 hours", 1, 1),
        ("within 48 hours", 2 / 3, 0),
        # 1500 as the passage writes it or otherwise; of the two numbers one stands there.
        ("1500 dollars or 24.5 hours", None, 1 / 2),
    ],
)
def test_content_words_and_numbers(answer: str, content: float | None, numbers: float) -> None:
    found = measure(answer)
    assert found["numbers"] == numbers
    if content is not None:
        assert found["content"] == pytest.approx(content)


@pytest.mark.parametrize(
    ("answer", "settings", "supported"),
    [
        ("Report the incident to the agency.", {}, 1),
        ("Report the incident to the police.", {}, 0),  # 2/3 of its words
        ("Report the incident to the police.", {"least_content": 0.6}, 1),
        ("Report the incident to the agency within 48 hours.", {}, 0),
        # 4 of 5 words of content, but the number is wrong.
        ("Report the incident to the agency within 48 hours.", {"least_numbers": 0.0}, 1),
    ],
)
def test_an_answer_is_supported_where_words_and_numbers_are(
    answer: str, settings: dict[str, float], supported: float
) -> None:
    assert measure(answer, **settings)["supported"] == supported


@pytest.mark.parametrize("answer", ["", " ", "It is to be.", "..."])
def test_an_answer_without_content_is_not_measured(answer: str) -> None:
    assert measure(answer) == {}


def test_a_negation_is_not_seen() -> None:
    # The docstring says so.
    assert measure("The team must not report the incident.")["supported"] == 1


def test_function_words_are_those_of_the_language() -> None:
    passage = "Das Team meldet den Vorfall der Behörde."
    assert measure("der Vorfall und das Team", passage, language="de")["content"] == 1
    assert measure("und", passage, language="de") == {}
