import pytest

from stages.metric.squad import Squad

SQUAD = Squad(name="squad")


def score(answer: str, reference: str) -> dict[str, float]:
    (value,) = SQUAD([{"answer": answer, "reference": reference}])
    return value


@pytest.mark.parametrize(
    ("answer", "reference", "f1", "exact"),
    [
        ("Every four weeks.", "every four weeks", 1, 1),  # case and punctuation do not count
        ("the captain", "A captain", 1, 1),  # nor do articles
        # 1 of the answer's 3 words is right, of the reference's 1: 2 * 1/3 * 1 / (1/3 + 1) = 1/2
        ("the captain of ships", "the captain", 0.5, 0),
        # 2 of 3 and 2 of 4: 2 * 2/3 * 1/2 / (2/3 + 1/2) = 4/7
        ("forty tonnes diesel", "forty tonnes of oil", 4 / 7, 0),
        # A repeated word counts as often as in the reference: 1 of 3 and 1 of 1, so 1/2
        ("oil oil oil", "oil", 0.5, 0),
        ("a pump", "the seal", 0, 0),
        ("", "the seal", 0, 0),
    ],
)
def test_word_overlap(answer: str, reference: str, f1: float, exact: float) -> None:
    assert score(answer, reference) == pytest.approx({"f1": f1, "exact": exact})


def test_each_answer_has_a_value_of_its_own() -> None:
    rows = [{"answer": "oil", "reference": "oil"}, {"answer": "oil", "reference": "water"}]
    assert SQUAD(rows) == [{"f1": 1, "exact": 1}, {"f1": 0, "exact": 0}]
    assert SQUAD([]) == []


def test_the_summary_is_the_mean() -> None:
    values = [{"f1": 1.0, "exact": 1.0}, {"f1": 0.5, "exact": 0.0}, {"f1": 0.0, "exact": 0.0}]
    assert SQUAD.summary(values) == pytest.approx({"f1": 1.5 / 3, "exact": 1 / 3})
