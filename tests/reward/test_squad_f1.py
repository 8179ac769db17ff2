import pytest

from stages.reward.squad_f1 import SquadF1


def test_words_shared_with_the_reference_by_hand() -> None:
    rows = [{"answer": answer, "reference": "the red cat"} for answer in ("A red cat.", "red dog", "mouse")]
    # Without articles: the same; 1 of 2 and 1 of 2; none.
    assert SquadF1(name="squad_f1", weight=1.0)(rows) == pytest.approx([1, 0.5, 0])
