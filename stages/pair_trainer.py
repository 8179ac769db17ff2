"""Learning from preference pairs: a loss per pair, its rewards, and a reference computed beforehand."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from transformers import TrainerCallback

from stages.likelihood import Batch, Labelled, label_losses
from stages.packing import Stretch, inputs
from stages.pairing import Pair
from stages.preference import Answers, Judged, Objective
from stages.sft import SftTrainer

# Means over pairs; log-probabilities are means over an answer's tokens (nats).
FIGURES = (
    "loss", "rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins", "logps/chosen",
    "logps/rejected", "nll_loss",
)  # fmt: skip


class FullLog(TrainerCallback):  # type: ignore[misc]
    """Logs wherever a checkpoint is written: what goes on from there has nothing left to log of before."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask for it at a step."""
        control.should_log |= control.should_save

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask for it at the end of an epoch."""
        control.should_log |= control.should_save


class PairTrainer(SftTrainer):
    """The trainer of packed rows, over pairs: each counts the same, whatever its length.

    Rows are `Pair`s, laid out by `pairing.lay_out`; everywhere a batch counts pairs.
    """

    def __init__(self, objective: Objective, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._objective = objective
        self._sums, self._pairs = torch.zeros(len(FIGURES), dtype=torch.float64), 0

    def compute_loss(
        self,
        model: Any,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Mean loss per pair of the accumulated batch, of which `num_items_in_batch` is the count."""
        losses = label_losses(model, self._labelled, inputs, self._compute_dtype)
        pairs = len(inputs["reference"])
        if not pairs:  # the last step of an epoch may have too few for every micro-batch
            return losses.sum()
        policy, judged = judge(self._objective, losses, inputs)
        self._sums += sums(policy, judged)
        self._pairs += pairs
        return judged.losses.sum() / (num_items_in_batch or pairs)

    def log(self, logs: dict[str, float], *rest: Any) -> None:
        """Log, with the rewards of the pairs that were learnt from since the last time."""
        if "loss" in logs and self._pairs:
            means = (self._sums / self._pairs).tolist()
            # The trainer's loss is a mean over steps, of which the last of an epoch may be smaller.
            logs |= dict(zip(FIGURES[1:], means[1:], strict=True))
            self._sums, self._pairs = torch.zeros_like(self._sums), 0
        super().log(logs, *rest)

    def validation_figures(self) -> dict[str, float]:
        """Loss and rewards of the validation pairs, each a mean over pairs."""
        total = torch.zeros(len(FIGURES), dtype=torch.float64)
        self.model.eval()
        for batch in self._validation_batches():
            with torch.no_grad():
                losses = label_losses(self.model, self._labelled, batch, self._compute_dtype)
                total += sums(*judge(self._objective, losses, batch))
        means = (total / len(self.eval_dataset)).tolist()
        return {f"eval_{name}": value for name, value in zip(FIGURES, means, strict=True)}

    def _validation_batches(self) -> Iterable[Batch]:
        order, size = self._validation_order, self.args.per_device_eval_batch_size
        for start in range(0, len(order), size):
            yield self._prepare_inputs(
                self.data_collator([self.eval_dataset[i] for i in order[start : start + size]])
            )

    def _get_num_items_in_batch(self, batch_samples: list[Batch], device: torch.device) -> torch.Tensor:
        """Pairs of an accumulated step, where the base class counts labels."""
        return torch.tensor(sum(len(batch["reference"]) for batch in batch_samples), device=device)


def log_probs(losses: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """The log-probability (nats) of each pair's answers [pairs, 2] from their labels' losses [labels]."""
    return torch.stack([-answer.sum() for answer in torch.split(losses, lengths.tolist())]).reshape(-1, 2)


def judge(objective: Objective, losses: torch.Tensor, batch: Batch) -> tuple[Answers, Judged]:
    """What the objective makes of a batch whose labels have these losses [labels]."""
    tokens = batch["lengths"].reshape(-1, 2).unbind(1)
    policy = Answers(*log_probs(losses, batch["lengths"]).unbind(1), *tokens)
    return policy, objective(policy, Answers(*batch["reference"].unbind(1), *tokens))


def sums(policy: Answers, judged: Judged) -> torch.Tensor:
    """The sums over pairs of `FIGURES`, float64; equal rewards are no right order."""
    chosen, rejected = policy.means()
    margins = judged.chosen - judged.rejected
    columns = (
        judged.losses, judged.chosen, judged.rejected, margins > 0, margins, chosen, rejected, -chosen,
    )  # fmt: skip
    return torch.stack([column.detach().cpu().double().sum() for column in columns])


def referenced(
    model: Any,
    labelled: Labelled,
    layout: Callable[[Sequence[Pair]], Batch],
    pairs: Sequence[Pair],
    size: int,
    dtype: torch.dtype,
) -> list[Pair]:
    """The pairs with their answers' log-probabilities under the model as it stands, `size` at once."""
    from peft.helpers import disable_input_dtype_casting

    found = list(pairs)
    order = Stretch(inputs(pairs)).order
    model.eval()
    with torch.no_grad(), disable_input_dtype_casting(model):  # as the model is trained
        for start in range(0, len(order), size):
            own = order[start : start + size]
            batch = {key: value.to(model.device) for key, value in layout([pairs[i] for i in own]).items()}
            losses = label_losses(model, labelled, batch, dtype)
            for i, nats in zip(own, log_probs(losses, batch["lengths"]).tolist(), strict=True):
                found[i] = replace(pairs[i], reference=tuple(nats))
    return found
