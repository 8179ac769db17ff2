from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.packing import MULTIPLE, Packing, Stretch, inputs, pack, shared, split, trees
from stages.tokens import Row


def row(prompt: list[int], completion: list[int]) -> Row:
    return Row(str(prompt), "p", "open", "text", prompt, completion)


ONE = row([1, 2, 3, 4], [5, 6])
TWO = row([1, 2, 3, 7, 8], [9, 2])
THREE = row([1, 9], [4])
ROWS = st.lists(
    st.builds(
        row,
        st.lists(st.integers(0, 2), min_size=1, max_size=6),
        st.lists(st.integers(0, 2), min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=8,
)


def padded(ids: list[int]) -> list[int]:
    return ids + [0] * (MULTIPLE - len(ids))


def test_the_common_start_of_two_rows_is_counted() -> None:
    ids = [np.array(text) for text in ([1, 2, 3], [1, 2, 4], [1, 2], [9], [])]
    assert [shared(ids[0], other) for other in ids] == [3, 2, 2, 0, 0]


def test_rows_are_laid_out_as_a_tree() -> None:
    batch = pack([ONE, TWO, THREE], 0, 0.0, "prefix")
    #           shared 1 2 3, then 4 5 of the first, 7 8 9 of the second, 9 of the third behind 1
    assert batch["input_ids"].tolist() == [padded([1, 2, 3, 4, 5, 7, 8, 9, 9])]
    assert batch["position_ids"].tolist() == [padded([0, 1, 2, 3, 4, 3, 4, 5, 1])]
    seen = [np.flatnonzero(line).tolist() for line in batch["attention_mask"][0, 0, :9].numpy()]
    assert seen == [
        [0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4],
        [0, 1, 2, 5], [0, 1, 2, 5, 6], [0, 1, 2, 5, 6, 7], [0, 8],
    ]  # fmt: skip
    assert batch["index"].tolist() == [3, 4, 6, 7, 8]
    assert batch["labels"].tolist() == [5, 6, 9, 2, 4]
    # Six tokens, seven and three.
    assert batch["tokens"].item() == 16


def test_without_sharing_rows_stand_one_behind_the_other_or_one_in_each_line() -> None:
    behind = pack([ONE, THREE], 0, 0.0, "rows")
    assert behind["input_ids"].tolist() == [padded([1, 2, 3, 4, 5, 1, 9])]
    assert behind["position_ids"].tolist() == [padded([0, 1, 2, 3, 4, 0, 1])]
    # One line of 11 tokens costs 11 * (1 + 110), two of 6 cost 12 * (1 + 60).
    lines = pack([ONE, TWO], 0, 10.0, "rows")
    assert lines["input_ids"].tolist() == [padded([1, 2, 3, 4, 5]), padded([1, 2, 3, 7, 8, 9])]
    alone = pack([ONE, THREE], 0, 0.0, "none")
    assert alone["input_ids"].tolist() == [[1, 2, 3, 4, 5], [0, 0, 0, 1, 9]]
    assert alone["attention_mask"].tolist() == [[True] * 5, [False] * 3 + [True] * 2]
    assert alone["index"].tolist() == [3, 4, 9]


@pytest.mark.parametrize("packing", ["prefix", "rows", "none"])
def test_a_batch_of_no_rows_has_one_token_and_no_label(packing: Packing) -> None:
    batch = pack([], 7, 0.0, packing)
    assert batch["input_ids"].numel() == 1
    assert not len(batch["labels"])
    assert batch["attention_mask"].all()


@settings(deadline=None, max_examples=60)
@given(ROWS, st.sampled_from(["prefix", "rows"]), st.sampled_from([0.0, 0.05, 5.0]))
def test_what_a_token_sees_is_its_own_row_up_to_itself(rows: list[Row], packing: Any, cost: float) -> None:
    batch = {name: tensor.numpy() for name, tensor in pack(rows, 9, cost, packing).items()}
    width = batch["input_ids"].shape[1]
    labels = iter(zip(batch["index"], batch["labels"], strict=True))
    for one in rows:
        whole = [*one.prompt, *one.completion]
        for at in range(len(one.prompt), len(whole)):
            place, label = next(labels)
            line, column = divmod(int(place), width)
            assert label == whole[at]
            sees = np.flatnonzero(batch["attention_mask"][line, 0, column])
            order = batch["position_ids"][line, sees].argsort()
            # Its own row, in order, at positions from 0 on: no more, no less.
            assert batch["input_ids"][line, sees[order]].tolist() == whole[:at]
            assert batch["position_ids"][line, sees[order]].tolist() == list(range(at))
    assert next(labels, None) is None


@settings(deadline=None)
@given(ROWS, st.integers(1, 10), st.booleans())
def test_rows_are_divided_without_loss_and_about_evenly(rows: list[Row], parts: int, share: bool) -> None:
    ids = inputs(rows)
    divided = split(ids, parts, share)
    assert len(divided) == parts
    assert sorted(i for part in divided for i in part) == list(range(len(rows)))
    widths = [Stretch([ids[i] for i in part], share).width() for part in divided]
    # No division of neighbours has a narrower widest part.
    tighter = Stretch(ids, share).cut(max(widths) - 1)
    assert len(tighter) > parts or max(map(len, ids)) == max(widths)


def test_long_rows_that_share_nothing_stand_apart_and_short_ones_together() -> None:
    far = [np.arange(100) + 1000 * n for n in range(4)]
    # Apart: 4 * 100 * (1 + 0.01 * 100) = 800. In one line 400 * (1 + 0.01 * 400) = 2000.
    assert len(trees(far, 0.01)) == 4
    near = [np.arange(100), *(np.array([n]) for n in range(1000, 1004))]
    # In one line 104 * (1 + 0.104) = 115; with one more line 2 * 100 * (1 + 0.1) = 220.
    assert len(trees(near, 0.001)) == 1


def test_rows_of_one_passage_are_one_tree_however_dear_attention_is() -> None:
    passage = np.arange(300)
    rows = [np.concatenate([passage, np.array([1000 + n] * 5)]) for n in range(6)]
    # One tree 330 * (1 + 0.33) = 439; two 630 * 1.315 = 828.
    assert len(trees(rows, 0.001)) == 1
