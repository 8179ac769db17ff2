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
from stages.sft import SftTrainer, StepLoader

# Means over pairs; log-probabilities are means over an answer's tokens (nats).
FIGURES = (
    "loss", "rewards/chosen", "rewards/rejected", "rewards/accuracies", "logps/chosen", "logps/rejected",
    "nll_loss", "kl",
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

    Rows are `Pair`s, laid out by `pairing.lay_out`; everywhere a batch counts pairs, of which an answer
    without its counterpart is half a one.
    """

    def __init__(self, objective: Objective, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._objective = objective
        self._sums = nothing()

    def get_train_dataloader(self) -> StepLoader:
        """Micro-batches, which keep their pairs where mismatched answers belong to these."""
        loader, layout = super().get_train_dataloader(), self.data_collator
        if self._objective.needs_mismatched:
            loader.collate_fn = lambda pairs: layout(pairs) | {"pairs": pairs}
        return loader

    def get_batch_samples(self, *arguments: Any) -> tuple[list[Batch], Any]:
        """The micro-batches of a step; mismatched answers are compared over all of them together."""
        batches, count = super().get_batch_samples(*arguments)
        if self._objective.needs_mismatched:
            found = self._mismatched([pair for batch in batches for pair in batch.pop("pairs")])
            for batch in batches:
                batch["mismatched"] = found
        return batches, count

    def compute_loss(
        self,
        model: Any,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Mean loss per pair of the accumulated batch, of which `num_items_in_batch` is the count."""
        losses = label_losses(model, self._labelled, inputs, self._compute_dtype)
        if not len(inputs["reference"]):  # the last step of an epoch may have too few for every micro-batch
            return losses.sum()
        policy, judged = judge(self._objective, losses, inputs)
        self._sums += sums(policy, judged)
        return judged.losses.sum() / (num_items_in_batch or weights(policy).sum())

    def log(self, logs: dict[str, float], *rest: Any) -> None:
        """Log, with the rewards of the pairs that were learnt from since the last time."""
        if "loss" in logs and self._sums.any():
            # The trainer's loss is a mean over steps, of which the last of an epoch may be smaller.
            logs |= means(self._sums) | {"loss": logs["loss"]}
            self._sums = nothing()
        super().log(logs, *rest)

    def validation_figures(self) -> dict[str, float]:
        """Loss and rewards of the validation pairs, each a mean over pairs."""
        total = nothing()
        self.model.eval()
        rows = [self.eval_dataset[i] for i in self._validation_order]
        found = self._mismatched(rows) if self._objective.needs_mismatched else None
        for batch in self._laid(rows):
            if found is not None:
                batch["mismatched"] = found
            with torch.no_grad():
                losses = label_losses(self.model, self._labelled, batch, self._compute_dtype)
                total += sums(*judge(self._objective, losses, batch))
        return {f"eval_{name}": value for name, value in means(total).items()}

    def _laid(self, pairs: Sequence[Pair]) -> Iterable[Batch]:
        """Pairs as batches of as many as are evaluated at once, where they are computed."""
        size = self.args.per_device_eval_batch_size
        for start in range(0, len(pairs), size):
            batch: Batch = self._prepare_inputs(self.data_collator(pairs[start : start + size]))
            yield batch

    def _mismatched(self, pairs: Iterable[Pair]) -> torch.Tensor:
        """Mean log-probability (nats) of the pairs' mismatched answers under model and reference [2].

        The model does not learn from them, nor does dropout touch them; 0 where there are none.
        """
        total, count = torch.zeros(2, dtype=torch.float64), 0
        self.model.eval()
        for batch in self._laid([pair.mismatched for pair in pairs if pair.mismatched]):
            with torch.no_grad():
                losses = label_losses(self.model, self._labelled, batch, self._compute_dtype)
            both = torch.stack([-losses.sum(), batch["reference"].sum()])
            total += both.detach().cpu().double()
            count += int((batch["lengths"] > 0).sum())
        return (total / max(count, 1)).float().to(self.args.device)

    def _get_num_items_in_batch(self, batch_samples: list[Batch], device: torch.device) -> torch.Tensor:
        """Pairs of an accumulated step, where the base class counts labels."""
        answers = sum(int((batch["lengths"] > 0).sum()) for batch in batch_samples)
        return torch.tensor(answers / 2, device=device)


def log_probs(losses: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """The log-probability (nats) of each pair's answers [pairs, 2] from their labels' losses [labels]."""
    return torch.stack([-answer.sum() for answer in torch.split(losses, lengths.tolist())]).reshape(-1, 2)


def judge(objective: Objective, losses: torch.Tensor, batch: Batch) -> tuple[Answers, Judged]:
    """What the objective makes of a batch whose labels have these losses [labels]."""
    first, second = batch["lengths"].reshape(-1, 2).unbind(1)
    own, other = batch.get("mismatched", (0.0, 0.0))
    chosen, rejected = log_probs(losses, batch["lengths"]).unbind(1)
    policy = Answers(chosen, rejected, first, second, own)
    chosen, rejected = batch["reference"].unbind(1)
    return policy, objective(policy, Answers(chosen, rejected, first, second, other))


def weights(policy: Answers) -> torch.Tensor:
    """How much each pair counts: 1, or a half where one of its answers is lacking; shape [pairs]."""
    return ((policy.chosen_tokens > 0).float() + (policy.rejected_tokens > 0).float()) / 2


def nothing() -> torch.Tensor:
    """The sums of no pair."""
    return torch.zeros(2, len(FIGURES), dtype=torch.float64)


def sums(policy: Answers, judged: Judged) -> torch.Tensor:
    """The sums over pairs of `FIGURES`, and how many each is a sum of; equal rewards are no right order.

    Returns:
        float64 [2, figures]. An answer that is lacking has added 0 to the first row and to the second.
    """
    (chosen, rejected), one = policy.means(), torch.ones_like(policy.chosen)
    first, second = policy.chosen_tokens > 0, policy.rejected_tokens > 0
    right = (judged.chosen > judged.rejected) & first & second
    kl = (0 * one, 0 * one) if judged.kl is None else (judged.kl * one, one)
    columns = (
        (judged.losses, weights(policy)), (judged.chosen, first), (judged.rejected, second),
        (right, first & second), (chosen, first), (rejected, second), (-chosen, first), kl,
    )  # fmt: skip
    flat = [column.detach().cpu().double().sum() for pair in columns for column in pair]
    return torch.stack(flat).reshape(-1, 2).T


def means(total: torch.Tensor) -> dict[str, float]:
    """The means of `sums` by name, without those of nothing, and the gap between both rewards."""
    columns = zip(FIGURES, *total.tolist(), strict=True)
    found = {name: value / count for name, value, count in columns if count}
    if {"rewards/chosen", "rewards/rejected"} <= set(found):
        found["rewards/margins"] = found["rewards/chosen"] - found["rewards/rejected"]
    return found


def referenced(
    model: Any,
    labelled: Labelled,
    layout: Callable[[Sequence[Pair]], Batch],
    pairs: Sequence[Pair],
    size: int,
    dtype: torch.dtype,
) -> list[Pair]:
    """The pairs with their answers' log-probabilities under the model as it stands, `size` at once.

    So have the mismatched answers of those that bear any.
    """
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
    with_others = [(i, pair.mismatched) for i, pair in enumerate(pairs) if pair.mismatched]
    if with_others:
        places, others = zip(*with_others, strict=True)
        for i, other in zip(places, referenced(model, labelled, layout, others, size, dtype), strict=True):
            found[i] = replace(found[i], mismatched=other)
    return found
