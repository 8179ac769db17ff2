from stages.reward.exact_match import ExactMatch


def test_the_same_words_or_not() -> None:
    rows = [{"answer": answer, "reference": "the red cat"} for answer in ("A red cat.", "red", "cat red")]
    assert ExactMatch(name="exact_match", weight=1.0)(rows) == [1, 0, 0]
