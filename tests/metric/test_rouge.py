import pytest

from stages.metric.rouge import Rouge

ROUGE = Rouge(name="rouge")


def score(answer: str, reference: str) -> tuple[float, ...]:
    (value,) = ROUGE([{"answer": answer, "reference": reference}])
    return value["rouge1"], value["rouge2"], value["rougeL"]


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        # Lin (2004), section 3.1: "police kill the gunman" against "police killed the gunman".
        # Words: police, the, gunman of 4 and 4. Pairs: the gunman of 3 and 3. In order: the three words.
        ("police kill the gunman", "police killed the gunman", (3 / 4, 1 / 3, 3 / 4)),
        # "the gunman kill police": the same words, but in order only "the gunman".
        ("the gunman kill police", "police killed the gunman", (3 / 4, 1 / 3, 1 / 2)),
        # The longest common subsequence may leave gaps: a, c, e of "a b c d e" (5) and of "a c e" (3):
        # 2 * 3/5 * 1 / (3/5 + 1) = 3/4; no pair is shared.
        ("a b c d e", "a c e", (3 / 4, 0, 3 / 4)),
        # Case and punctuation do not count.
        ("The Valve, opened.", "the valve opened", (1, 1, 1)),
        # A repeated word counts as often as in the reference: 1 of 3 and 1 of 1.
        ("oil oil oil", "oil", (1 / 2, 0, 1 / 2)),
        ("pump", "seal", (0, 0, 0)),
        ("", "seal", (0, 0, 0)),
        ("?!", "seal", (0, 0, 0)),
    ],
)
def test_shared_words_pairs_and_subsequences(
    answer: str, reference: str, expected: tuple[float, ...]
) -> None:
    assert score(answer, reference) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        # The bare library keeps a to z alone: it would find "l" in both.
        ("Öl", "öl", (1, 0, 1)),
        ("ÖL", "Äl", (0, 0, 0)),
        ("клапан открыт", "клапан закрыт", (1 / 2, 0, 1 / 2)),
        # Vowel signs belong to their word.
        ("पानी गरम", "पानी ठंडा", (1 / 2, 0, 1 / 2)),
        # Four characters of which the last two agree: 2 of 4 words, 1 of 3 pairs.
        ("大きな船", "小さな船", (1 / 2, 1 / 3, 1 / 2)),
    ],
)
def test_words_of_other_scripts_count(answer: str, reference: str, expected: tuple[float, ...]) -> None:
    assert score(answer, reference) == pytest.approx(expected)


def test_each_answer_has_values_of_its_own() -> None:
    rows = [{"answer": "oil", "reference": "oil"}, {"answer": "oil", "reference": "water"}]
    assert [value["rougeL"] for value in ROUGE(rows)] == [1, 0]
    assert ROUGE([]) == []
