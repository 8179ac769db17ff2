"""Learning to tell better answers from worse: cross entropy on single answers, both of a pair in a step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import DataCollatorWithPadding

from stages.language_model import pick_dtype
from stages.sft import StepTrainer

if TYPE_CHECKING:
    from stages.interval import Array
    from stages.packing import Ids

# A pair's answers stand in this order everywhere: chosen, rejected.
LABELS = {0: "worse", 1: "better"}
BETTER = 1
Encoded = dict[str, list[int]]


@dataclass(frozen=True)
class Pair:
    """The chosen and the rejected answer as a classifier reads them, with their words and their group.

    `cut` counts the answers whose text was longer than is read.
    """

    group: str
    rows: tuple[Encoded, Encoded]
    words: tuple[int, int]
    cut: int

    def ids(self) -> "Ids":
        """The tokens of both."""
        return np.array([token for row in self.rows for token in row["input_ids"]])


class CriticTrainer(StepTrainer):
    """The trainer of a text classifier over `Pair`s; everywhere a batch counts pairs.

    Steps are computed in bf16 where the device is fast in it, validation in fp32 as the reward is.
    """

    def __init__(self, tokenizer: Any, **arguments: Any) -> None:
        super().__init__(data_collator=self._lay_out, **arguments)
        self._padded = DataCollatorWithPadding(tokenizer)
        self._is_fast = pick_dtype("auto", self.args.device) == torch.bfloat16

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Mean cross entropy (nats) of the accumulated batch's answers, `num_items_in_batch` of them."""
        labels = inputs["labels"]
        if not len(labels):  # the last step of an epoch may have too few for every micro-batch
            nothing: torch.Tensor = sum(weight.sum() for weight in model.parameters()) * 0.0
            return nothing
        with torch.autocast(self.args.device.type, torch.bfloat16, enabled=self._is_fast):
            logits = self._logits(model, inputs)
        total = cross_entropy(logits, labels, reduction="sum")
        return total / (num_items_in_batch or len(labels))

    def validation_figures(self) -> dict[str, float]:
        """Loss per answer, and what rewards the validation pairs have: probabilities of being better."""
        logits = self.validation_logits()
        labels = self._labels(len(logits))
        rewards = probabilities(logits)
        chosen, rejected = rewards.mean(0)
        return {
            "eval_loss": float(cross_entropy(logits.reshape(-1, len(LABELS)), labels)),
            "eval_rewards/chosen": float(chosen),
            "eval_rewards/rejected": float(rejected),
            "eval_rewards/accuracies": float((rewards[:, 0] > rewards[:, 1]).mean()),
            "eval_rewards/margins": float(chosen - rejected),
        }

    def validation_logits(self) -> torch.Tensor:
        """The logits of the validation pairs: [pairs, 2, labels], float64."""
        pairs, size = self.eval_dataset, self.args.per_device_eval_batch_size
        order = sorted(range(len(pairs)), key=lambda i: -len(pairs[i].ids()))  # little is padded
        found = torch.zeros(len(pairs), 2, len(LABELS), dtype=torch.float64)
        self.model.to(self.args.device).eval()
        for start in range(0, len(order), size):
            some = order[start : start + size]
            inputs = self._prepare_inputs(self._lay_out([pairs[i] for i in some]))
            with torch.no_grad():
                logits = self._logits(self.model, inputs)
            found[some] = logits.reshape(len(some), 2, -1).double().cpu()
        return found

    def _logits(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        texts = {name: value for name, value in inputs.items() if name not in ("labels", "tokens")}
        logits: torch.Tensor = model(**texts).logits.float()
        return logits

    def _lay_out(self, pairs: Sequence[Pair]) -> dict[str, Any]:
        rows = [row for pair in pairs for row in pair.rows]
        texts = dict(self._padded(rows)) if rows else {}
        tokens = sum(len(row["input_ids"]) for row in rows)
        return texts | {"labels": self._labels(len(pairs)), "tokens": tokens}

    @staticmethod
    def _labels(pairs: int) -> torch.Tensor:
        return torch.tensor([BETTER, 1 - BETTER] * pairs, dtype=torch.long)


def probabilities(logits: torch.Tensor) -> "Array":
    """The probability that an answer is a better one, from its logits [..., labels]."""
    found: Array = logits.softmax(-1)[..., BETTER].numpy()
    return found
