import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from stages.sft import IGNORED, collate, examples, row_losses, token_weighted_loss
from stages.tokens import Row

ROWS = [
    Row("a", "p", "open", "text", [1, 5, 9, 20], [7, 8, 2]),
    Row("b", "p", "closed", "text", [1, 6], [11, 2]),
]


class Uniform(torch.nn.Module):
    """Gives every token of a vocabulary of four the same logit."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, input_ids: torch.Tensor, logits_to_keep: int, **_: Any) -> SimpleNamespace:
        return SimpleNamespace(logits=self.weight + torch.zeros(len(input_ids), logits_to_keep, 4))


def test_labels_stand_on_the_completion_alone_and_eos_is_learnt_though_it_is_the_padding() -> None:
    batch = collate(examples(ROWS), pad=2)
    assert batch["input_ids"].tolist() == [[1, 5, 9, 20, 7, 8, 2], [2, 2, 2, 1, 6, 11, 2]]
    assert batch["attention_mask"].tolist() == [[1] * 7, [0, 0, 0, 1, 1, 1, 1]]
    assert batch["labels"].tolist() == [[7, 8, 2], [IGNORED, 11, 2]]


def test_the_loss_of_a_model_that_knows_nothing_is_ln_of_the_vocabulary_per_token() -> None:
    batch = {
        "input_ids": torch.tensor([[0, 1, 2], [0, 0, 3]]),
        "attention_mask": torch.ones(2, 3, dtype=torch.long),
        "labels": torch.tensor([[1, 2], [IGNORED, 3]]),
    }
    # Two labels in the first row, one in the second; each costs ln 4.
    assert row_losses(Uniform(), batch).tolist() == pytest.approx([2 * math.log(4), math.log(4)])


def test_the_validation_loss_weighs_tokens_not_rows() -> None:
    # 6 nats over 2 tokens and 2 nats over 6 tokens: 8 / 8, not the mean of 3 and 1/3.
    prediction = SimpleNamespace(predictions=np.array([[6.0, 2.0], [2.0, 6.0]]))
    assert token_weighted_loss(prediction) == {"loss": 1.0}  # type: ignore[arg-type]


def test_logits_at_labels_alone_and_left_padding_give_the_loss_of_separate_full_rows(
    tiny_model: Path,
) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    ours = row_losses(model, collate(examples(ROWS), pad=2))
    for row, loss in zip(ROWS, ours, strict=True):
        ids = torch.tensor([row.prompt + row.completion])
        labels = torch.tensor([[IGNORED] * len(row.prompt) + row.completion])
        mean = model(input_ids=ids, labels=labels).loss
        assert loss.item() == pytest.approx(mean.item() * len(row.completion), rel=1e-5)


def test_gradients_equal_those_of_separate_rows(tiny_model: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    row_losses(model, collate(examples(ROWS), pad=2)).sum().backward()
    together = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    for row in ROWS:
        row_losses(model, collate(examples([row]), pad=2)).sum().backward()
    for name, parameter in model.named_parameters():
        assert torch.allclose(parameter.grad, together[name], atol=1e-5), name


def test_the_logged_loss_is_per_target_token_whatever_the_lengths(tiny_model: Path, tmp_path: Path) -> None:
    from transformers import TrainingArguments

    from stages.sft import SftTrainer

    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    nats = row_losses(model, collate(examples(ROWS), pad=2)).sum().item()
    arguments = TrainingArguments(
        output_dir=str(tmp_path), max_steps=1, per_device_train_batch_size=2, logging_steps=1,
        remove_unused_columns=False, use_cpu=True, report_to="none", save_strategy="no",
        learning_rate=0.0, dataloader_pin_memory=False,
    )  # fmt: skip
    trainer = SftTrainer(
        compute_dtype=torch.float32,
        model=model,
        args=arguments,
        train_dataset=examples(ROWS),
        data_collator=lambda batch: collate(batch, 2),
    )
    trainer.train()
    # Three target tokens and two: five.
    assert trainer.state.log_history[0]["loss"] == pytest.approx(nats / 5, rel=1e-4)
