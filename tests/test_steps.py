import numpy as np
import pytest

from stages.packing import Packing
from stages.steps import Steps, groups

PASSAGES = [np.arange(1, 31) + 100 * n for n in range(12)]


def questions(*counts: int) -> list[np.ndarray]:
    """Rows over the first passages, so many questions each, all behind one system prompt."""
    system = np.array([7] * 40)
    return [
        np.concatenate([system, PASSAGES[p], np.array([5000 + 10 * p + q])])
        for p, count in enumerate(counts)
        for q in range(count)
    ]


def test_groups_are_the_questions_on_one_passage_though_all_begin_with_the_system_prompt() -> None:
    assert groups(questions(3, 1, 2)) == [[0, 1, 2], [3], [4, 5]]


def test_rows_without_a_long_common_start_are_groups_of_their_own() -> None:
    rows = [np.array([7, 7, n, n + 1, n + 2]) for n in (20, 30, 40)]
    assert groups(rows) == [[0], [1], [2]]
    assert groups([]) == [[]]


@pytest.mark.parametrize("packing", ["prefix", "rows", "none"])
@pytest.mark.parametrize("tokens", [0, 150])
def test_an_epoch_has_every_row_once_and_another_has_another_order(packing: Packing, tokens: int) -> None:
    rows = questions(3, 5, 2, 8, 1, 4)
    steps = Steps(rows, 4, tokens, packing, seed=1)
    epochs = []
    for epoch in (0, 1, 0):
        steps.set_epoch(epoch)
        epochs.append(steps.steps())
        assert sorted(i for step in epochs[-1] for i in step) == list(range(len(rows)))
        assert len(epochs[-1]) == steps.count()
    assert epochs[0] == epochs[2] != epochs[1]
    assert Steps(rows, 4, tokens, packing, seed=2).steps() != epochs[0]
    if not tokens:
        assert [len(step) for step in epochs[0]].count(4) == 5  # and three rows are left of 23


def test_questions_on_one_passage_stay_together_where_there_is_room() -> None:
    # Groups of 4, 2 and 2 fill two steps of four in one way alone that divides none.
    rows = questions(4, 2, 2)
    for epoch in range(10):
        steps = Steps(rows, 4, 0, "prefix", seed=0)
        steps.set_epoch(epoch)
        assert sorted(sorted(step) for step in steps.steps()) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_limit_of_tokens_counts_shared_ones_once() -> None:
    # Each row has 40 + 30 + 1 tokens; the second to fourth on a passage add one each: 74 together.
    rows = questions(4, 4)
    assert sorted(sorted(step) for step in Steps(rows, 1, 74, "prefix", seed=0).steps()) == [
        [0, 1, 2, 3], [4, 5, 6, 7],
    ]  # fmt: skip
    assert all(len(step) == 1 for step in Steps(rows, 1, 74, "rows", seed=0).steps())
    # A row that is longer than the limit has a step of its own.
    assert all(len(step) == 1 for step in Steps(rows, 1, 10, "prefix", seed=0).steps())


@pytest.mark.parametrize(("accumulation", "devices"), [(1, 1), (2, 1), (1, 2), (3, 2), (8, 1)])
def test_devices_and_micro_batches_divide_the_same_steps(accumulation: int, devices: int) -> None:
    rows = questions(3, 5, 2, 1)
    whole = Steps(rows, 4, 0, "prefix", seed=0).steps()
    shares = []
    for device in range(devices):
        steps = Steps(rows, 4, 0, "prefix", seed=0)
        steps.divide(accumulation, devices, device)
        shares.append(list(steps))
        assert len(shares[-1]) == len(steps) == 3 * accumulation
    for number, step in enumerate(whole):
        turns = range(number * accumulation, (number + 1) * accumulation)
        assert sorted(i for share in shares for turn in turns for i in share[turn]) == sorted(step)


def test_padded_rows_are_sorted_by_length_within_a_step() -> None:
    rows = [np.array([n] * length) for n, length in enumerate([9, 1, 5, 9, 1, 5, 9, 1])]
    steps = Steps(rows, 4, 0, "none", seed=0).steps()
    assert sorted(sorted(len(rows[i]) for i in step) for step in steps) == [[1, 1, 1, 5], [5, 9, 9, 9]]
