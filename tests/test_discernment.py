import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_auroc

from stages.discernment import against_length, auc, figures, ranked, verdict

# Chosen and rejected answers' probabilities of four pairs.
PAIRS = np.array([[0.9, 0.2], [0.6, 0.7], [0.4, 0.4], [0.8, 0.1]])
GROUPS = ["a", "a", "b", "c"]


def test_figures_worked_out_by_hand() -> None:
    found = figures(PAIRS, GROUPS, 0)
    # Right of single answers: 0.9, 0.6, 0.8 above a half, 0.2, 0.4, 0.1 below: six of eight.
    assert found["accuracy"]["value"] == 0.75
    # Two pairs are in order, one is not, of one the two are equal.
    assert found["pair_accuracy"]["value"] == 2.5 / 4
    # Of 16 (chosen, rejected) 0.9 and 0.8 beat all four, 0.6 three, 0.4 two, and a half for its equal.
    assert found["auc"]["value"] == (4 + 4 + 3 + 2.5) / 16
    for value in found.values():
        assert value["low"] <= value["value"] <= value["high"]


def test_the_area_is_that_of_torchmetrics_and_a_draws_is_that_of_the_repeated_rows() -> None:
    chance = np.random.default_rng(0)
    values = np.round(chance.random(60), 1)
    is_better = chance.random(60) < 0.5
    counts = chance.integers(0, 4, (3, 60)).astype(float)
    for row, area in zip(counts, auc(values, is_better, counts), strict=True):
        at = np.arange(60).repeat(row.astype(int))
        theirs = binary_auroc(torch.tensor(values[at]), torch.tensor(is_better[at]).long())
        assert area == pytest.approx(float(theirs), abs=1e-6)


def test_one_group_has_no_interval() -> None:
    found = figures(PAIRS, ["a"] * 4, 0)
    assert [value["low"] for value in found.values()] == [None] * 3
    length = against_length(PAIRS, {"train": PAIRS, "validation": PAIRS}, ["a"] * 4, 0)
    assert verdict(found, length) == "too few groups to tell whether it is better than chance"


def test_length_guesses_as_the_training_pairs_say() -> None:
    train = np.array([[3.0, 9.0], [2.0, 5.0], [7.0, 1.0]])
    validation = np.array([[1.0, 2.0], [1.0, 3.0], [4.0, 4.0], [9.0, 2.0]])
    found = against_length(PAIRS, {"train": train, "validation": validation}, GROUPS, 0)
    assert found["rule"] == "shorter"
    assert found["pair_accuracy"]["value"] == 2.5 / 4
    assert found["over_length"]["value"] == 0.0
    flipped = against_length(PAIRS, {"train": -train, "validation": validation}, GROUPS, 0)
    assert (flipped["rule"], flipped["pair_accuracy"]["value"]) == ("longer", 1.5 / 4)


@pytest.mark.parametrize(
    ("low", "gap", "words"),
    [
        (0.4, 0.1, "not shown to be better than chance (0.5)"),
        (0.6, -0.1, "better than chance, not shown to be better than choosing the shorter answer (0.550)"),
        (0.6, 0.1, "better than chance and than choosing the shorter answer (0.550)"),
    ],
)
def test_a_reward_that_is_no_better_than_length_is_called_so(low: float, gap: float, words: str) -> None:
    length = {"rule": "shorter", "pair_accuracy": {"value": 0.55}, "over_length": {"low": gap}}
    assert verdict({"pair_accuracy": {"low": low}}, length) == words


def test_equals_are_half_right() -> None:
    assert ranked(PAIRS).tolist() == [1.0, 0.0, 0.5, 1.0]
