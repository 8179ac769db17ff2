import torch
from transformers import DynamicCache

from stages.growing import GrowingLayer, growing


def states(rows: int, tokens: int) -> torch.Tensor:
    return torch.randn(rows, 2, tokens, 4)


def test_a_cache_with_room_holds_what_one_without_holds() -> None:
    torch.manual_seed(0)
    plain, roomy = DynamicCache(), DynamicCache()
    first = states(3, 5), states(3, 5)
    for cache in (plain, roomy):
        cache.update(*first, 0)
    growing(roomy)
    assert isinstance(roomy.layers[0], GrowingLayer)
    # More than once around the room, with rows that leave and rows that change places in between.
    for step in range(150):
        kept = len(plain.layers[0].keys)
        new = states(kept, 1), states(kept, 1)
        both = [cache.update(*new, 0) for cache in (plain, roomy)]
        for ours, theirs in zip(both[0], both[1], strict=True):
            assert torch.equal(ours, theirs)
        assert roomy.get_seq_length() == plain.get_seq_length() == 6 + step
        for cache in (plain, roomy):
            if step == 70:
                cache.batch_select_indices(torch.tensor([0, 2]))
            if step == 90:
                cache.layers[0].reorder_cache(torch.tensor([1, 0]))
            if step == 100:
                cache.batch_repeat_interleave(2)


def test_a_new_token_copies_nothing_while_there_is_room() -> None:
    cache = DynamicCache()
    cache.update(states(1, 5), states(1, 5), 0)
    growing(cache)
    cache.update(states(1, 1), states(1, 1), 0)
    place = cache.layers[0].keys.data_ptr()
    cache.update(states(1, 1), states(1, 1), 0)
    assert cache.layers[0].keys.data_ptr() == place


def test_layers_that_keep_something_else_are_left_alone() -> None:
    assert growing(None) is None
    empty = DynamicCache()
    assert growing(empty) is empty
