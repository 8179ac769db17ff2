import pytest

from stages.probes import copied_share, probes

PASSAGE = "The captain inspects the boats every four weeks, and the mate helps."


@pytest.mark.parametrize(
    ("answer", "share"),
    [
        ("The captain inspects the boats", 1),  # both runs of four words
        # captain inspects the boats / inspects the boats daily: one of two
        ("captain inspects the boats daily", 1 / 2),
        ("boats the inspects captain", 0),
        ("every four weeks", 0),  # fewer than four words
        ("", 0),
    ],
)
def test_the_copied_share_by_hand(answer: str, share: float) -> None:
    assert copied_share(answer, PASSAGE) == share


def test_means_over_answers_that_say_something_by_hand() -> None:
    said = ["The captain inspects the boats", "go go go go go go", "", "..."]
    found = probes([{"answer": answer, "passage": PASSAGE} for answer in said])
    # Of six words three runs of four: one stands anew, two before.
    assert found == {
        "empty": 0.5, "words": 5.5, "copy": 0.5, "repetition": pytest.approx((0 + 2 / 3) / 2, abs=1e-6),
    }  # fmt: skip


def test_without_answers_there_is_nothing_to_say() -> None:
    assert probes([]) == {}
    assert probes([{"answer": " ", "passage": PASSAGE}]) == {"empty": 1}
