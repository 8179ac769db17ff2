from collections import Counter

import pytest

from stages.split import position, side

TEXTS = [f"passage {n}" for n in range(10_000)]


def sides(texts: list[str], seed: int = 0) -> dict[str, str]:
    return {text: side(text, seed, 0.2, 0.1) for text in texts}


def test_a_position_is_the_hash_of_purpose_seed_and_text() -> None:
    # printf 'split\0%s\0text' 0 | sha256sum: 43d8870572dc2e95...; over 2^64
    assert position("text", 0, "split") == 0x43D8870572DC2E95 / 2**64


def test_purpose_and_seed_and_text_each_move_a_position() -> None:
    places = {position("a", 0, "split"), position("a", 0, "context"), position("a", 1, "split")}
    assert len(places | {position("b", 0, "split")}) == 4


def test_the_shares_are_about_right() -> None:
    counts = Counter(sides(TEXTS).values())
    # Five standard deviations of 10000 draws: 5 * sqrt(p (1 - p) / 10000)
    assert counts["test"] / 10_000 == pytest.approx(0.2, abs=0.020)
    assert counts["validation"] / 10_000 == pytest.approx(0.1, abs=0.015)
    assert counts["train"] / 10_000 == pytest.approx(0.7, abs=0.023)


def test_adding_passages_moves_none() -> None:
    before, after = sides(TEXTS[:5_000]), sides(TEXTS[::-1])
    assert all(after[text] == before[text] for text in before)


def test_a_larger_test_share_only_adds_to_the_test_side() -> None:
    small = {text for text in TEXTS if side(text, 0, 0.1, 0.1) == "test"}
    large = {text for text in TEXTS if side(text, 0, 0.2, 0.1) == "test"}
    assert small < large


def test_another_seed_is_another_split() -> None:
    one, other = sides(TEXTS, seed=0), sides(TEXTS, seed=1)
    # Two independent draws agree with probability 0.2^2 + 0.1^2 + 0.7^2 = 0.54.
    agree = sum(one[text] == other[text] for text in TEXTS) / 10_000
    assert agree == pytest.approx(0.54, abs=0.025)


@pytest.mark.parametrize(
    ("test_share", "validation_share", "expected"),
    [(1.0, 0.0, {"test"}), (0.0, 1.0, {"validation"}), (0.0, 0.0, {"train"})],
)
def test_a_share_of_nothing_and_of_all(
    test_share: float, validation_share: float, expected: set[str]
) -> None:
    assert {side(text, 0, test_share, validation_share) for text in TEXTS[:100]} == expected
