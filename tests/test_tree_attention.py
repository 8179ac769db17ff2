"""Attention over trees in parts, in the precisions that training computes in."""

from types import SimpleNamespace

import torch

from stages.tree_attention import Segment, attend, tell


def test_under_autocast_to_bf16_rows_that_see_nothing_stay_finite_and_the_others_right() -> None:
    # As with a quantised model: queries in float32, products in bf16.
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, 2, 6, 4, requires_grad=True) for _ in range(3))
    mask = torch.zeros(8, 6, dtype=torch.bool)  # two rows more than tokens: padding, which sees nothing
    mask[:6] = torch.tril(torch.ones(6, 6, dtype=torch.bool))
    told = torch.zeros(1, 1, 6, 6)
    tell(told, [[Segment(0, 6, torch.arange(6), mask)]])
    module = SimpleNamespace(num_key_value_groups=1)
    plain, _ = attend(module, query, key, value, told)
    with torch.autocast("cpu", torch.bfloat16):
        cast, _ = attend(module, query, key, value, told)
    cast.float().sum().backward()
    assert torch.allclose(cast.float(), plain, atol=0.05)
    for learnt in (query, key, value):
        assert learnt.grad is not None
        assert bool(torch.isfinite(learnt.grad).all())
