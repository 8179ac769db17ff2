from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, TrainingArguments

from stages.likelihood import Labelled, label_losses
from stages.packing import inputs, pack
from stages.sft import SftTrainer
from stages.steps import Steps
from stages.tokens import Row

# The padding token is 2 as well: it is learnt where it ends an answer.
ROWS = [
    Row("a", "p", "open", "text", [1, 5, 9, 20], [7, 8, 2]),
    Row("b", "p", "closed", "text", [1, 6], [11, 2]),
]


def made(model: Any, folder: Path) -> SftTrainer:
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=1, per_device_train_batch_size=2, per_device_eval_batch_size=1,
        logging_steps=1, remove_unused_columns=False, use_cpu=True, report_to="none", save_strategy="no",
        learning_rate=0.0, dataloader_pin_memory=False,
    )  # fmt: skip
    return SftTrainer(
        model=model, compute_dtype=torch.float32, labelled=Labelled(model), args=arguments,
        steps=Steps(inputs(ROWS), 2, 0, "prefix", 0), layout=lambda rows: pack(rows, 2, 0.0, "prefix"),
        train_dataset=ROWS, eval_dataset=ROWS,
    )  # fmt: skip


@pytest.fixture
def model(tiny_model: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_model)


def nats(model: Any, rows: list[Row]) -> float:
    batch = pack(rows, 2, 0.0, "none")
    return label_losses(model, Labelled(model), batch, torch.float32).sum().item()


def test_the_logged_loss_is_per_target_token_whatever_the_lengths(model: Any, tmp_path: Path) -> None:
    whole = nats(model, ROWS)
    trainer = made(model, tmp_path)
    trainer.train()
    # Three target tokens and two: five.
    assert trainer.state.log_history[0]["loss"] == pytest.approx(whole / 5, rel=1e-4)


def test_the_validation_loss_weighs_tokens_not_rows(model: Any, tmp_path: Path) -> None:
    first, second = (nats(model, [row]) for row in ROWS)
    found = made(model, tmp_path).evaluate()["eval_loss"]
    # Each row in a batch of its own: five tokens together, not the mean of a third and a half.
    assert found == pytest.approx((first + second) / 5, rel=1e-5)
    assert found != pytest.approx((first / 3 + second / 2) / 2, rel=1e-5)


def test_labels_stand_on_the_completion_alone_and_eos_is_learnt_though_it_is_the_padding() -> None:
    for packing in ("prefix", "rows", "none"):
        assert pack(ROWS, 2, 0.0, packing)["labels"].tolist() == [7, 8, 2, 11, 2]  # type: ignore[arg-type]
