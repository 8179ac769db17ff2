"""Supervised fine-tuning that computes logits only where a label is."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cross_entropy
from transformers import EvalPrediction, Trainer

from stages.decode import left_pad

if TYPE_CHECKING:
    from stages.tokens import Row

# What a label is where none is learnt: torch's cross entropy skips it.
IGNORED = -100


def collate(rows: Sequence[dict[str, list[int]]], pad: int) -> dict[str, torch.Tensor]:
    """Return input_ids and attention_mask [rows, longest], labels [rows, longest completion].

    Rows are padded on the left, so that all completions end together. Labels are masked by
    position, not by value: the padding token may be EOS, which is learnt.
    """
    ids, mask = left_pad([row["input_ids"] for row in rows], pad)
    labels, _ = left_pad([row["completion"] for row in rows], IGNORED)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def examples(rows: Sequence["Row"]) -> list[dict[str, list[int]]]:
    """Rows as the trainer takes them."""
    return [{"input_ids": row.prompt + row.completion, "completion": row.completion} for row in rows]


def row_losses(
    model: Any, inputs: dict[str, torch.Tensor], dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """Return the summed loss (nats) of each row's completion, shape [rows].

    Products are computed in `dtype`; where that is a half precision the adapters stay in fp32.
    """
    labels, mask = inputs["labels"], inputs["attention_mask"]
    with torch.autocast(labels.device.type, dtype, enabled=dtype != torch.float32):
        logits = model(
            input_ids=inputs["input_ids"],
            attention_mask=mask,
            position_ids=(mask.cumsum(1) - 1).clamp(min=0),
            logits_to_keep=labels.shape[1] + 1,
            use_cache=False,
        ).logits[:, :-1]
    flat = cross_entropy(
        logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="none"
    )
    return flat.view_as(labels).sum(dim=1)


def token_weighted_loss(prediction: EvalPrediction) -> dict[str, float]:
    """Mean loss per target token over all rows; `predictions` is [rows, (nats, tokens)]."""
    nats, count = prediction.predictions.sum(axis=0)
    return {"loss": float(nats / count)}


class SftTrainer(Trainer):  # type: ignore[misc]
    """Hugging Face's trainer with the loss of `row_losses`, per target token everywhere."""

    def __init__(self, compute_dtype: torch.dtype, **arguments: Any) -> None:
        super().__init__(compute_metrics=token_weighted_loss, **arguments)
        self._compute_dtype = compute_dtype
        # The loss below is already divided by the tokens of the whole accumulated batch; every
        # label counts, since none stands at a row's first place.
        self.model_accepts_loss_kwargs = True
        self._loss_shifts_labels = False

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Mean loss per target token of the accumulated batch."""
        count = num_items_in_batch or inputs["labels"].ne(IGNORED).sum()
        return row_losses(model, inputs, self._compute_dtype).sum() / count

    def prediction_step(
        self, model: Any, inputs: dict[str, Any], *_: Any, **__: Any
    ) -> tuple[None, torch.Tensor, torch.Tensor]:
        """Return (nats, tokens) of each row where the trainer expects logits."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad():
            nats = row_losses(model, inputs, self._compute_dtype)
        counts = inputs["labels"].ne(IGNORED).sum(dim=1)
        return None, torch.stack([nats, counts.to(nats.dtype)], dim=1), counts
