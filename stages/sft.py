"""Supervised fine-tuning over packed rows: logits only where a label is, a loss per target token."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerState

from stages.likelihood import Batch, Labelled, label_losses
from stages.packing import Stretch, inputs
from stages.steps import Steps

if TYPE_CHECKING:
    from stages.memory import Estimate
    from stages.tokens import Row


class StepLoader(DataLoader[Any]):
    """Micro-batches of `Steps`, of whose epochs the trainer tells it."""

    def set_epoch(self, epoch: int) -> None:
        """Another epoch has another order."""
        steps: Any = self.batch_sampler
        steps.set_epoch(epoch)


class Resumable(Trainer):  # type: ignore[misc]
    """Validates by its own figures, and leaves checkpoints that a killed or a finished run goes on from."""

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Log the figures of the validation rows, and tell them to the callbacks."""
        figures = self.validation_figures()
        self.log(figures)
        seen = self.callback_handler.on_evaluate(self.args, self.state, self.control, figures)
        self.control: Any = seen
        return figures

    def validation_figures(self) -> dict[str, float]:
        """The figures of the validation rows: the one that the best checkpoint is chosen by, and others."""
        raise NotImplementedError

    def take(self, checkpoint: Path) -> None:
        """Take over what a run that stopped early had learnt by its best checkpoint, and its curves."""
        self.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
        self.state.is_world_process_zero = self.is_world_process_zero()
        self.callback_handler.on_train_begin(self.args, self.state, self.control)
        self._load_best_model()
        self.callback_handler.on_train_end(self.args, self.state, self.control)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Save; what is written over an older checkpoint of the same step is torn until it is whole."""
        older = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}" / "trainer_state.json"
        if self.args.should_save:
            older.unlink(missing_ok=True)
        super()._save_checkpoint(model, trial)


class StepTrainer(Resumable):
    """Hugging Face's trainer over the micro-batches of `steps`; a batch says how many `tokens` it holds.

    Training rows learn in the order of `steps`, and a killed run goes on as if nothing had been.
    """

    def __init__(self, steps: Steps, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._steps = steps
        # A subclass divides its loss by the labels of the whole accumulated batch; every label counts,
        # since none stands at a row's first place.
        self.model_accepts_loss_kwargs = True
        self._loss_shifts_labels = False
        self._tokens = self._seconds = 0.0
        steps.divide(
            self.args.gradient_accumulation_steps,
            self.accelerator.num_processes,
            self.accelerator.process_index,
        )

    def get_train_dataloader(self) -> StepLoader:
        """This device's micro-batches; they are dealt out by `Steps`, not by accelerate."""
        # A generator of its own: the loader would draw from the one that dropout uses.
        return StepLoader(
            self.train_dataset,
            batch_sampler=self._steps,
            collate_fn=self.data_collator,
            generator=torch.Generator(),
        )

    def training_step(self, model: Any, inputs: Batch, *rest: Any) -> torch.Tensor:
        """Compute gradients, and measure how long that takes."""
        self._tokens += float(inputs["tokens"])
        start = time.perf_counter()
        loss: torch.Tensor = super().training_step(model, inputs, *rest)
        self._seconds += time.perf_counter() - start
        return loss

    def log(self, logs: dict[str, float], *rest: Any) -> None:
        """Log, with this device's tokens a second since the last time; shared ones count for every row."""
        if "loss" in logs and self._seconds:
            logs["tokens_per_second"] = self._tokens / self._seconds
            self._tokens = self._seconds = 0.0
        super().log(logs, *rest)


class SftTrainer(StepTrainer):
    """The trainer of packed rows, with a loss per target token everywhere.

    `layout` makes a batch of rows; `quiz`, where there is one, returns more figures of the model at
    each evaluation; `needs` is the memory that a step was thought to take.
    """

    def __init__(
        self,
        compute_dtype: torch.dtype,
        labelled: Labelled,
        steps: Steps,
        layout: Callable[[Sequence["Row"]], Batch],
        quiz: Callable[[Any, torch.dtype], dict[str, float]] | None = None,
        needs: "Estimate | None" = None,
        **arguments: Any,
    ) -> None:
        super().__init__(steps, data_collator=layout, **arguments)
        self._compute_dtype, self._labelled = compute_dtype, labelled
        self._quiz = quiz
        self.needs: Any = needs
        self._validation_order = Stretch(inputs(self.eval_dataset or [])).order

    def compute_loss(
        self,
        model: Any,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Mean loss per target token of the accumulated batch, over all devices."""
        count = len(inputs["labels"]) if num_items_in_batch is None else num_items_in_batch
        loss = label_losses(model, self._labelled, inputs, self._compute_dtype).sum() / count
        # The devices' gradients are averaged, and each loss here is a part of the whole already.
        devices: int = self.accelerator.num_processes
        return loss * devices

    def validation_figures(self) -> dict[str, float]:
        """Loss per target token over the validation rows, its perplexity, and the quiz."""
        loss = self._validation_loss()
        # Beyond e^700 a float overflows; such a model is broken, and the figure still says so.
        figures = {"eval_loss": loss, "eval_perplexity": math.exp(min(loss, 700.0))}
        if self._quiz:
            said = self._quiz(self.accelerator.unwrap_model(self.model), self._compute_dtype)
            figures |= {f"eval_{name}": value for name, value in said.items()}
        return figures

    def _validation_loss(self) -> float:
        rows = self.eval_dataset
        world, own = self.accelerator.num_processes, self.accelerator.process_index
        size = self.args.per_device_eval_batch_size
        order = self._validation_order
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        # Every device takes part in every turn: a sharded model is put together by all.
        batches += [[] for _ in range(-len(batches) % world)]
        total = torch.zeros(2, dtype=torch.float64)
        self.model.eval()
        for batch in batches[own::world]:
            total += self._summed([rows[i] for i in batch])
        nats, count = self.accelerator.reduce(total.to(self.args.device, torch.float32), "sum").tolist()
        return float(nats / count)

    def _summed(self, rows: Sequence["Row"]) -> torch.Tensor:
        batch: Batch = self._prepare_inputs(self.data_collator(rows))
        with torch.no_grad():
            losses = label_losses(self.model, self._labelled, batch, self._compute_dtype)
        return torch.tensor([float(losses.sum(dtype=torch.float64)), float(len(losses))], dtype=torch.float64)
