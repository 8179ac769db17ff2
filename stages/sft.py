"""Supervised fine-tuning over packed rows: logits only where a label is, a loss per target token."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerState

from stages.packing import Stretch, inputs, pack
from stages.steps import Steps
from stages.tree_attention import NAME

if TYPE_CHECKING:
    from stages.memory import Estimate
    from stages.tokens import Row

Batch = dict[str, torch.Tensor]
# How much more a query and a key cost in masked attention than their arithmetic says; it decides between
# layouts, never a result. Attention that goes row by row computes no pair in vain: there a line is free.
ATTENTION_COST = 2.0
# Mean difference (nats) that rounding alone makes between a row in a tree and the same row by itself, at
# most; by the bytes of a number. Measured: 0.027 in bf16 and 3e-6 in fp32; other positions make far more.
ROUNDING = {2: 0.25, 4: 1e-4}


class Labelled:
    """Makes a causal model compute logits only where a label is."""

    def __init__(self, model: Any) -> None:
        self._index: torch.Tensor | None = None
        model.get_output_embeddings().register_forward_pre_hook(self._select)

    def _select(self, _: Any, arguments: tuple[torch.Tensor, ...]) -> Any:
        if self._index is None:
            return None
        return (arguments[0].flatten(0, 1)[self._index][None],)

    @contextlib.contextmanager
    def at(self, index: torch.Tensor) -> Iterator[None]:
        """Within this block logits are [1, labels, vocabulary]."""
        self._index = index
        try:
            yield
        finally:
            self._index = None


def label_losses(model: Any, labelled: Labelled, batch: Batch, dtype: torch.dtype) -> torch.Tensor:
    """Return the loss (nats) of every label of a batch that `pack` laid out, shape [labels].

    Products are computed in `dtype`; where that is a half precision, what learns stays in fp32.
    """
    device = batch["labels"].device
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32), labelled.at(batch["index"]):
        logits = model(
            input_ids=batch["input_ids"],
            attention_mask=_mask(batch["attention_mask"], model, dtype),
            position_ids=batch["position_ids"],
            use_cache=False,
        ).logits[0]
    return cross_entropy(logits.float(), batch["labels"], reduction="none")


def _mask(mask: torch.Tensor, model: Any, dtype: torch.dtype) -> torch.Tensor:
    """As the model's attention takes it: eager attention adds the mask to the scores."""
    config = getattr(model, "module", model).config
    if mask.ndim == 2 or config._attn_implementation != "eager":
        return mask
    return torch.zeros_like(mask, dtype=dtype).masked_fill(~mask, torch.finfo(dtype).min)


def pair_cost(model: Any) -> float:
    """What a pair of tokens costs in attention, relative to a token in the linear layers."""
    config = model.config.get_text_config()
    if config._attn_implementation == NAME:
        return 0.0
    head = model.get_output_embeddings()
    layers = [m for m in model.modules() if hasattr(m, "in_features") and m is not head]
    products: int = sum(layer.in_features * layer.out_features for layer in layers)
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    # Two products of the heads' width for each pair and layer; a masked pair is computed as well.
    attention: int = 2 * config.num_hidden_layers * config.num_attention_heads * width
    return ATTENTION_COST * attention / max(products, 1)


class StepLoader(DataLoader[Any]):
    """Micro-batches of `Steps`, of whose epochs the trainer tells it."""

    def set_epoch(self, epoch: int) -> None:
        """Another epoch has another order."""
        steps: Any = self.batch_sampler
        steps.set_epoch(epoch)


class SftTrainer(Trainer):  # type: ignore[misc]
    """Hugging Face's trainer over packed rows, with a loss per target token everywhere.

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
        super().__init__(data_collator=layout, **arguments)
        self._compute_dtype, self._labelled = compute_dtype, labelled
        self._steps, self._quiz = steps, quiz
        self.needs: Any = needs
        # The loss below is already divided by the tokens of the whole accumulated batch; every
        # label counts, since none stands at a row's first place.
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

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Loss per target token over the validation rows, its perplexity, and the quiz."""
        loss = self._validation_loss()
        # Beyond e^700 a float overflows; such a model is broken, and the figure still says so.
        figures = {"eval_loss": loss, "eval_perplexity": math.exp(min(loss, 700.0))}
        if self._quiz:
            said = self._quiz(self.accelerator.unwrap_model(self.model), self._compute_dtype)
            figures |= {f"eval_{name}": value for name, value in said.items()}
        self.log(figures)
        seen = self.callback_handler.on_evaluate(self.args, self.state, self.control, figures)
        self.control: Any = seen
        return figures

    def take(self, checkpoint: Path) -> None:
        """Take over what a run that stopped early had learnt by its best checkpoint."""
        self.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
        self._load_best_model()

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Save; what is written over an older checkpoint of the same step is torn until it is whole."""
        older = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}" / "trainer_state.json"
        if self.args.should_save:
            older.unlink(missing_ok=True)
        super()._save_checkpoint(model, trial)

    def _validation_loss(self) -> float:
        rows = self.eval_dataset
        world, own = self.accelerator.num_processes, self.accelerator.process_index
        size = self.args.per_device_eval_batch_size
        order = Stretch(inputs(rows)).order
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


def obstacle(model: Any, labelled: Labelled, rows: Sequence["Row"], dtype: torch.dtype) -> str | None:
    """Why rows cannot share a sequence in this model, or None.

    Some models look past an explicit mask, or carry what they read from token to token in another
    way. They are found by trying: a row is read alone, and behind one that is nearly the same, which
    it must not see.
    """
    config = model.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    if window and max(map(len, inputs(rows)), default=0) > window:
        return f"the model sees {window} tokens back, and rows are longer"
    if "flash" in str(config._attn_implementation):
        return f"{config._attn_implementation} takes no mask"
    try:
        alone, beside, beside_another = _tried(model, labelled, rows[0], dtype)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        return f"the model takes no mask of its own ({str(error).splitlines()[0]})"
    # What is masked adds exactly nothing, so that its content cannot matter; the layout may, by rounding.
    apart = float((alone - beside).abs().mean())
    if not torch.allclose(beside, beside_another, rtol=1e-3, atol=1e-3) or apart > ROUNDING[dtype.itemsize]:
        return "the model's attention does not keep to a mask"
    return None


def _tried(
    model: Any, labelled: Labelled, row: "Row", dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The losses of a row's last tokens: alone, behind a nearly equal branch, and behind another one."""
    ids = [*row.prompt, *row.completion][:64]
    half = max(1, len(ids) // 2)
    end = ids[half + 1 :] or ids[:1]
    branch = replace(row, prompt=ids[: half + 1], completion=end)
    # Smaller first token: it is laid out before the branch.
    twin = replace(branch, prompt=[*ids[:half], max(ids[half] - 1, 0)])
    other = replace(twin, completion=[max(token - 1, 0) for token in end])
    device = model.get_input_embeddings().weight.device
    found = []
    with torch.no_grad():
        for together in ([branch], [twin, branch], [other, branch]):
            batch = {k: v.to(device) for k, v in pack(together, 0, 0.0, "prefix").items()}
            losses = label_losses(model, labelled, batch, dtype)
            found.append(losses[-len(end) :].float())
    return found[0], found[1], found[2]
