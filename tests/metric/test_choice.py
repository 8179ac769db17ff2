from typing import Any

import pytest

from stages.errors import FolioError
from stages.metric.choice import Choice, mentioned, named, normal

CHOICE = Choice(name="choice")
OPTIONS = ["logging", "remote logging", "A firewall", "24 hours"]
LOSSES = [[2.0], [0.5, 0.5], [0.6, 0.6], [0.1, 0.1, 0.1, 3.0]]


def row(answer: str, reference: str = "B", **more: Any) -> dict[str, Any]:
    return {"answer": answer, "reference": reference, "options": OPTIONS, "option_losses": LOSSES} | more


@pytest.mark.parametrize(
    ("losses", "by_sum", "by_token"),
    [
        # Sums 2, 1, 1.2, 3.3; means 2, 0.5, 0.6, 0.825: the second either way.
        (LOSSES, 1, 1),
        # Sums 0.9, 1, ...: the short first option is likelier as a whole, the second by its tokens.
        ([[0.9], [0.5, 0.5], [3.0], [3.0]], 0, 1),
        # Sums 1, 1: two options share the lowest; means 1, 0.5.
        ([[1.0], [0.5, 0.5], [3.0], [3.0]], 0.5, 1),
        ([[0.1], [0.5, 0.5], [3.0], [3.0]], 0, 0),
    ],
)
def test_the_likeliest_option_by_sum_and_by_token(
    losses: list[list[float]], by_sum: float, by_token: float
) -> None:
    (value,) = CHOICE([row("", option_losses=losses)])
    assert (value["accuracy"], value["accuracy_per_token"]) == (by_sum, by_token)


@pytest.mark.parametrize(
    ("answer", "exact", "partial"),
    [
        ("B", 1, 1),
        ("B.", 1, 1),
        ("(b)", 1, 1),
        ("Remote logging.", 1, 1),
        ("the remote logging", 1, 1),  # SQuAD's normal form has no articles
        ("B. remote logging", 1, 1),
        ("The answer is B.", 0, 1),
        ("It uses remote, logging", 0, 1),
        ("The answer is (b), because it is remote.", 0, 1),
        ("remote logging or a firewall", 0, 0),
        ("B or C", 0, 0),
        ("A. remote logging", 0, 0),
        ("logging", 0, 0),
        ("A", 0, 0),
        ("blogging", 0, 0),
        ("", 0, 0),
    ],
)
def test_what_the_model_wrote(answer: str, exact: float, partial: float) -> None:
    (value,) = CHOICE([row(answer)])
    assert (value["exact"], value["partial"]) == (exact, partial)


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("c", ["x", "y", "z"], 2),
        ("E", ["x", "y", "z"], None),
        # An option's text goes before a letter.
        ("B", ["B", "A"], 0),
        ("a", ["x", "a"], 1),
        # SQuAD's normal form would take the two for one.
        ("1.5", ["15", "1.5"], 1),
        ("1,5", ["15", "1.5"], None),
        # One text twice names neither.
        ("oil", ["oil", "oil"], None),
        ("", ["x", ""], None),
        ("the", ["x", "an"], None),
        ("oil", [], None),
        ("e. coli", ["a virus", "E. coli"], 1),
        ("C++", ["C", "C++"], 1),
        ("b. c", ["x", "C", "z"], 1),
        ("a. c", ["x", "C", "z"], None),
    ],
)
def test_a_text_names_the_option_that_it_is(text: str, options: list[str], expected: int | None) -> None:
    assert named(text, options) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A firewall stops it.", {2}),  # an article, no letter
        ("It is A.", {0}),
        ("I think D", {3}),
        ("within 24 hours.", {3}),
        ("vitamin B", {1}),
        ("J. Smith's", set()),  # no tenth option
        ("remote logging, not logging", {0, 1}),
    ],
)
def test_the_options_that_a_text_mentions(text: str, expected: set[int]) -> None:
    assert mentioned(text, OPTIONS) == expected


def test_a_letter_within_an_options_text_is_no_letter() -> None:
    assert mentioned("vitamin C", ["vitamin A", "vitamin B", "vitamin D", "vitamin C"]) == {3}
    assert mentioned("+", ["+", "-"]) == set()


def test_the_normal_form() -> None:
    assert normal(" The  (Remote) logging, a.m. ") == "remote logging am"


@pytest.mark.parametrize("reference", ["B", "(b)", "remote logging", "Remote logging."])
def test_the_reference_is_a_letter_or_a_text(reference: str) -> None:
    (value,) = CHOICE([row("B", reference)])
    assert set(value.values()) == {1.0}


@pytest.mark.parametrize(
    "more", [{"options": []}, {"options": None}, {"reference": "a proxy"}, {"reference": "Z"}]
)
def test_without_options_or_a_right_one_nothing_is_measured(more: dict[str, Any]) -> None:
    assert CHOICE([row("B") | more]) == [{}]


def test_a_plain_record_is_not_measured() -> None:
    assert CHOICE([{"answer": "B", "reference": "B"}]) == [{}]


@pytest.mark.parametrize("losses", [[], [[0.1]], [[0.1], [], [0.2], [0.3]]])
def test_losses_that_do_not_belong_to_the_options_are_refused(losses: list[list[float]]) -> None:
    with pytest.raises(FolioError, match="question q7 has 4 options and not as many option_losses"):
        CHOICE([row("B", id="q7", option_losses=losses)])
