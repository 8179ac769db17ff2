"""How likely a model finds given completions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stages.decode import left_pad

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def completion_logits(
    model: "PreTrainedModel", rows: Sequence[tuple[Sequence[int], Sequence[int]]], pad: int
) -> list["torch.Tensor"]:
    """Return, for each (prompt, completion), the fp32 logits [completion length, vocabulary].

    Row i predicts token i of the completion. The rows are one batch, padded on the left so that
    all completions end together and only their logits are computed.
    """
    import torch

    ids, mask = left_pad([[*prompt, *completion] for prompt, completion in rows], pad)
    longest = max(len(completion) for _, completion in rows)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.inference_mode():
        logits = model(
            ids.to(model.device),
            attention_mask=mask.to(model.device),
            position_ids=positions.to(model.device),
            logits_to_keep=longest + 1,
        ).logits
    return [logits[i, -len(completion) - 1 : -1].float() for i, (_, completion) in enumerate(rows)]


def token_losses(
    model: "PreTrainedModel", rows: Sequence[tuple[Sequence[int], Sequence[int]]], pad: int
) -> list[list[float]]:
    """Return the negative natural-log probability of every completion token, row by row."""
    import torch

    losses: list[list[float]] = []
    for (_, completion), logits in zip(rows, completion_logits(model, rows, pad), strict=True):
        target = torch.tensor(list(completion), device=logits.device)
        loss = torch.nn.functional.cross_entropy(logits, target, reduction="none")
        losses.append(loss.tolist())
    return losses
