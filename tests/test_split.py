from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.split import fold_of, fold_side, position, side

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


FOLDS = st.integers(2, 50)
SEEDS = st.integers(-(2**40), 2**40)


@given(text=st.text(), seed=SEEDS, folds=FOLDS)
def test_every_passage_is_tested_in_exactly_one_fold(text: str, seed: int, folds: int) -> None:
    tested = [n for n in range(folds) if fold_side(text, seed, folds, n, 0.1) == "test"]
    assert tested == [fold_of(text, seed, folds)]
    assert tested[0] / folds <= position(text, seed, "split") < (tested[0] + 1) / folds


@given(folds=st.lists(FOLDS, min_size=2, max_size=2, unique=True), seed=SEEDS)
def test_a_fold_draws_its_validation_side_apart_from_the_others(folds: list[int], seed: int) -> None:
    purposes = {("split", seed)} | {(f"validation {n} of {k}", seed) for k in folds for n in range(k)}
    assert len({position("text", seed, purpose) for purpose, _ in purposes}) == 1 + sum(folds)


@pytest.mark.parametrize("folds", [2, 5, 10])
def test_the_sides_of_a_fold_have_their_shares_of_all_passages(folds: int) -> None:
    for fold in (0, folds - 1):
        counts = Counter(fold_side(text, 0, folds, fold, 0.1) for text in TEXTS)
        # Five standard deviations of 10000 draws: 5 * sqrt(p (1 - p) / 10000)
        assert counts["test"] / 10_000 == pytest.approx(1 / folds, abs=0.025)
        assert counts["validation"] / 10_000 == pytest.approx(0.1, abs=0.015)


def test_the_first_of_five_folds_tests_what_a_test_share_of_a_fifth_does() -> None:
    tested = {text for text in TEXTS if side(text, 0, 0.2, 0.1) == "test"}
    assert {text for text in TEXTS if fold_side(text, 0, 5, 0, 0.1) == "test"} == tested


def test_two_folds_share_few_validation_passages() -> None:
    first, second = (
        {text for text in TEXTS if fold_side(text, 0, 5, fold, 0.1) == "validation"} for fold in (0, 1)
    )
    # Independent: 3/5 of all are tested in neither, and each of the two folds draws 1/8 of those.
    assert len(first & second) / 10_000 == pytest.approx(0.6 / 64, abs=0.005)


def test_a_passage_on_the_last_position_is_in_the_last_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    # 2^64 - 1 over 2^64 rounds to 1 in a double.
    monkeypatch.setattr("stages.split.position", lambda *_: 1.0)
    assert fold_of("any", 0, 3) == 2
