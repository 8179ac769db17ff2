"""Attention over prefix trees in parts, without most of the pairs that a mask would throw away.

On a CPU masked attention computes every pair and then drops most of them; the prefix of a passage, and
then the questions on it, are much less work, and plain products are quicker there than torch's fused
attention (350 tokens, bf16, forward and backward: 3 ms against 7). On a GPU it is the other way round.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import dropout, pad

# The name under which transformers finds it.
NAME = "folio_tree"


@dataclass(frozen=True)
class Segment:
    """Tokens `start` to `stop` of a line, and what they see of it."""

    start: int
    stop: int
    seen: torch.Tensor  # [keys], places in the line
    mask: torch.Tensor  # [stop - start and more, keys], true where a query may see a key


def register() -> str:
    """Make it known to transformers, and return the name to ask for; where no tree is told it is sdpa."""
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
    from transformers.modeling_utils import AttentionInterface

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    return NAME


def tell(mask: torch.Tensor, lines: Sequence[Sequence[Segment]]) -> None:
    """Let a mask say which tree it stands for; a copy of it does not, and then the mask itself counts."""
    mask.folio_tree = lines  # type: ignore[attr-defined]


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    """Attention as transformers calls it, from [lines, heads, width, size] to [lines, width, heads, size]."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    lines = getattr(attention_mask, "folio_tree", None)
    if lines is None or rest.get("position_bias") is not None:
        whole: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, **rest
        )
        return whole
    groups = getattr(module, "num_key_value_groups", 1)
    how = rest.get("scaling") or query.shape[-1] ** -0.5, groups, rest.get("dropout") or 0.0
    done = []
    for line, segments in enumerate(lines):
        parts = [_segment(query[line], key[line], value[line], segment, how) for segment in segments]
        filled = segments[-1].stop if segments else 0
        # What pads a line sees nothing and is seen by nothing.
        parts.append(query.new_zeros(query.shape[2] - filled, query.shape[1], value.shape[3]))
        done.append(torch.cat(parts))
    return torch.stack(done), None


def _segment(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    segment: Segment,
    how: tuple[float, int, float],
) -> torch.Tensor:
    """Softmax of the products, in fp32, as transformers' eager attention: [heads, tokens, size] each."""
    scale, groups, dropped = how
    count = segment.stop - segment.start
    q = pad(query[:, segment.start : segment.stop], (0, 0, 0, len(segment.mask) - count))
    k, v = key.index_select(1, segment.seen), value.index_select(1, segment.seen)
    if groups > 1:
        k, v = k.repeat_interleave(groups, 0), v.repeat_interleave(groups, 0)
    bias = torch.zeros_like(segment.mask, dtype=q.dtype).masked_fill(~segment.mask, _least(q))
    scores = torch.baddbmm(bias.expand(len(q), -1, -1), q, k.transpose(1, 2), alpha=scale)
    shares = scores.softmax(-1, dtype=torch.float32).to(q.dtype)
    if dropped:  # in training alone; what rows share loses the same of its attention for all of them
        shares = dropout(shares, dropped)
    return torch.bmm(shares, v)[:, :count].transpose(0, 1)


def _least(query: torch.Tensor) -> float:
    """The least number of the dtype that products are computed in: that of another may be infinite there.

    Queries are float32 where a quantised model is trained, and autocast computes in bf16; a row that sees
    nothing would then have no softmax.
    """
    device = query.device.type
    is_cast = torch.is_autocast_enabled(device)
    return torch.finfo(torch.get_autocast_dtype(device) if is_cast else query.dtype).min
